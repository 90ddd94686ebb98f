import mime from "mime";
import { MessageError } from "../errors.ts";
import { base64LinesLength, base64LinesOf } from "../mime/base64.ts";
import { encodeText, isCharset } from "../mime/charset.ts";
import type { MediaType } from "../mime/media-type.ts";
import { parameter } from "../mime/parameter.ts";
import { type EncodedContent, encodeBodyText, encodeOctets, LINE_LIMIT, withCrlf } from "../mime/transfer-encoding.ts";
import { type Alternative, type Attachment, bad, checkContentType } from "./attachment.ts";
import type { BodyPart, StreamedContent } from "./body-part.ts";
import { octetStream } from "./octet-stream.ts";

const OCTET_STREAM = "application/octet-stream";

/** A text of the body. Its line ends become CRLF (RFC 2046 section 4.1.1); nothing is added to its end. */
export function textPart(text: string, mediaType: MediaType, charset: string, field: string): BodyPart {
  // Of another charset the octets decide: ISO-2022-JP's are not those of the text, though they are ASCII.
  const content =
    charset === "utf-8" ? encodeBodyText(text) : encodeOctets(encoded(withCrlf(text), charset, field), true);
  if (content === undefined) throw loneSurrogate(field);
  return part(`Content-Type: ${typeOf(mediaType, charset)}\r\n`, content);
}

function loneSurrogate(field: string): MessageError {
  return new MessageError("not-text", `${field}: contains a lone surrogate`, { field });
}

function encoded(text: string, charset: string, field: string): Uint8Array {
  if (!text.isWellFormed()) throw loneSurrogate(field);
  const result = encodeText(text, charset);
  if ("octets" in result) return result.octets;
  throw bad(field, `the charset ${charset} has no ${JSON.stringify(result.unencodable)}`);
}

/** @throws {MessageError} when text cannot be encoded in a charset of this name. */
export function checkCharset(charset: string): string {
  if (typeof charset === "string" && charset.length <= 40 && isCharset(charset)) return charset.toLowerCase();
  throw bad("charset", "must be utf-8, or the name of a charset of one or two octets a character, such as euc-kr");
}

/** A version of the body. Octets of a text type are taken as UTF-8, as Django does, and sent as they are. */
export function alternativePart({ content, contentType }: Alternative, charset: string, field: string): BodyPart {
  const mediaType = checkContentType(contentType, `${field}.contentType`);
  if (typeof content === "string" && mediaType.type === "text") {
    return textPart(content, mediaType, ownCharset(mediaType, field) ?? charset, `${field}.content`);
  }
  if (typeof content !== "string" && !(content instanceof Uint8Array))
    throw bad(`${field}.content`, "must be a string or a Uint8Array");
  const octets = typeof content === "string" ? encoded(content, "utf-8", `${field}.content`) : content;
  return octetPart(octets, mediaType, "", field);
}

/** An attachment, checked before. It arrives octet for octet. */
export function attachmentPart(attachment: Attachment, field: string): BodyPart {
  const { content } = attachment;
  const mediaType = checkContentType(attachment.contentType ?? guessedType(attachment), `${field}.contentType`);
  const identity = dispositionOf(attachment) + contentId(attachment);
  if (typeof content === "function")
    return streamedPart(() => octetStream(content(), `${field}.content`), attachment.size, mediaType, identity);
  if (typeof content === "string") {
    const charset = mediaType.type === "text" ? (ownCharset(mediaType, field) ?? "utf-8") : "utf-8";
    return octetPart(encoded(content, charset, `${field}.content`), mediaType, identity, field);
  }
  const octets = content instanceof Uint8Array ? content : content.toBytes();
  return octetPart(octets, mediaType, identity, `${field}.content`);
}

/** The same on every machine: the table is the package's, not the system's. */
function guessedType({ filename, content }: Attachment): string {
  if (typeof content === "object" && !(content instanceof Uint8Array)) return "message/rfc822";
  return mime.getType(filename ?? "") ?? OCTET_STREAM;
}

/**
 * Octets as they were given. An attachment is always base64, for postal-mime adds a line end to 7bit and to
 * quoted-printable, even where each line end is encoded and the last line break soft; see decisions/009.
 */
function octetPart(octets: Uint8Array, given: MediaType, identity: string, field: string): BodyPart {
  if (given.type === "message" && given.subtype === "rfc822") return messagePart(octets, given, identity, field);
  return part(`Content-Type: ${octetType(octets, given)}\r\n${identity}`, encodeOctets(octets, identity === ""));
}

/** What is not UTF-8 is no text that anybody could name the charset of. */
function octetType(octets: Uint8Array, mediaType: MediaType): string {
  if (mediaType.type !== "text" || mediaType.parameters.has("charset")) return typeOf(mediaType);
  return isUtf8(octets) ? typeOf(mediaType, "utf-8") : OCTET_STREAM;
}

/** RFC 2046 section 5.2.1: a message is attached as it is, never encoded, so what SMTP cannot carry is refused. */
function messagePart(octets: Uint8Array, mediaType: MediaType, identity: string, field: string): BodyPart {
  const text = Buffer.from(octets.buffer, octets.byteOffset, octets.length)
    .toString("latin1")
    .replace(/\r\n|\r|\n/g, "\r\n");
  if (text.includes("\0") || text.split("\r\n").some((line) => line.length > LINE_LIMIT)) {
    throw bad(
      field,
      `the attached message has a NUL or a line of more than ${LINE_LIMIT} octets; attach it as ${OCTET_STREAM}`,
    );
  }
  const encoding = /[^\0-\x7f]/.test(text) ? "8bit" : "7bit";
  return part(`Content-Type: ${typeOf(mediaType)}\r\n${identity}`, { encoding, content: Buffer.from(text, "latin1") });
}

/** Of a stream nobody knows whether it is text, so a message in it cannot be attached as one either. */
function streamedPart(
  open: () => AsyncIterable<Uint8Array>,
  size: number | undefined,
  mediaType: MediaType,
  identity: string,
): BodyPart {
  const type = mediaType.type === "message" ? OCTET_STREAM : typeOf(mediaType);
  const streamed: StreamedContent = {
    open: () => base64LinesOf(open()),
    size: size === undefined ? undefined : base64LinesLength(size),
  };
  return {
    header: `Content-Type: ${type}\r\n${identity}Content-Transfer-Encoding: base64\r\n`,
    pieces: [streamed],
    isVerbatim: false,
    isEightBit: false,
  };
}

function part(header: string, { encoding, content }: EncodedContent): BodyPart {
  const isEightBit = encoding === "8bit";
  const isVerbatim = isEightBit || encoding === "7bit";
  return { header: `${header}Content-Transfer-Encoding: ${encoding}\r\n`, pieces: [content], isVerbatim, isEightBit };
}

function typeOf({ type, subtype, parameters }: MediaType, charset?: string): string {
  let written = `${type}/${subtype}`;
  if (charset !== undefined && !parameters.has("charset")) written += `; charset=${charset}`;
  for (const [name, value] of parameters) written += parameter(name, value);
  return written;
}

function ownCharset({ parameters }: MediaType, field: string): string | undefined {
  const charset = parameters.get("charset");
  if (charset === undefined || isCharset(charset)) return charset;
  throw bad(`${field}.contentType`, "its charset is none that text can be encoded in; give the content as octets");
}

function dispositionOf({
  filename,
  cid,
  disposition = cid === undefined ? "attachment" : "inline",
}: Attachment): string {
  return `Content-Disposition: ${disposition}${filename === undefined || filename === null ? "" : parameter("filename", filename)}\r\n`;
}

function contentId({ cid }: Attachment): string {
  return cid === undefined ? "" : `Content-ID: <${cid.replace(/^<(.*)>$/, "$1")}>\r\n`;
}

function isUtf8(octets: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(octets);
    return true;
  } catch {
    return false;
  }
}
