import { isAscii } from "../text.ts";
import type { Piece } from "./body-part.ts";

/** The pieces as one. */
export function bytesOf(pieces: readonly (string | Uint8Array)[]): Uint8Array {
  if (pieces.every((piece) => typeof piece === "string")) return Buffer.from(pieces.join(""));
  return Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece)));
}

/** How many octets they have, where that is known before streamed content is read. */
export function sizeOf(pieces: readonly Piece[]): number | undefined {
  let size = 0;
  for (const piece of pieces) {
    const own =
      typeof piece === "string" ? Buffer.byteLength(piece) : piece instanceof Uint8Array ? piece.length : piece.size;
    if (own === undefined) return undefined;
    size += own;
  }
  return size;
}

/** The pieces one after the other; streamed content is opened when its turn comes. */
export async function* streamOf(pieces: readonly Piece[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (typeof piece === "string") yield Buffer.from(piece);
    else if (piece instanceof Uint8Array) yield piece;
    else yield* piece.open();
  }
}

export function isAsciiBytes(octets: Uint8Array): boolean {
  return isAscii(Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1"));
}
