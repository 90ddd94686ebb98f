import { MessageError } from "../errors.ts";
import { parseMediaType, type MediaType } from "../mime/media-type.ts";
import { hasControl } from "../text.ts";

/**
 * What a part of a message is made of: text, octets, or a function that opens a stream of octets, which is called each
 * time the message is sent. Octets are not copied: they must not change until the message is rendered.
 */
export type Content = string | Uint8Array | (() => AsyncIterable<Uint8Array>);

/** Another version of the body, such as HTML or a calendar invitation; Django's `EmailAlternative`. */
export interface Alternative {
  /** A text, or octets in the charset that `contentType` names. */
  readonly content: string | Uint8Array;
  /** Such as `text/html`, or `text/calendar; method=REQUEST`. */
  readonly contentType: string;
}

/** A message that can be attached to another. */
export interface AttachableMessage {
  /** The message as it is attached (RFC 5322), octet for octet. */
  toBytes(): Uint8Array;
}

/** A file that travels with a message; Django's `EmailAttachment`. */
export interface Attachment {
  /** Without a path. Default: none. */
  readonly filename?: string | undefined;
  /** A message becomes `message/rfc822`. */
  readonly content: Content | AttachableMessage;
  /** Default: by the end of the file name, else `application/octet-stream`. */
  readonly contentType?: string | undefined;
  /** By which HTML names it as `cid:`, with or without angle brackets. It then belongs to the HTML (RFC 2387). */
  readonly cid?: string | undefined;
  /** Default: `inline` with a cid, else `attachment`. */
  readonly disposition?: "attachment" | "inline" | undefined;
  /** Of streamed content, in octets, where it is known; declared to the server. */
  readonly size?: number | undefined;
}

const FILE_NAME_LENGTH = 1_000;
/** RFC 2392: an addr-spec, or at least what can stand in a msg-id. */
const CID = /^[^\0-\x20\x7f-\uffff<>"(),:;[\]\\]{1,250}$/;
/** What a MIME part of these types would do to a message is not what an attachment is for. */
const NO_ATTACHMENT = /^(?:multipart\/|message\/(?:partial|external-body)$)/;

/**
 * A copy of the attachment, of which each field was read once: what was checked is what is sent.
 *
 * @throws {MessageError} naming the field, when the attachment is none.
 */
export function checkAttachment(attachment: Attachment, field: string): Attachment {
  if (typeof attachment !== "object" || attachment === null) throw bad(field, "not an attachment");
  const { filename, content, contentType, cid, disposition, size } = attachment;
  if (filename !== undefined && filename !== null) checkFileName(filename, `${field}.filename`);
  if (!isContent(content))
    throw bad(`${field}.content`, "must be a string, a Uint8Array, a function that opens a stream, or a message");
  if (contentType !== undefined && contentType !== null) checkContentType(contentType, `${field}.contentType`);
  if (cid !== undefined && (typeof cid !== "string" || !CID.test(cid.replace(/^<(.*)>$/, "$1"))))
    throw bad(`${field}.cid`, "not a content id such as logo@example.com");
  if (disposition !== undefined && disposition !== "attachment" && disposition !== "inline")
    throw bad(`${field}.disposition`, "must be attachment or inline");
  if (size !== undefined && !Number.isSafeInteger(size)) throw bad(`${field}.size`, "must be a whole number of octets");
  return { filename, content, contentType, cid, disposition, size };
}

function isContent(content: unknown): boolean {
  if (typeof content === "string" || content instanceof Uint8Array || typeof content === "function") return true;
  return (
    typeof content === "object" && content !== null && "toBytes" in content && typeof content.toBytes === "function"
  );
}

/** A path separator in a file name is a path, and some readers would follow it. */
function checkFileName(filename: unknown, field: string): void {
  if (typeof filename !== "string" || filename === "")
    throw bad(field, "must be a text that is not empty; leave it out where there is none");
  if (filename.length > FILE_NAME_LENGTH) throw bad(field, `has more than ${FILE_NAME_LENGTH} characters`);
  if (hasControl(filename) || filename.includes("\t"))
    throw new MessageError("header-control", `${field}: contains a line break or another control character`, { field });
  if (!filename.isWellFormed()) throw new MessageError("not-text", `${field}: contains a lone surrogate`, { field });
  if (/[/\\]/.test(filename) || /^\.{1,2}$/.test(filename))
    throw bad(field, "is a path; give the name alone, or use attachFile");
}

/** @throws {MessageError} naming the field, when the content type is none, or no attachment's. */
export function checkContentType(contentType: unknown, field: string): MediaType {
  if (typeof contentType !== "string") throw bad(field, "not a string");
  if (hasControl(contentType))
    throw new MessageError("header-control", `${field}: contains a line break or another control character`, { field });
  const parsed = parseMediaType(contentType);
  if (parsed === undefined) throw bad(field, "not a content type such as application/pdf");
  if (NO_ATTACHMENT.test(`${parsed.type}/${parsed.subtype}`))
    throw bad(field, "multipart, message/partial and message/external-body cannot be attached");
  return parsed;
}

export function bad(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
