/**
 * Reads a message back from its octets, as far as a person wants to see it: for the console, for the box of a test, and
 * for plugins of nodemailer that take fields. What is shown is what SMTP would have carried, not what it was made of.
 *
 * It never fails: what it cannot read it shows as it is. Messages may be foreign, so depth and number of parts are bounded.
 */
import { type Address, parseAddressList } from "../address/mailbox.ts";
import { decodedWords, inCharset, type Parameterized, parameterized, parameterOf } from "./reading-words.ts";

/** An attachment, decoded. */
export interface ReadAttachment {
  /** Decoded, as the sender gave it: it may hold a path or controls. Undefined where there is none. */
  readonly filename: string | undefined;
  /** Lower case, without parameters. */
  readonly contentType: string;
  /** Without angle brackets. */
  readonly cid: string | undefined;
  /** Its octets, with the transfer encoding undone. */
  readonly content: Uint8Array;
}

/** A message, decoded. */
export interface ReadMessage {
  /** The header fields in order, unfolded and decoded. */
  readonly fields: readonly (readonly [name: string, body: string])[];
  /** Decoded; empty where there is none. */
  readonly subject: string;
  /** One mailbox, or several with commas between, such as `김철수 <kim@example.com>`. */
  readonly from: string;
  /** One mailbox each, such as `김철수 <kim@example.com>`. */
  readonly to: readonly string[];
  /** As `to`. */
  readonly cc: readonly string[];
  /** As `to`; empty where answers go to the author. */
  readonly replyTo: readonly string[];
  /** With LF between lines; empty where there is none. */
  readonly text: string;
  /** As it was sent; empty where there is none. */
  readonly html: string;
  /** In the order of the message, inline images among them. */
  readonly attachments: readonly ReadAttachment[];
}

interface Entity {
  readonly fields: readonly (readonly [name: string, body: string])[];
  readonly body: Buffer;
}

interface Found {
  readonly texts: string[];
  readonly htmls: string[];
  readonly attachments: ReadAttachment[];
  parts: number;
}

/** RFC 5322 section 3.2.3: what a display name has only in quotes. */
const SPECIALS = /[()<>[\]:;@\\,."]/;
const DEPTH = 20;
const PARTS = 1_000;

export function readMessage(octets: Uint8Array): ReadMessage {
  const entity = entityOf(Buffer.from(octets.buffer, octets.byteOffset, octets.length));
  const found: Found = { texts: [], htmls: [], attachments: [], parts: 0 };
  collect(entity, found, 0);
  return {
    fields: entity.fields.map(([name, body]) => [name, decodedWords(body)]),
    subject: decodedWords(fieldOf(entity, "subject")),
    from: addresses(entity, "from").join(", "),
    to: addresses(entity, "to"),
    cc: addresses(entity, "cc"),
    replyTo: addresses(entity, "reply-to"),
    text: found.texts.join("\n"),
    html: found.htmls.join("\n"),
    attachments: found.attachments,
  };
}

function entityOf(octets: Buffer): Entity {
  const end = octets.indexOf("\r\n\r\n");
  const isBodyAlone = octets.subarray(0, 2).toString("latin1") === "\r\n";
  const header = isBodyAlone ? "" : octets.toString("utf8", 0, end === -1 ? octets.length : end);
  const body = isBodyAlone
    ? octets.subarray(2)
    : end === -1
      ? octets.subarray(octets.length)
      : octets.subarray(end + 4);
  const lines = header.replace(/\r\n(?=[ \t])/g, "").split("\r\n");
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return colon === -1 ? [line, ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  return { fields: fields.filter(([name]) => name !== ""), body };
}

function fieldOf({ fields }: Entity, wanted: string): string {
  return fields.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? "";
}

function addresses(entity: Entity, name: string): string[] {
  const body = fieldOf(entity, name);
  if (body === "") return [];
  try {
    return parseAddressList(body, name).map(readable);
  } catch {
    return [decodedWords(body)];
  }
}

function readable(address: Address): string {
  const displayName = decodedWords(address.displayName);
  if (!("addrSpec" in address)) return `${displayName}: ${address.mailboxes.map(readable).join(", ")};`;
  if (displayName === "") return address.addrSpec;
  const phrase = SPECIALS.test(displayName) ? `"${displayName.replace(/["\\]/g, "\\$&")}"` : displayName;
  return `${phrase} <${address.addrSpec}>`;
}

function collect(entity: Entity, found: Found, depth: number): void {
  if (++found.parts > PARTS || depth > DEPTH) return;
  const contentType = parameterized(fieldOf(entity, "content-type") || "text/plain");
  const boundary = contentType.value.startsWith("multipart/") ? contentType.parameters.get("boundary") : undefined;
  if (boundary === undefined || boundary === "") return leaf(entity, contentType, found);
  for (const part of partsOf(entity.body, boundary)) collect(entityOf(part), found, depth + 1);
}

/** RFC 2046 section 5.1.1: the line break before a delimiter belongs to the delimiter. */
function partsOf(body: Buffer, boundary: string): Buffer[] {
  const text = body.toString("latin1");
  const delimiter = `--${Buffer.from(boundary).toString("latin1")}`;
  const parts: Buffer[] = [];
  let start = -1;
  for (let at = text.indexOf(delimiter); at !== -1; at = text.indexOf(delimiter, at + delimiter.length)) {
    if (at !== 0 && text[at - 1] !== "\n") continue;
    if (start !== -1) parts.push(body.subarray(start, Math.max(start, at - 2)));
    const lineEnd = text.indexOf("\n", at);
    if (text.startsWith("--", at + delimiter.length) || lineEnd === -1 || parts.length >= PARTS) return parts;
    start = lineEnd + 1;
  }
  if (start !== -1) parts.push(body.subarray(start));
  return parts;
}

function leaf(entity: Entity, contentType: Parameterized, found: Found): void {
  const content = decoded(entity);
  const disposition = parameterized(fieldOf(entity, "content-disposition"));
  const isAttachment = disposition.value === "attachment" || fieldOf(entity, "content-id") !== "";
  if (/^text\/(?:plain|html)$/.test(contentType.value) && !isAttachment) {
    const text = textOf(content, contentType.parameters.get("charset"));
    (contentType.value === "text/html" ? found.htmls : found.texts).push(text);
    return;
  }
  const filename = parameterOf(disposition, "filename") ?? parameterOf(contentType, "name");
  const cid = fieldOf(entity, "content-id").replace(/^<(.*)>$/, "$1") || undefined;
  found.attachments.push({ filename, contentType: contentType.value, cid, content });
}

function decoded(entity: Entity): Buffer {
  const encoding = fieldOf(entity, "content-transfer-encoding").toLowerCase();
  if (encoding === "base64") return Buffer.from(entity.body.toString("latin1"), "base64");
  if (encoding !== "quoted-printable") return entity.body;
  const text = entity.body.toString("latin1").replace(/[ \t]+(?=\r\n|$)/g, "");
  const literal = text.replace(/=\r\n|=([0-9A-Fa-f]{2})/g, (_, octet: string | undefined) =>
    octet === undefined ? "" : String.fromCharCode(Number.parseInt(octet, 16)),
  );
  return Buffer.from(literal, "latin1");
}

function textOf(content: Buffer, charset = "utf-8"): string {
  return (inCharset(content, charset) ?? content.toString()).replace(/\r\n?/g, "\n");
}
