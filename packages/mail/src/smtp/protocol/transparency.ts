/**
 * RFC 5321 section 4.5.2, transparency: a line that begins with a dot gets another in front of it, the first line too.
 *
 * On the way, every bare CR and bare LF becomes CRLF (section 2.3.8 forbids them on the wire, and servers that read
 * them as line ends are how messages are smuggled). The encoder takes content in chunks that are cut anywhere.
 */

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

export class TransparencyEncoder {
  #atLineStart = true;
  /** The last octet was a CR, and its CRLF is written already. */
  #afterCr = false;

  encode(chunk: Uint8Array): Uint8Array {
    // In the worst case, bare line feeds with a dot behind each, an octet becomes two.
    const written = new Uint8Array(chunk.length * 2 + 1);
    let length = 0;
    for (const octet of chunk) {
      if (octet === LF && this.#afterCr) {
        this.#afterCr = false;
        continue;
      }
      this.#afterCr = octet === CR;
      if (octet === CR || octet === LF) {
        written[length++] = CR;
        written[length++] = LF;
        this.#atLineStart = true;
        continue;
      }
      if (octet === DOT && this.#atLineStart) written[length++] = DOT;
      written[length++] = octet;
      this.#atLineStart = false;
    }
    return written.subarray(0, length);
  }

  /**
   * The end of data: `CRLF.CRLF`. The first CRLF is there already where the content ends with one, and section 4.1.1.4
   * forbids to add another.
   */
  end(): Uint8Array {
    return this.#atLineStart ? Uint8Array.of(DOT, CR, LF) : Uint8Array.of(CR, LF, DOT, CR, LF);
  }
}
