import { domainOf } from "../address/addr-spec.ts";
import { type Mailbox, parseMailbox } from "../address/mailbox.ts";
import type { DeliverableMessage, Envelope } from "../delivery.ts";
import { HeaderError, MessageError } from "../errors.ts";
import { foldTokens, foldUnstructured } from "../mime/folding.ts";
import { alternativePart, type BodyPart, textPart } from "./body.ts";
import { checkDate, dateTime } from "./date-time.ts";
import { checkHeaderText, extraField, mailboxField } from "./header-field.ts";
import { checkMessageId, makeMessageId } from "./message-id.ts";

/** The most recipients that one message may have. */
const RECIPIENT_LIMIT = 100_000;
/** The most header fields that a caller may add. */
const HEADER_LIMIT = 1_000;

/** What a message is made of; Django's `EmailMessage` and `EmailMultiAlternatives` in one. */
export interface MessageFields {
  /** Default: empty. */
  readonly subject?: string | undefined;
  /** The body as plain text. Default: empty, unless there is html. */
  readonly text?: string | undefined;
  /** The body as HTML; beside a text it makes `multipart/alternative`. An empty string is as none. */
  readonly html?: string | undefined;
  /** The author, such as `김철수 <kim@example.com>`. Default: that of the mailer (`DEFAULT_FROM_EMAIL`). */
  readonly from?: string | undefined;
  /** The recipients, one mailbox each. */
  readonly to?: readonly string[] | undefined;
  readonly cc?: readonly string[] | undefined;
  /** Recipients of the envelope that no header field names. */
  readonly bcc?: readonly string[] | undefined;
  readonly replyTo?: readonly string[] | undefined;
  /** Further header fields. Names are case-insensitive; undefined and null are absent, numbers are printed. */
  readonly headers?: Readonly<Record<string, string | number | null | undefined>> | undefined;
  /** With its angle brackets. Default: made once, on the domain of From. */
  readonly messageId?: string | undefined;
  /** Default: the time at which the message was made. */
  readonly date?: Date | undefined;
}

const FIELDS: readonly (keyof MessageFields)[] = [
  "subject",
  "text",
  "html",
  "from",
  "to",
  "cc",
  "bcc",
  "replyTo",
  "headers",
  "messageId",
  "date",
];

/**
 * An e-mail message (RFC 5322). Its fields may change until it is rendered; then it is frozen, and its bytes are the
 * same on every attempt.
 */
export class Message implements DeliverableMessage {
  subject: string;
  text: string;
  html: string;
  from: string | undefined;
  to: string[];
  cc: string[];
  bcc: string[];
  replyTo: string[];
  headers: Record<string, string | number | null | undefined>;
  readonly #date: Date;
  #messageId: string | undefined;
  #envelope: Envelope | undefined;
  #bytes: Uint8Array | undefined;

  /**
   * @throws {MessageError} for a field that does not exist, or a list that is not an array of strings.
   * @throws {HeaderError} for a malformed messageId.
   */
  constructor(fields: MessageFields = {}) {
    const unknown = Object.keys(fields).find((name) => !(FIELDS as readonly string[]).includes(name));
    if (unknown !== undefined)
      throw new MessageError("bad-value", `${unknown}: a message has no such field`, { field: unknown });
    this.subject = textOf(fields.subject, "subject");
    this.text = textOf(fields.text, "text");
    this.html = textOf(fields.html, "html");
    this.from = fields.from === undefined ? undefined : textOf(fields.from, "from");
    this.to = listOf(fields.to, "to");
    this.cc = listOf(fields.cc, "cc");
    this.bcc = listOf(fields.bcc, "bcc");
    this.replyTo = listOf(fields.replyTo, "replyTo");
    this.headers = { ...fields.headers };
    this.#date = new Date(checkDate(fields.date ?? new Date()));
    if (fields.messageId !== undefined) this.#messageId = checkMessageId(fields.messageId);
  }

  /**
   * The Message-ID with its angle brackets, the same before and after sending.
   *
   * @throws {AddressError} when it must be made and `from` is not a mailbox.
   */
  get messageId(): string {
    this.#messageId ??= makeMessageId(domainOf(this.#author().addrSpec));
    return this.#messageId;
  }

  /** The Date field: that which was given, or when the message was made. */
  get date(): Date {
    return new Date(this.#date);
  }

  /** to, cc, bcc in this order, as they were given. */
  recipients(): string[] {
    return [...this.to, ...this.cc, ...this.bcc];
  }

  /**
   * The reverse-path from `from`, and each recipient once.
   *
   * @throws {AddressError} naming the field, when an address is not one mailbox.
   */
  envelope(): Envelope {
    if (this.#envelope !== undefined) return this.#envelope;
    const recipients = [...mailboxes(this.to, "to"), ...mailboxes(this.cc, "cc"), ...mailboxes(this.bcc, "bcc")];
    if (recipients.length > RECIPIENT_LIMIT)
      throw new MessageError("bad-value", `to: more than ${RECIPIENT_LIMIT} recipients`, { field: "to" });
    const forwardPaths = [...new Set(recipients.map((mailbox) => mailbox.addrSpec))];
    return Object.freeze({ reversePath: this.#author().addrSpec, forwardPaths: Object.freeze(forwardPaths) });
  }

  /**
   * The message as SMTP carries it: 7-bit, CRLF line ends. Rendered at the first call, which freezes the message.
   *
   * @throws {HeaderError | AddressError | MessageError} naming the field that cannot be written.
   */
  toBytes(): Uint8Array {
    if (this.#bytes === undefined) {
      const envelope = this.envelope();
      this.#bytes = new TextEncoder().encode(this.#render());
      this.#envelope = envelope;
      this.#freeze();
    }
    return this.#bytes;
  }

  /** A copy that has the author. Both have the same Message-ID and Date, whichever is asked for them first. */
  withFrom(from: string): Message {
    const { subject, text, html, to, cc, bcc, replyTo, headers, date } = this;
    const copy = new Message({
      subject,
      text,
      html,
      from,
      to,
      cc,
      bcc,
      replyTo,
      headers,
      date,
      messageId: this.#messageId,
    });
    this.#messageId = copy.messageId;
    return copy;
  }

  #author(): Mailbox {
    return parseMailbox(this.from ?? "", "from");
  }

  #render(): string {
    const body = this.#body();
    return this.#header() + body.header + "\r\n" + body.content;
  }

  #header(): string {
    const field = (name: string, list: readonly string[], key: string): string =>
      list.length === 0 ? "" : mailboxField(name, mailboxes(list, key));
    return (
      mailboxField("From", [this.#author()]) +
      field("To", this.to, "to") +
      field("Cc", this.cc, "cc") +
      field("Reply-To", this.replyTo, "replyTo") +
      foldUnstructured("Subject", checkHeaderText(this.subject, "subject")) +
      `Date: ${dateTime(this.#date)}\r\n` +
      foldTokens("Message-ID", [this.messageId]) +
      extraFields(this.headers) +
      "MIME-Version: 1.0\r\n"
    );
  }

  #body(): BodyPart {
    const html = this.html === "" ? undefined : textPart(this.html, "html", "html");
    if (html !== undefined && this.text === "") return html;
    const text = textPart(this.text, "plain", "text");
    return html === undefined ? text : alternativePart([text, html], this.messageId);
  }

  #freeze(): void {
    for (const list of [this.to, this.cc, this.bcc, this.replyTo, this.headers]) Object.freeze(list);
    Object.freeze(this);
  }
}

function mailboxes(list: readonly string[], field: string): Mailbox[] {
  return list.map((text, index) => parseMailbox(text, `${field}[${index}]`));
}

function extraFields(headers: Readonly<Record<string, string | number | null | undefined>>): string {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [[name, value] as const],
  );
  if (given.length > HEADER_LIMIT)
    throw new HeaderError("bad-value", `headers: more than ${HEADER_LIMIT} fields`, { field: "headers" });
  const names = new Set<string>();
  return given
    .map(([name, value]) => {
      const field = `headers[${JSON.stringify(name)}]`;
      if (names.has(name.toLowerCase()))
        throw new HeaderError("header-name", `${field}: given twice, in another case`, { field });
      names.add(name.toLowerCase());
      return extraField(name, typeof value === "number" ? String(value) : value);
    })
    .join("");
}

function textOf(value: unknown, field: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new MessageError("bad-value", `${field}: not a string`, { field });
  return value;
}

function listOf(value: unknown, field: string): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value))
    throw new MessageError("bad-value", `${field}: not an array; each recipient is an element of its own`, { field });
  return [...(value as string[])];
}
