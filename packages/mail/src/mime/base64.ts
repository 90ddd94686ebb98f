/** RFC 2045 section 6.8: at most 76 characters a line, which is 57 octets. */
const LINE_OCTETS = 57;

/** Base64 without line breaks. */
export function base64(octets: Uint8Array): string {
  return view(octets).toString("base64");
}

/** Base64 in lines of 76 characters that end with CRLF, the last one too. */
export function base64Lines(octets: Uint8Array): string {
  const buffer = view(octets);
  let lines = "";
  for (let start = 0; start < buffer.length; start += LINE_OCTETS) {
    lines += buffer.toString("base64", start, Math.min(start + LINE_OCTETS, buffer.length)) + "\r\n";
  }
  return lines;
}

/** The length of {@link base64Lines} for so many octets. */
export function base64LinesLength(octets: number): number {
  return Math.ceil(octets / 3) * 4 + Math.ceil(octets / LINE_OCTETS) * 2;
}

/** The octets that canonical base64 stands for, or undefined when it is not canonical (RFC 4648 section 3.5). */
export function fromBase64(text: string): Uint8Array | undefined {
  const octets = Buffer.from(text, "base64");
  return octets.toString("base64") === text ? octets : undefined;
}

function view(octets: Uint8Array): Buffer {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}
