/**
 * What must not be mailed. A field is secret by its name, as in Django's `SafeExceptionReporterFilter`; in a text, what
 * stands behind such a name and an equals sign, the password of a URL and the credentials of an Authorization field.
 */
const MASK = "********";
const WORDS = "pass|pwd|token|secret|key|api|auth|cookie|signature|credential|session";
const SECRET_NAME = new RegExp(WORDS, "i");
// What may repeat is bounded: a log holds what strangers send, and no text of theirs may take long to search.
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{0,30}:\/\/[^\s/?#:@]{0,256}:)[^\s/?#]{0,1024}@/gi;
const SCHEME = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi;
/** `token=…` of a query or a connection string, and `"token":"…"` of JSON in a text. */
const ASSIGNED = new RegExp(`((?:${WORDS})[\\w-]{0,64}(?:\\s?=|"\\s?:)\\s?)("[^"]*"|'[^']*'|[^\\s&;,"'<>}]+)`, "gi");
/** Pino cuts circles; this cuts what is too deep to read. */
const DEPTH = 8;
/** In characters, of each text. */
const TEXT_LIMIT = 20_000;

/** A copy of the value of JSON without secrets. */
export function censored(value: unknown, depth = DEPTH): unknown {
  if (typeof value === "string") return censoredText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return "…";
  if (Array.isArray(value)) return value.map((each) => censored(each, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, SECRET_NAME.test(name) ? MASK : censored(each, depth - 1)]),
  );
}

/** The text without the secrets that show. */
export function censoredText(text: string): string {
  return text
    .slice(0, TEXT_LIMIT)
    .replace(URL_PASSWORD, `$1${MASK}@`)
    .replace(SCHEME, `$1 ${MASK}`)
    .replace(ASSIGNED, `$1${MASK}`);
}
