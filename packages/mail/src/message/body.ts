import { createHash } from "node:crypto";
import { MessageError } from "../errors.ts";
import { base64Lines, base64LinesLength } from "../mime/base64.ts";
import { quotedPrintable, quotedPrintableLength } from "../mime/quoted-printable.ts";

/** RFC 5322 section 2.1.1. */
const LINE_LIMIT = 998;

/** What 7bit may carry (RFC 2045 section 2.7): ASCII without NUL; other controls are encoded so that they arrive. */
const SEVEN_BIT = /^[\t\r\n\x20-\x7e]*$/;

const encoder = new TextEncoder();

/** A body part: its header fields but MIME-Version, and its content, both with CRLF line ends. */
export interface BodyPart {
  readonly header: string;
  readonly content: string;
}

/** A `text/*` part. Line ends become CRLF, and the text ends with one. */
export function textPart(text: string, subtype: "plain" | "html", field: string): BodyPart {
  if (!text.isWellFormed()) throw new MessageError("not-text", `${field}: contains a lone surrogate`, { field });
  const lines = withCrlf(text);
  const { encoding, content } = encode(lines);
  return {
    header: `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n`,
    content,
  };
}

function withCrlf(text: string): string {
  const lines = text.replace(/\r\n|\r|\n/g, "\r\n");
  return lines.endsWith("\r\n") ? lines : lines + "\r\n";
}

/** 7bit where it can be, else the shorter of quoted-printable and base64 (RFC 2045 section 6). */
function encode(lines: string): { encoding: string; content: string } {
  if (SEVEN_BIT.test(lines) && lines.split("\r\n").every((line) => line.length <= LINE_LIMIT))
    return { encoding: "7bit", content: lines };
  const octets = encoder.encode(lines);
  if (quotedPrintableLength(octets) <= base64LinesLength(octets.length))
    return { encoding: "quoted-printable", content: quotedPrintable(octets) };
  return { encoding: "base64", content: base64Lines(octets) };
}

/**
 * `multipart/alternative` (RFC 2046 section 5.1.4): the last part is the richest.
 *
 * The boundary derives from the Message-ID, so that a message has the same bytes each time. `=_` can stand in no
 * quoted-printable and no base64; against 7bit parts the boundary is counted up until it stands nowhere.
 */
export function alternativePart(parts: readonly BodyPart[], messageId: string): BodyPart {
  const boundary = freeBoundary(parts, messageId);
  const content = parts.map((part) => `--${boundary}\r\n${part.header}\r\n${part.content}`).join("\r\n");
  return {
    header: `Content-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n`,
    content: `${content}\r\n--${boundary}--\r\n`,
  };
}

function freeBoundary(parts: readonly BodyPart[], messageId: string): string {
  for (let count = 0; ; count++) {
    const digest = createHash("sha256").update(`${messageId} ${count}`).digest("base64url").slice(0, 32);
    const boundary = `=_${digest}`;
    if (!parts.some((part) => part.content.includes(boundary))) return boundary;
  }
}
