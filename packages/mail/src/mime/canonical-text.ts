/** Text in UTF-8 whose line ends are CRLF, whatever they were (RFC 2046 section 4.1.1). */
export interface CanonicalText {
  readonly octets: Uint8Array;
  /** How many of the octets are not ASCII. */
  readonly foreign: number;
}

/** In UTF-16 code units: two octets each as they are read, three at most as they are written. */
const SHORT = 16 * 1024;
const shortUnits = Buffer.allocUnsafeSlow(SHORT * 2);
const shortView = new DataView(shortUnits.buffer);
const shortOctets = Buffer.allocUnsafeSlow(SHORT * 3);
const CR = 0x0d;
const LF = 0x0a;

/**
 * The platform does this in three passes, for lone surrogates, line ends and UTF-8: 5.6 microseconds for 2 kB of Korean,
 * where one loop takes 3.5.
 *
 * @returns undefined when the text has a lone surrogate.
 */
export function canonicalText(text: string): CanonicalText | undefined {
  const isShort = text.length <= SHORT;
  const units = isShort ? shortUnits : Buffer.allocUnsafeSlow(text.length * 2);
  const octets = isShort ? shortOctets : Buffer.allocUnsafeSlow(text.length * 3);
  const written = writeCanonical(
    isShort ? shortView : new DataView(units.buffer),
    units.write(text, "utf16le"),
    octets,
  );
  if (written === undefined) return undefined;
  const copy = Buffer.allocUnsafe(written.length);
  octets.copy(copy, 0, 0, written.length);
  return { octets: copy, foreign: written.foreign };
}

/** @param end how many octets of the units are the text. */
function writeCanonical(
  units: DataView,
  end: number,
  octets: Uint8Array,
): { length: number; foreign: number } | undefined {
  let to = 0;
  let ascii = 0;
  for (let from = 0; from < end; from += 2) {
    const unit = units.getUint16(from, true);
    if (unit < 0x80) {
      const isLineEnd = unit === CR || unit === LF;
      if (isLineEnd) {
        octets[to++] = CR;
        ascii++;
        if (unit === CR && from + 2 < end && units.getUint16(from + 2, true) === LF) from += 2;
      }
      octets[to++] = isLineEnd ? LF : unit;
      ascii++;
    } else if (unit < 0x800) {
      octets[to++] = 0xc0 | (unit >> 6);
      octets[to++] = 0x80 | (unit & 0x3f);
    } else if (unit < 0xd800 || unit > 0xdfff) {
      octets[to++] = 0xe0 | (unit >> 12);
      octets[to++] = 0x80 | ((unit >> 6) & 0x3f);
      octets[to++] = 0x80 | (unit & 0x3f);
    } else {
      from += 2;
      const low = from < end ? units.getUint16(from, true) : 0;
      if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff) return undefined;
      const code = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
      octets[to++] = 0xf0 | (code >> 18);
      octets[to++] = 0x80 | ((code >> 12) & 0x3f);
      octets[to++] = 0x80 | ((code >> 6) & 0x3f);
      octets[to++] = 0x80 | (code & 0x3f);
    }
  }
  return { length: to, foreign: to - ascii };
}
