import { parsePath } from "../address/addr-spec.ts";
import type { Envelope } from "../delivery.ts";
import { MessageError } from "../errors.ts";
import type { HeaderValue } from "../message/header-field.ts";
import { Message } from "../message/message.ts";
import { readMessage } from "../transport/reading.ts";
import {
  addSpecs,
  headersOf,
  mailboxTexts,
  type NodemailerAddresses,
  type NodemailerHeaders,
  type NodemailerList,
} from "./nodemailer-header.ts";
import {
  alternativesOf,
  attachmentsOf,
  type NodemailerAttachment,
  type NodemailerContent,
  octetsOf,
  textOf,
} from "./nodemailer-content.ts";

/** The data of nodemailer's `sendMail`, as far as it can be carried over. */
export interface NodemailerMessage {
  /** The author, or several. Default: the mailer's. */
  readonly from?: NodemailerAddresses;
  /** Who sent it for the author: one mailbox. Default: none. */
  readonly sender?: NodemailerAddresses;
  /** The recipients; a text may hold several with commas between. Groups are errors. */
  readonly to?: NodemailerAddresses;
  /** More recipients, whom everybody sees. */
  readonly cc?: NodemailerAddresses;
  /** Recipients of the envelope that no header field names. */
  readonly bcc?: NodemailerAddresses;
  /** Where answers are to go. Default: to the author. */
  readonly replyTo?: NodemailerAddresses;
  /** On one line: a line break in it is an error. Default: empty. */
  readonly subject?: string | null | undefined;
  /** The body as plain text, in UTF-8. Default: none. */
  readonly text?: NodemailerContent;
  /** The body as HTML, in UTF-8. Default: none. */
  readonly html?: NodemailerContent;
  /** Files behind the body; those with a `cid` belong to the HTML. */
  readonly attachments?: readonly NodemailerAttachment[] | null | undefined;
  /** Further versions of the body, behind html; the last is the richest. */
  readonly alternatives?: readonly NodemailerAttachment[] | null | undefined;
  /** A calendar, as a version of the body and as a file `invite.ics`. Default of `method`: `PUBLISH`. */
  readonly icalEvent?: NodemailerContent | (NodemailerAttachment & { readonly method?: string });
  /** Further header fields. Prepared values are errors. */
  readonly headers?: NodemailerHeaders;
  /** The List-* fields (RFC 2369), such as `unsubscribe`, by URL or address. */
  readonly list?: NodemailerList;
  /** Makes X-Priority, X-MSMail-Priority and Importance. Default, and for `normal`: none of them. */
  readonly priority?: "high" | "normal" | "low" | null | undefined;
  /** With its angle brackets. Default: made once, on the domain of From. */
  readonly messageId?: string | null | undefined;
  /** A time, or a text that `Date` reads. Default: now. */
  readonly date?: Date | string | null | undefined;
  /** The Message-ID that this answers, with or without angle brackets. */
  readonly inReplyTo?: string | null | undefined;
  /** The Message-IDs of the thread, the oldest first; a text has spaces between. */
  readonly references?: string | readonly string[] | null | undefined;
  /** By whom and to whom it goes, whatever its header says. An error with a mailer that adds to messages. */
  readonly envelope?:
    | { readonly from?: unknown; readonly to?: unknown; readonly cc?: unknown; readonly bcc?: unknown }
    | null
    | undefined;
  /** A whole message (RFC 5322), with `envelope`. */
  readonly raw?: NodemailerContent;
  /** True: `path` of an attachment is an error. */
  readonly disableFileAccess?: boolean | undefined;
  /** Gives the message up as long as its end of data has not left. */
  readonly signal?: AbortSignal | null | undefined;
  readonly [field: string]: unknown;
}

const FIELDS: ReadonlySet<string> = new Set([
  ...["from", "sender", "to", "cc", "bcc", "replyTo", "subject", "text", "html", "attachments", "alternatives"],
  ...["icalEvent", "headers", "list", "priority", "messageId", "date", "inReplyTo", "references", "envelope", "raw"],
  ...["disableFileAccess", "disableUrlAccess", "signal"],
]);
/** What may stand beside `raw`: nodemailer ignores the rest, and here nothing is dropped. */
const BESIDE_RAW: ReadonlySet<string> = new Set([
  "raw",
  "envelope",
  "messageId",
  "disableFileAccess",
  "disableUrlAccess",
  "signal",
]);
/** What nodemailer knows and we do not carry over; with plugins, other fields are theirs. */
const REFUSED: ReadonlySet<string> = new Set([
  ...["amp", "watchHtml", "otp", "encoding", "textEncoding", "dkim", "dsn", "auth", "ses", "maxRecipients"],
  ...[
    "requireTLSExtensionEnabled",
    "attachDataUrls",
    "normalizeHeaderKey",
    "boundaryPrefix",
    "baseBoundary",
    "xMailer",
  ],
]);

/** The message of nodemailer's data. @throws {PosthasteError} naming the field that cannot be carried over. */
export async function messageOf(data: NodemailerMessage, hasPlugins = false, readFiles = false): Promise<Message> {
  const given = Object.keys(data).filter((name) => !isAbsent(data[name]));
  const isRaw = given.includes("raw");
  const allowed = isRaw ? BESIDE_RAW : FIELDS;
  const foreign = given.find((name) => !allowed.has(name) && (!hasPlugins || REFUSED.has(name) || FIELDS.has(name)));
  if (foreign !== undefined) throw bad(foreign, isRaw ? "cannot stand beside raw" : "cannot be carried over");
  if (isRaw) return rawMessage(data);
  const message = new BridgedMessage(await fieldsOf(data, readFiles));
  if (!isAbsent(data.envelope)) message.bridge(envelopeOf(data.envelope));
  return message;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === false || value === "";
}

async function fieldsOf(
  data: NodemailerMessage,
  readFiles: boolean,
): Promise<ConstructorParameters<typeof Message>[0]> {
  const mayRead = readFiles && data.disableFileAccess !== true;
  const calendar = await alternativesOf(isAbsent(data.icalEvent) ? [] : [calendarOf(data.icalEvent)], "icalEvent");
  const from = mailboxTexts(data.from, "from").join(", ");
  return {
    subject: data.subject,
    from: from === "" ? undefined : from,
    to: mailboxTexts(data.to, "to"),
    cc: mailboxTexts(data.cc, "cc"),
    bcc: mailboxTexts(data.bcc, "bcc"),
    replyTo: mailboxTexts(data.replyTo, "replyTo"),
    text: await textOf(data.text, "text"),
    html: await textOf(data.html, "html"),
    alternatives: [...(await alternativesOf(data.alternatives ?? [], "alternatives")), ...calendar],
    attachments: [
      ...(await attachmentsOf(data.attachments ?? [], mayRead)),
      ...calendar.map(({ content }) => ({ filename: "invite.ics", content, contentType: "application/ics" })),
    ],
    headers: headersOf(data) as Record<string, HeaderValue>,
    messageId: isAbsent(data.messageId) ? undefined : data.messageId,
    date: isAbsent(data.date) ? undefined : dateOf(data.date),
  };
}

function dateOf(given: unknown): Date {
  const date = given instanceof Date ? given : new Date(String(given));
  if (Number.isNaN(date.getTime())) throw bad("date", "not a date");
  return date;
}

/** Nodemailer's shape of an invitation: a version of the body, and a file beside it. */
function calendarOf(given: NodemailerMessage["icalEvent"]): NodemailerAttachment {
  const isObject = typeof given === "object" && given !== null && "content" in given;
  const {
    content,
    method = "PUBLISH",
    ...others
  } = isObject ? (given as { content: NodemailerContent; method?: string }) : { content: given as NodemailerContent };
  if (!/^[A-Za-z]{1,20}$/.test(method)) throw bad("icalEvent.method", "not a method such as REQUEST");
  return { ...others, content, contentType: `text/calendar; method=${method.toUpperCase()}` };
}

async function rawMessage({ raw, envelope, messageId }: NodemailerMessage): Promise<Message> {
  if (isAbsent(envelope)) throw bad("envelope", "must be given with raw");
  const octets = await octetsOf(raw, "raw");
  const { fields } = readMessage(octets);
  const own = fields.find(([name]) => name.toLowerCase() === "message-id")?.[1] ?? messageId ?? "";
  const given = envelopeOf(envelope);
  const message = new BridgedMessage({ from: given.reversePath });
  message.bridge(given, { octets, messageId: own });
  return message;
}

function envelopeOf(envelope: NodemailerMessage["envelope"]): Envelope {
  const { from, to, cc, bcc, ...others } = envelope ?? {};
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw bad(`envelope.${unknown}`, "cannot be carried over");
  const [reversePath = "", ...more] = isAbsent(from) ? [] : addSpecs(from, "envelope.from");
  if (more.length > 0) throw bad("envelope.from", "must be one address");
  const lists = [to, cc, bcc].flatMap((list) => (isAbsent(list) ? [] : addSpecs(list, "envelope.to")));
  const forwardPaths = [...new Set(lists)].map((path) => parsePath(path, "envelope.to"));
  return { reversePath, forwardPaths };
}

/** What was composed elsewhere. */
interface RawContent {
  readonly octets: Uint8Array;
  readonly messageId: string;
}

/** A message with an envelope, or octets, of its own. */
class BridgedMessage extends Message {
  readonly #bridged: { envelope?: Envelope; raw?: RawContent } = {};

  bridge(envelope: Envelope, raw?: RawContent): void {
    this.#bridged.envelope = envelope;
    if (raw !== undefined) this.#bridged.raw = raw;
  }

  override get messageId(): string {
    return this.#bridged.raw?.messageId ?? super.messageId;
  }

  override envelope(): Envelope {
    return this.#bridged.envelope ?? super.envelope();
  }

  override toBytes(): Uint8Array {
    return this.#bridged.raw?.octets ?? super.toBytes();
  }

  override get streaming(): Message["streaming"] {
    return this.#bridged.raw === undefined ? super.streaming : undefined;
  }

  /** A copy would go to To instead of the envelope, or be composed anew. */
  override withFrom(from: string): Message {
    if (this.#bridged.envelope === undefined) return super.withFrom(from);
    const field = this.#bridged.raw === undefined ? "envelope" : "raw";
    throw bad(field, "cannot go through a mailer that adds from, headers or interceptors to messages");
  }
}

function bad(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
