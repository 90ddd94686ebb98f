/**
 * Base64 (RFC 2045 section 6.8) in lines of at most 76 characters.
 *
 * The platform's encoder knows no lines. So a block is encoded at the end of the room that its lines take, and each line
 * is then moved forward to its place, which makes the room for the line breaks: 25 MB take 50 ms, half of which is the
 * touching of new memory. Tried: a table of 12 bits to two characters 62, moving the lines two octets at a time 50,
 * slicing strings 110.
 */

const LINE_LENGTH = 76;
/** 76 characters are 57 octets. */
const LINE_OCTETS = 57;
/** Whole lines, and with their line breaks 64 KiB: about as much as a socket takes at once. */
const BLOCK_OCTETS = LINE_OCTETS * 840;
const CR = 0x0d;
const LF = 0x0a;

/** Base64 without line breaks. */
export function base64(octets: Uint8Array): string {
  return view(octets).toString("base64");
}

/** Octets that go as base64, in lines that end with CRLF, the last one too. They are encoded where they are to stand. */
export class Base64Lines {
  readonly octets: Uint8Array;

  constructor(octets: Uint8Array) {
    this.octets = octets;
  }

  /** How many octets the lines have. */
  get length(): number {
    return base64LinesLength(this.octets.length);
  }

  /** Writes the lines into the target, which has room for them. @returns where they end. */
  writeTo(target: Buffer, start: number): number {
    const octets = view(this.octets);
    let to = start;
    for (let from = 0; from < octets.length; from += BLOCK_OCTETS) to = writeBlock(octets, from, target, to);
    return to;
  }

  /** The lines block by block, each in a buffer of its own. */
  *blocks(): Generator<Uint8Array> {
    const octets = view(this.octets);
    for (let from = 0; from < octets.length; from += BLOCK_OCTETS) yield encodedBlock(octets, from);
  }
}

function encodedBlock(octets: Buffer, start: number): Buffer {
  const block = Buffer.allocUnsafeSlow(base64LinesLength(Math.min(BLOCK_OCTETS, octets.length - start)));
  writeBlock(octets, start, block, 0);
  return block;
}

/** @returns where the lines of the block end. */
function writeBlock(octets: Buffer, start: number, target: Buffer, to: number): number {
  const encoded = octets.toString("base64", start, Math.min(start + BLOCK_OCTETS, octets.length));
  const end = to + encoded.length + Math.ceil(encoded.length / LINE_LENGTH) * 2;
  let from = end - encoded.length;
  target.write(encoded, from, "latin1");
  while (from < end) {
    const length = Math.min(LINE_LENGTH, end - from);
    target.copyWithin(to, from, from + length);
    from += length;
    to += length;
    target[to++] = CR;
    target[to++] = LF;
  }
  return end;
}

/** The length of {@link Base64Lines} of so many octets. */
export function base64LinesLength(octets: number): number {
  return Math.ceil(octets / 3) * 4 + Math.ceil(octets / LINE_OCTETS) * 2;
}

/** The same of a stream, whose chunks may have any length and be used again: it gets blocks of its own, all alike. */
export async function* base64LinesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pending = Buffer.allocUnsafeSlow(BLOCK_OCTETS);
  let length = 0;
  for await (const chunk of source) {
    for (let from = 0; from < chunk.length;) {
      const taken = Math.min(BLOCK_OCTETS - length, chunk.length - from);
      pending.set(chunk.subarray(from, from + taken), length);
      from += taken;
      length += taken;
      if (length < BLOCK_OCTETS) break;
      yield encodedBlock(pending, 0);
      length = 0;
    }
  }
  if (length > 0) yield encodedBlock(pending.subarray(0, length), 0);
}

/** The octets that canonical base64 stands for, or undefined when it is not canonical (RFC 4648 section 3.5). */
export function fromBase64(text: string): Uint8Array | undefined {
  const octets = Buffer.from(text, "base64");
  return octets.toString("base64") === text ? octets : undefined;
}

function view(octets: Uint8Array): Buffer {
  return Buffer.isBuffer(octets) ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}
