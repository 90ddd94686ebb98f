import { Base64Lines, base64LinesLength } from "./base64.ts";
import { canonicalText } from "./canonical-text.ts";
import { quotedPrintable, quotedPrintableLength } from "./quoted-printable.ts";

/** RFC 2045 section 6. `binary` is never used, and `8bit` only where the octets were given as they are to be. */
export type TransferEncoding = "7bit" | "8bit" | "quoted-printable" | "base64";

/** Content as it goes on the wire. Strings are ASCII. */
export interface EncodedContent {
  readonly encoding: TransferEncoding;
  readonly content: string | Uint8Array | Base64Lines;
}

/** RFC 5322 section 2.1.1: octets of a line without its CRLF. */
export const LINE_LIMIT = 998;
const TOO_LONG = new RegExp(`[^\\r\\n]{${LINE_LIMIT + 1}}`);

/** What 7bit may carry (RFC 2045 section 2.7): ASCII without NUL. Other controls are encoded, so that they arrive. */
const NOT_SEVEN_BIT = /[^\t\r\n\x20-\x7e]/;
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/;

/** Whether text goes as it is, but for its line ends. */
function isSevenBit(text: string): boolean {
  return !NOT_SEVEN_BIT.test(text) && !(text.length > LINE_LIMIT && TOO_LONG.test(text));
}

/** Text of a body, in UTF-8. @returns undefined when it has a lone surrogate. */
export function encodeBodyText(text: string): EncodedContent | undefined {
  if (isSevenBit(text)) return { encoding: "7bit", content: withCrlf(text) };
  const canonical = canonicalText(text);
  if (canonical === undefined) return undefined;
  const { octets, foreign } = canonical;
  // Quoted-printable has three characters for each of these, so this much base64 is shorter without another look.
  return octets.length + 2 * foreign > 1.38 * octets.length + 8 ? base64Content(octets) : shorter(octets);
}

/** The text with CRLF for each line end. */
export function withCrlf(text: string): string {
  return text.includes("\r") ? text.replace(/\r\n|\r|\n/g, "\r\n") : text.replace(/\n/g, "\r\n");
}

function shorter(octets: Uint8Array): EncodedContent {
  if (quotedPrintableLength(octets) > base64LinesLength(octets.length)) return base64Content(octets);
  return { encoding: "quoted-printable", content: quotedPrintable(octets) };
}

/**
 * Octets that must arrive as they are. Quoted-printable and 7bit keep line ends only where all of them are CRLF
 * (RFC 2045 section 6.7 rule 4); else it is base64.
 */
export function encodeOctets(octets: Uint8Array, isBodyText: boolean): EncodedContent {
  if (!isBodyText) return base64Content(octets);
  const text = Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
  if (BARE_LINE_END.test(text)) return base64Content(octets);
  return isSevenBit(text) ? { encoding: "7bit", content: text } : shorter(octets);
}

function base64Content(octets: Uint8Array): EncodedContent {
  return { encoding: "base64", content: new Base64Lines(octets) };
}
