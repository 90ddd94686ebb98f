import { RequestError } from "./request-error.ts";

/** No form of ours comes near it; a token, a password and an address take under 2 KiB even percent-encoded. */
const BODY_OCTETS = 16 * 1024;

/** The fields of a body, without a prototype: `__proto__` is a name like any other here. */
export type Body = Readonly<Record<string, unknown>>;

const EMPTY: Body = Object.freeze(Object.create(null) as Record<string, unknown>);

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The fields of a JSON object or a form. What means two things is refused: a field given twice, octets that are not
 * UTF-8, percent signs that encode nothing.
 *
 * @param fields the names that the route knows.
 * @throws {RequestError} too_large, unsupported_media_type, malformed_body, unknown_field or duplicate_field.
 */
export async function readBody(request: Request, fields: readonly string[]): Promise<Body> {
  const type = request.headers.get("content-type");
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity") throw new RequestError("unsupported_media_type");
  const octets = await readOctets(request);
  if (octets.length === 0 && fields.length === 0) return EMPTY;
  const parse = parserOf(type);
  const entries = parse(decodeText(octets));
  const body = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of entries) {
    if (!fields.includes(name)) throw new RequestError("unknown_field", { faults: { [printable(name)]: ["unknown"] } });
    if (name in body) throw new RequestError("duplicate_field", { faults: { [name]: ["duplicate"] } });
    body[name] = value;
  }
  return body;
}

type Parser = (text: string) => Iterable<readonly [string, unknown]>;

function parserOf(contentType: string | null): Parser {
  const [type = "", ...parameters] = (contentType ?? "")
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const utf8Only = parameters.every(
    (parameter) => !parameter.startsWith("charset=") || /^charset="?utf-?8"?$/.test(parameter),
  );
  if (utf8Only && type === "application/json") return jsonEntries;
  if (utf8Only && type === "application/x-www-form-urlencoded") return formEntries;
  throw new RequestError("unsupported_media_type");
}

async function readOctets(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get("content-length")) > BODY_OCTETS) throw new RequestError("too_large");
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Leaving the loop cancels the stream, so that the rest of a flood is not read.
    for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
      length += chunk.length;
      if (length > BODY_OCTETS) break;
      chunks.push(chunk);
    }
  } catch {
    // The client broke off; nobody is there to read the answer.
    throw new RequestError("malformed_body");
  }
  if (length > BODY_OCTETS) throw new RequestError("too_large");
  return Buffer.concat(chunks);
}

function decodeText(octets: Uint8Array): string {
  try {
    return utf8.decode(octets);
  } catch {
    throw new RequestError("malformed_body");
  }
}

/** The entries of a JSON object, each as often as it stands there: JSON.parse alone keeps the last of two silently. */
function jsonEntries(text: string): [string, unknown][] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RequestError("malformed_body");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new RequestError("malformed_body");
  const names = memberNames(text);
  return names.map((name) => [name, (value as Record<string, unknown>)[name]]);
}

/** The names of the members of the outermost object, in a text that is known to be JSON. */
function memberNames(json: string): string[] {
  const names: string[] = [];
  let depth = 0;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/gs)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (depth === 1 && token.endsWith(":")) names.push(JSON.parse(token.slice(0, -1)) as string);
  }
  return names;
}

function formEntries(text: string): [string, string][] {
  return text
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return equals < 0 ? [formText(pair), ""] : [formText(pair.slice(0, equals)), formText(pair.slice(equals + 1))];
    });
}

/** URLSearchParams would replace what is not UTF-8 and keep what is not percent-encoding. */
function formText(encoded: string): string {
  try {
    return decodeURIComponent(encoded.replaceAll("+", " "));
  } catch {
    throw new RequestError("malformed_body");
  }
}

/** The name of a field that we do not know, fit to be repeated in an answer. */
function printable(name: string): string {
  return /^[\w.$-]{1,40}$/.test(name) && name !== "__proto__" ? name : "?";
}
