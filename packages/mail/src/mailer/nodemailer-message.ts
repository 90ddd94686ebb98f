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
  readonly from?: NodemailerAddresses;
  readonly sender?: NodemailerAddresses;
  readonly to?: NodemailerAddresses;
  readonly cc?: NodemailerAddresses;
  readonly bcc?: NodemailerAddresses;
  readonly replyTo?: NodemailerAddresses;
  readonly subject?: string | null | undefined;
  readonly text?: NodemailerContent;
  readonly html?: NodemailerContent;
  readonly attachments?: readonly NodemailerAttachment[] | null | undefined;
  readonly alternatives?: readonly NodemailerAttachment[] | null | undefined;
  readonly icalEvent?: NodemailerContent | (NodemailerAttachment & { readonly method?: string });
  readonly headers?: NodemailerHeaders;
  readonly list?: NodemailerList;
  readonly priority?: "high" | "normal" | "low" | null | undefined;
  readonly messageId?: string | null | undefined;
  readonly date?: Date | string | null | undefined;
  readonly inReplyTo?: string | null | undefined;
  readonly references?: string | readonly string[] | null | undefined;
  readonly envelope?:
    | { readonly from?: unknown; readonly to?: unknown; readonly cc?: unknown; readonly bcc?: unknown }
    | null
    | undefined;
  /** A whole message (RFC 5322), with `envelope`. */
  readonly raw?: NodemailerContent;
  /** True: `path` of an attachment is an error. */
  readonly disableFileAccess?: boolean | undefined;
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
