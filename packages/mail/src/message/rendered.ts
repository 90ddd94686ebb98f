import { Base64Lines } from "../mime/base64.ts";
import type { Piece, StreamedContent } from "./body-part.ts";

/** A piece that needs nothing from elsewhere. */
type OwnPiece = Exclude<Piece, StreamedContent>;

/** The pieces as one, each written where it is to stand: an attachment of 25 MB is not copied. */
export function bytesOf(pieces: readonly OwnPiece[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += lengthOf(piece);
  const target = Buffer.allocUnsafe(length);
  let end = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") end += target.write(piece, end);
    else if (piece instanceof Base64Lines) end = piece.writeTo(target, end);
    else {
      target.set(piece, end);
      end += piece.length;
    }
  }
  return target;
}

function lengthOf(piece: OwnPiece): number {
  return typeof piece === "string" ? Buffer.byteLength(piece) : piece.length;
}

function isOwn(piece: Piece): piece is OwnPiece {
  return typeof piece === "string" || piece instanceof Uint8Array || piece instanceof Base64Lines;
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
    else if (piece instanceof Base64Lines) yield* piece.blocks();
    else yield* piece.open();
  }
}
