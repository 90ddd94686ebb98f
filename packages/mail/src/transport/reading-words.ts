/** RFC 2047 section 2: `encoded-word = "=?" charset "?" encoding "?" encoded-text "?="`; RFC 2231 adds `*language`. */
const ENCODED_WORD = /=\?([!#-)+\-.0-9A-Z\\^_`a-z{|}~]{1,40})(?:\*[A-Za-z-]{0,20})?\?([bBqQ])\?([!->@-~]{0,998})\?=/g;
/** RFC 2047 section 6.2: white space between two of them is not part of the text. */
const BETWEEN = /(\?=)[ \t]+(?==\?)/g;

/** The text with its encoded-words decoded; one of a charset that nobody knows stays as it is. */
export function decodedWords(text: string): string {
  return text.replace(BETWEEN, "$1").replace(ENCODED_WORD, (word, charset: string, encoding: string, given: string) => {
    const octets = encoding.toLowerCase() === "b" ? Buffer.from(given, "base64") : fromQ(given);
    return inCharset(octets, charset) ?? word;
  });
}

function fromQ(text: string): Buffer {
  return fromEscaped(text.replaceAll("_", " "), /=([0-9A-Fa-f]{2})/g);
}

function fromEscaped(text: string, escape: RegExp): Buffer {
  const literal = text.replace(escape, (_, octet: string) => String.fromCharCode(Number.parseInt(octet, 16)));
  return Buffer.from(literal, "latin1");
}

/** Undefined for a charset that nobody knows. */
export function inCharset(octets: Uint8Array, charset: string): string | undefined {
  try {
    return new TextDecoder(charset).decode(octets);
  } catch {
    return undefined;
  }
}

/** A field body such as `multipart/mixed; boundary=x` or `attachment; filename=a.pdf`, taken apart. */
export interface Parameterized {
  /** What stands before the first semicolon, in lower case. */
  readonly value: string;
  /** By names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** The longest file name that we write has 1,000 characters, each of 12 octets at most. */
const PARAMETERS_LENGTH = 20_000;
const PARAMETER = /;[ \t]*([^\0-\x20=;"]{1,100})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g;

/** More lenient than what we write by: it takes what readers take. */
export function parameterized(body: string): Parameterized {
  const text = body.slice(0, PARAMETERS_LENGTH);
  const parameters = new Map<string, string>();
  for (const [, name = "", quoted, token = ""] of text.matchAll(PARAMETER))
    parameters.set(name.toLowerCase(), quoted === undefined ? token.trim() : quoted.replace(/\\(.)/g, "$1"));
  return { value: (/^[^;]*/.exec(text)?.[0] ?? "").trim().toLowerCase(), parameters };
}

/** A parameter's value, also where RFC 2231 has it encoded, or in sections `name*0*`, `name*1*`. */
export function parameterOf({ parameters }: Parameterized, name: string): string | undefined {
  const plain = parameters.get(name);
  const encoded = parameters.get(`${name}*`) ?? sections(parameters, name);
  if (encoded === undefined) return plain === undefined ? undefined : decodedWords(plain);
  const [, charset = "utf-8", value = encoded] = /^([^']*)'[^']*'(.*)$/s.exec(encoded) ?? [];
  return inCharset(fromEscaped(value, /%([0-9A-Fa-f]{2})/g), charset === "" ? "utf-8" : charset) ?? value;
}

function sections(parameters: ReadonlyMap<string, string>, name: string): string | undefined {
  let value: string | undefined;
  for (let index = 0; ; index++) {
    const section = parameters.get(`${name}*${index}*`) ?? parameters.get(`${name}*${index}`);
    if (section === undefined) return value;
    value = (value ?? "") + section;
  }
}
