import { DeferredBase64 } from "../mime/base64.ts";
import { isAscii } from "../text.ts";
import type { Piece, StreamedContent } from "./body-part.ts";

/** A piece that needs nothing from elsewhere. */
type OwnPiece = Exclude<Piece, StreamedContent>;

/** The pieces as one. */
export function bytesOf(pieces: readonly OwnPiece[]): Uint8Array {
  if (!pieces.every((piece) => typeof piece === "string")) return joined(pieces);
  // Only the header section, the first piece, may be other than ASCII. Latin-1 of ASCII is a copy, and UTF-8 is not.
  return Buffer.from(pieces.join(""), isAscii(pieces[0] ?? "") ? "latin1" : "utf8");
}

/** Written once, where they are to stand: an attachment of 25 MB is not copied. */
function joined(pieces: readonly OwnPiece[]): Uint8Array {
  const lengths = pieces.map(lengthOf);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const first = pieces.findIndex((piece) => piece instanceof DeferredBase64);
  const before = lengths.slice(0, Math.max(first, 0)).reduce((sum, length) => sum + length, 0);
  // So that the first of what is to be encoded begins at an even address.
  const target = Buffer.allocUnsafeSlow(total + 1).subarray(before % 2, total + (before % 2));
  let offset = 0;
  pieces.forEach((piece, index) => {
    const end = offset + (lengths[index] ?? 0);
    if (typeof piece === "string") target.write(piece, offset);
    else if (piece instanceof Uint8Array) target.set(piece, offset);
    else piece.writeTo(target.subarray(offset, end));
    offset = end;
  });
  return target;
}

function lengthOf(piece: OwnPiece): number {
  return typeof piece === "string" ? Buffer.byteLength(piece) : piece.length;
}

function isOwn(piece: Piece): piece is OwnPiece {
  return typeof piece === "string" || piece instanceof Uint8Array || piece instanceof DeferredBase64;
}

/** How many octets they have, where that is known before streamed content is read. */
export function sizeOf(pieces: readonly Piece[]): number | undefined {
  let size = 0;
  for (const piece of pieces) {
    const own = isOwn(piece) ? lengthOf(piece) : piece.size;
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
    else if (piece instanceof DeferredBase64) yield* piece.blocks();
    else yield* piece.open();
  }
}
