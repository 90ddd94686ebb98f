/**
 * RFC 2045 section 5.1:
 *
 *     content   := type "/" subtype *(";" parameter)
 *     parameter := attribute "=" value          value := token / quoted-string
 *     token     := 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials>
 */
const TOKEN = /[^\0-\x20\x7f-\uffff()<>@,;:\\"/[\]?=]+/.source;
const MEDIA_TYPE = new RegExp(`^(${TOKEN})/(${TOKEN})`);
const PARAMETER = new RegExp(
  `[ \\t]*;[ \\t]*(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\\\0-\\x1f\\x7f-\\uffff]|\\\\[\\x20-\\x7e])*)")`,
  "y",
);

/** Type and subtype have 127 characters at most (RFC 6838 section 4.2); what is longer is no content type. */
const CONTENT_TYPE_LENGTH = 500;

/** A content type, taken apart. */
export interface MediaType {
  /** Lower case. */
  readonly type: string;
  /** Lower case. */
  readonly subtype: string;
  /** By names in lower case, in the order in which they were given. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** @returns undefined when the text is no content type, or names a parameter twice. */
export function parseMediaType(text: string): MediaType | undefined {
  if (text.length > CONTENT_TYPE_LENGTH) return undefined;
  const [start, type, subtype] = MEDIA_TYPE.exec(text) ?? [];
  if (start === undefined || type === undefined || subtype === undefined) return undefined;
  const parameters = new Map<string, string>();
  let position = start.length;
  while (position < text.length) {
    PARAMETER.lastIndex = position;
    const [found, name, token, quoted = ""] = PARAMETER.exec(text) ?? [];
    if (found === undefined || name === undefined || parameters.has(name.toLowerCase())) return undefined;
    parameters.set(name.toLowerCase(), token ?? quoted.replace(/\\(.)/g, "$1"));
    position += found.length;
  }
  return { type: type.toLowerCase(), subtype: subtype.toLowerCase(), parameters };
}
