import { base64Lines, base64LinesLength, type DeferredBase64 } from "./base64.ts";
import { quotedPrintable, quotedPrintableLength } from "./quoted-printable.ts";

/** RFC 2045 section 6. `binary` is never used, and `8bit` only where the octets were given as they are to be. */
export type TransferEncoding = "7bit" | "8bit" | "quoted-printable" | "base64";

/** Content as it goes on the wire. Strings are ASCII. */
export interface EncodedContent {
  readonly encoding: TransferEncoding;
  readonly content: string | Uint8Array | DeferredBase64;
}

/** RFC 5322 section 2.1.1: octets of a line without its CRLF. */
export const LINE_LIMIT = 998;
const TOO_LONG = new RegExp(`[^\\r\\n]{${LINE_LIMIT + 1}}`);

/** What 7bit may carry (RFC 2045 section 2.7): ASCII without NUL. Other controls are encoded, so that they arrive. */
const NOT_SEVEN_BIT = /[^\t\r\n\x20-\x7e]/;
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/;

/** Whether text whose line ends are CRLF goes as it is. */
function isSevenBit(text: string): boolean {
  return !NOT_SEVEN_BIT.test(text) && !(text.length > LINE_LIMIT && TOO_LONG.test(text));
}

/** Text with CRLF line ends: 7bit where it can be, else the shorter of quoted-printable and base64. */
export function encodeLines(text: string, octets: () => Uint8Array): EncodedContent {
  if (isSevenBit(text)) return { encoding: "7bit", content: text };
  const encoded = octets();
  return isMostlyForeign(text.length, encoded.length) ? base64Content(encoded) : shorter(encoded);
}

/**
 * Whether base64 is shorter for sure, without a look at each octet. A character of n octets in UTF-8 makes n - 1 more of
 * them than characters, so at least 1.5 octets that are not ASCII for each one more, and each of these is three in
 * quoted-printable; base64 has 1.37 for each octet.
 */
function isMostlyForeign(characters: number, octets: number): boolean {
  return octets + 3 * (octets - characters) > 1.38 * octets + 8;
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
  return encodeLines(text, () => octets);
}

function base64Content(octets: Uint8Array): EncodedContent {
  return { encoding: "base64", content: base64Lines(octets) };
}
