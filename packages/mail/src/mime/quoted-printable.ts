/** RFC 2045 section 6.7 rule 5: an encoded line has at most 76 characters, the soft line break's `=` included. */
const LINE_LENGTH = 76;

const HEX = Array.from({ length: 256 }, (_, octet) => "=" + octet.toString(16).toUpperCase().padStart(2, "0"));
const CR = 0x0d;
const LF = 0x0a;

/** Whether the octet stands for itself: printable ASCII but `=`; white space only inside a line. */
function isLiteral(octet: number, endsLine: boolean): boolean {
  if (octet === 0x20 || octet === 0x09) return !endsLine;
  return octet > 0x20 && octet < 0x7f && octet !== 0x3d;
}

function isLineEnd(octets: Uint8Array, index: number): boolean {
  return index === octets.length || (octets[index] === CR && octets[index + 1] === LF);
}

/**
 * Quoted-printable of text whose line ends are CRLF (RFC 2045 section 6.7). No soft line break follows the last line.
 */
export function quotedPrintable(octets: Uint8Array): string {
  let written = "";
  let column = 0;
  for (let index = 0; index < octets.length; index++) {
    const octet = octets[index]!;
    if (octet === CR && octets[index + 1] === LF) {
      written += "\r\n";
      column = 0;
      index++;
      continue;
    }
    const endsLine = isLineEnd(octets, index + 1);
    const token = isLiteral(octet, endsLine) ? String.fromCharCode(octet) : HEX[octet]!;
    if (column + token.length > (endsLine ? LINE_LENGTH : LINE_LENGTH - 1)) {
      written += "=\r\n";
      column = 0;
    }
    written += token;
    column += token.length;
  }
  return written;
}

/** About how long {@link quotedPrintable} will be: exact but for soft line breaks where tokens do not fill a line. */
export function quotedPrintableLength(octets: Uint8Array): number {
  let length = 0;
  for (const octet of octets) length += isLiteral(octet, false) || octet === CR || octet === LF ? 1 : 3;
  return length + Math.floor(length / LINE_LENGTH) * 3;
}
