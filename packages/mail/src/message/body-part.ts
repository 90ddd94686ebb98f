import { createHash } from "node:crypto";
import type { Base64Lines } from "../mime/base64.ts";

/** Content that is read when it is sent, encoded already. */
export interface StreamedContent {
  readonly open: () => AsyncIterable<Uint8Array>;
  /** In octets, where it is known before. */
  readonly size: number | undefined;
}

/** A piece of a body, in wire form. A string is UTF-8. */
export type Piece = string | Uint8Array | Base64Lines | StreamedContent;

/** A body part (RFC 2046): its header fields but MIME-Version, and its content. */
export interface BodyPart {
  readonly header: string;
  readonly pieces: readonly Piece[];
  /** Whether its content may hold any text at all, a boundary too. Base64 and quoted-printable cannot hold `=_`. */
  readonly isVerbatim: boolean;
  /** Whether it may have octets above 127. */
  readonly isEightBit: boolean;
}

/** Gives each multipart of a message a boundary of its own. */
export type BoundarySource = (parts: readonly BodyPart[]) => string;

/**
 * Boundaries derive from the Message-ID, so that a message has the same bytes each time. They begin with `=_`, which
 * stands in no quoted-printable and no base64; against what goes verbatim they are counted up until they stand nowhere.
 */
export function boundarySource(messageId: string): BoundarySource {
  let count = 0;
  return (parts) => {
    const verbatim = parts.filter(({ isVerbatim }) => isVerbatim).flatMap(({ pieces }) => pieces);
    for (;;) {
      const digest = createHash("sha256").update(`${messageId} ${count++}`).digest("base64url").slice(0, 32);
      const boundary = `=_${digest}`;
      if (!verbatim.some((piece) => holds(piece, boundary))) return boundary;
    }
  };
}

function holds(piece: Piece, boundary: string): boolean {
  if (typeof piece === "string") return piece.includes(boundary);
  if (!(piece instanceof Uint8Array)) return false;
  return Buffer.from(piece.buffer, piece.byteOffset, piece.length).includes(boundary);
}

/**
 * RFC 2046 section 5.1.1. The CRLF before a boundary delimiter belongs to the delimiter, so content without a line break
 * at its end stays so.
 *
 * @param parameters further parameters of the content type, each with its semicolon.
 */
export function multipart(
  subtype: "alternative" | "mixed" | "related",
  parts: readonly BodyPart[],
  boundaryOf: BoundarySource,
  parameters = "",
): BodyPart {
  const boundary = boundaryOf(parts);
  const pieces: Piece[] = [];
  parts.forEach((part, index) => {
    pieces.push(`${index === 0 ? "" : "\r\n"}--${boundary}\r\n${part.header}\r\n`, ...part.pieces);
  });
  pieces.push(`\r\n--${boundary}--\r\n`);
  const isEightBit = parts.some((part) => part.isEightBit);
  // RFC 2045 section 6.4: a multipart is encoded as its parts are; 7bit is the default.
  const encoding = isEightBit ? "Content-Transfer-Encoding: 8bit\r\n" : "";
  return {
    header: `Content-Type: multipart/${subtype};${parameters}\r\n boundary="${boundary}"\r\n${encoding}`,
    pieces,
    isVerbatim: parts.some(({ isVerbatim }) => isVerbatim),
    isEightBit,
  };
}
