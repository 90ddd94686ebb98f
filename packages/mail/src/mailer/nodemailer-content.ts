import { MessageError } from "../errors.ts";
import type { Alternative, Attachment } from "../message/attachment.ts";
import { Message } from "../message/message.ts";

/** Content as nodemailer takes it. A stream is read to its end, up to 100 MB. */
export type NodemailerContent =
  | string
  | Uint8Array
  | AsyncIterable<Uint8Array | string>
  | { readonly content: string | Uint8Array | AsyncIterable<Uint8Array | string>; readonly encoding?: string }
  | null
  | undefined;

/** An attachment, or an alternative, as nodemailer takes it. */
export interface NodemailerAttachment {
  /** Without a path; false for none. Default: the name of the file at `path`, else none. */
  readonly filename?: string | false | undefined;
  /** What it holds; or else `path`. */
  readonly content?: NodemailerContent;
  /** Of a content that is a string, such as `base64`. Default: UTF-8. */
  readonly encoding?: string | undefined;
  /** A local file, or a `data:` URL; no other URL is ever fetched. */
  readonly path?: string | undefined;
  /** Default: by the end of the file name. */
  readonly contentType?: string | undefined;
  /** Default: `inline` with a cid, else `attachment`. */
  readonly contentDisposition?: "attachment" | "inline" | undefined;
  /** By which HTML names it as `cid:`. */
  readonly cid?: string | undefined;
  readonly [field: string]: unknown;
}

/** A stream is kept as a whole, for an attempt may have to be made twice. */
const STREAM_OCTETS = 100 * 1024 * 1024;
const NAMES = new Set(["filename", "content", "encoding", "path", "contentType", "contentDisposition", "cid"]);
const DATA_URL = /^data:([^,;]*(?:;[^,;=]*=[^,;]*)*)(;base64)?,(.*)$/is;

/** The octets of any kind of content. @throws {MessageError} naming the field. */
export async function octetsOf(given: unknown, field: string, encoding?: string): Promise<Uint8Array> {
  if (typeof given === "string") return fromText(given, encoding, field);
  if (given instanceof Uint8Array) return given;
  if (typeof given !== "object" || given === null) throw bad(field, "must be a string, octets or a stream");
  if (Symbol.asyncIterator in given) return collected(given as AsyncIterable<Uint8Array | string>, field);
  const { content, encoding: own, ...others } = given as { content?: unknown; encoding?: string };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined || content === undefined)
    throw bad(`${field}.${unknown ?? "content"}`, unknown === undefined ? "must be given" : "cannot be carried over");
  if (typeof content === "object" && content !== null && "content" in content) throw bad(field, "is nested");
  return octetsOf(content, `${field}.content`, own);
}

function fromText(text: string, encoding: string | undefined, field: string): Uint8Array {
  if (encoding === undefined || encoding === "") return Buffer.from(text);
  if (!Buffer.isEncoding(encoding)) throw bad(`${field}.encoding`, "not an encoding such as base64");
  return Buffer.from(text, encoding);
}

async function collected(stream: AsyncIterable<Uint8Array | string>, field: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    length += chunk.length;
    if (length > STREAM_OCTETS) throw bad(field, `a stream of more than ${STREAM_OCTETS} octets; use attachFile`);
  }
  return Buffer.concat(chunks);
}

/** Text of the body: octets are UTF-8. */
export async function textOf(given: unknown, field: string): Promise<string> {
  if (given === undefined || given === null || given === false || given === "") return "";
  if (typeof given === "string") return given;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await octetsOf(given, field));
  } catch (error) {
    throw error instanceof TypeError ? bad(field, "must be UTF-8") : error;
  }
}

export async function alternativesOf(given: readonly NodemailerAttachment[], field: string): Promise<Alternative[]> {
  const found: Alternative[] = [];
  for (const [index, each] of given.entries()) {
    const place = field === "icalEvent" ? field : `${field}[${index}]`;
    const { content, encoding, contentType, ...others } = each;
    const unknown = Object.keys(others).find((name) => isGiven(others[name]));
    if (unknown !== undefined) throw bad(`${place}.${unknown}`, "cannot be carried over");
    if (typeof contentType !== "string") throw bad(`${place}.contentType`, "must be given");
    const plain = typeof content === "string" && encoding === undefined;
    found.push({ content: plain ? content : await octetsOf(content, `${place}.content`, encoding), contentType });
  }
  return found;
}

export async function attachmentsOf(given: readonly NodemailerAttachment[], mayRead: boolean): Promise<Attachment[]> {
  const found: Attachment[] = [];
  for (const [index, each] of given.entries()) found.push(await attachmentOf(each, `attachments[${index}]`, mayRead));
  return found;
}

async function attachmentOf(given: NodemailerAttachment, field: string, mayRead: boolean): Promise<Attachment> {
  const unknown = Object.keys(given).find((name) => !NAMES.has(name) && isGiven(given[name]));
  if (unknown !== undefined)
    throw bad(`${field}.${unknown}`, unknown === "href" ? "a message never fetches a URL" : "cannot be carried over");
  const { filename, cid, contentType, contentDisposition } = given;
  const content = isGiven(given.path) ? fromPath(given, field, mayRead) : await fromContent(given, field);
  return {
    ...content,
    filename: filename === false ? undefined : (textIn(filename) ?? content.filename),
    contentType: textIn(contentType) ?? content.contentType,
    cid: textIn(cid),
    disposition: textIn(contentDisposition),
  };
}

async function fromContent({ content, encoding }: NodemailerAttachment, field: string): Promise<Attachment> {
  if (content === undefined || content === null) throw bad(`${field}.content`, "must be given");
  if (typeof content === "string" && encoding === undefined) return { content };
  return { content: await octetsOf(content, `${field}.content`, encoding) };
}

function fromPath({ path, content }: NodemailerAttachment, field: string, mayRead: boolean): Attachment {
  if (isGiven(content)) throw bad(`${field}.path`, "cannot stand beside content");
  if (typeof path !== "string") throw bad(`${field}.path`, "must be a string");
  const [, type, isBase64, data] = DATA_URL.exec(path) ?? [];
  if (data !== undefined) {
    const octets = Buffer.from(decodeURIComponent(data), isBase64 === undefined ? "utf8" : "base64");
    return { content: octets, contentType: type === "" ? undefined : type };
  }
  if (/^[a-z][a-z0-9+.-]+:/i.test(path)) throw bad(`${field}.path`, "a message never fetches a URL");
  if (!mayRead)
    throw bad(`${field}.path`, "names a file, which is read only with the option readFiles of toNodemailer");
  const scratch = new Message();
  try {
    scratch.attachFile(path);
  } catch (cause) {
    throw new MessageError("unreadable", `${field}.path: the file cannot be attached`, {
      field: `${field}.path`,
      cause,
    });
  }
  const [attachment] = scratch.attachments;
  if (attachment === undefined) throw bad(`${field}.path`, "the file cannot be attached");
  return attachment;
}

/** Nodemailer takes an empty text as none. */
function textIn<T extends string>(given: T | null | undefined): T | undefined {
  return given === null || given === "" ? undefined : given;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== "";
}

function bad(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
