import { isAscii as isAsciiBytes } from "node:buffer";
import { domainOf } from "../address/addr-spec.ts";
import { type Mailbox, parseMailbox } from "../address/mailbox.ts";
import type { DeliverableMessage, DeliveryStatusRequest, Envelope, StreamedMessage } from "../delivery.ts";
import { HeaderError, MessageError } from "../errors.ts";
import { isAscii } from "../text.ts";
import { type Alternative, type Attachment, bad, checkAttachment, type Content } from "./attachment.ts";
import { boundarySource, type Piece } from "./body-part.ts";
import { bodyOf } from "./body.ts";
import { checkDate } from "./date-time.ts";
import { deliveryStatusRequest } from "./delivery-status.ts";
import { fileAttachment } from "./file-content.ts";
import type { HeaderValue } from "./header-field.ts";
import { authorsOf, givenMessageId, headerSection } from "./header-section.ts";
import { checkFields, copyOf, listOf, textOf } from "./message-fields.ts";
import { checkMessageId, makeMessageId } from "./message-id.ts";
import { checkCharset } from "./part.ts";
import { bytesOf, sizeOf, streamOf } from "./rendered.ts";

/** The most recipients that one message may have. */
const RECIPIENT_LIMIT = 100_000;

/** What a message is made of; Django's `EmailMessage` and `EmailMultiAlternatives` in one. */
export interface MessageFields {
  /** Default: empty. A number is printed. */
  readonly subject?: string | number | null | undefined;
  /** The body as plain text. Default: empty, and then none beside html or attachments. */
  readonly text?: string | null | undefined;
  /** The body as HTML; beside a text it makes `multipart/alternative`. An empty string is as none. */
  readonly html?: string | null | undefined;
  /**
   * The author, such as `김철수 <kim@example.com>`; several with commas between. Default: that of the mailer
   * (`DEFAULT_FROM_EMAIL`).
   */
  readonly from?: string | null | undefined;
  /** The recipients, one mailbox each. Empty strings are left out. */
  readonly to?: readonly string[] | null | undefined;
  /** More recipients, whom everybody sees. Default: nobody. */
  readonly cc?: readonly string[] | null | undefined;
  /** Recipients of the envelope that no header field names. */
  readonly bcc?: readonly string[] | null | undefined;
  /** Where answers are to go, one mailbox each. Default: to the author. */
  readonly replyTo?: readonly string[] | null | undefined;
  /**
   * Further header fields. Names are case-insensitive. From, To, Cc, Reply-To, Date and Message-ID stand for the
   * message's own, and the envelope stays; Bcc, Subject and those of MIME are errors.
   */
  readonly headers?: Readonly<Record<string, HeaderValue>> | null | undefined;
  /** Files that travel with it, in this order. Default: none. */
  readonly attachments?: readonly Attachment[] | null | undefined;
  /** Further versions of the body, behind html; the last is the richest (RFC 2046 section 5.1.4). */
  readonly alternatives?: readonly Alternative[] | null | undefined;
  /** Of text, html and alternatives. Default: `utf-8`. */
  readonly charset?: string | null | undefined;
  /** With its angle brackets. Default: made once, on the domain of From. */
  readonly messageId?: string | null | undefined;
  /** Default: the time at which the message was made. */
  readonly date?: Date | null | undefined;
  /** Whether the Date field is in this process's time zone; Django's `EMAIL_USE_LOCALTIME`. Default: false, UTC. */
  readonly localTime?: boolean | null | undefined;
  /** What the servers on the way are to report (RFC 3461). Default: what each does by itself. */
  readonly dsn?: DeliveryStatusRequest | null | undefined;
}

interface Rendered {
  /** Once they were joined, the whole alone: so the content is in memory once. */
  pieces: readonly Piece[];
  readonly envelope: Envelope;
  readonly isStreamed: boolean;
}

/**
 * An e-mail message (RFC 5322). Its fields may change until it is rendered; then it is frozen, and its bytes are the
 * same on every attempt.
 */
export class Message implements DeliverableMessage {
  /** On one line; empty where there is none. */ subject: string;
  /** The body as plain text; empty where there is none. */ text: string;
  /** The body as HTML; empty where there is none. */ html: string;
  /** The author, or several with commas between; undefined for the mailer's. */ from: string | undefined;
  /** The recipients, one mailbox each. */ to: string[];
  /** More recipients, whom everybody sees. */ cc: string[];
  /** Recipients of the envelope that no header field names. */ bcc: string[];
  /** Where answers are to go; empty for the author. */ replyTo: string[];
  /** Further header fields, by names in any case. */ headers: Record<string, HeaderValue>;
  /** Files that travel with it, in this order. */ attachments: Attachment[];
  /** Further versions of the body, behind html; the last is the richest. */ alternatives: Alternative[];
  /** Of text, html and alternatives, such as `utf-8`. */ charset: string;
  /** Whether the Date field is in this process's time zone, not in UTC. */ localTime: boolean;
  /** What servers on the way are to report; undefined for their own ways. */ dsn: DeliveryStatusRequest | undefined;
  readonly #date: Date;
  #messageId: string | undefined;
  #rendered: Rendered | undefined;
  #bytes: Uint8Array | undefined;

  /**
   * @throws {MessageError} naming the field, when it does not exist or has a value of the wrong type.
   * @throws {HeaderError} for a malformed messageId.
   */
  constructor(fields: MessageFields = {}) {
    checkFields(fields);
    this.subject = textOf(fields.subject, "subject");
    this.text = textOf(fields.text, "text");
    this.html = textOf(fields.html, "html");
    this.from = fields.from === undefined || fields.from === null ? undefined : textOf(fields.from, "from");
    this.to = listOf(fields.to, "to");
    this.cc = listOf(fields.cc, "cc");
    this.bcc = listOf(fields.bcc, "bcc");
    this.replyTo = listOf(fields.replyTo, "replyTo");
    this.headers = copyOf(fields.headers);
    this.attachments = listOf(fields.attachments, "attachments");
    this.alternatives = listOf(fields.alternatives, "alternatives");
    this.charset = fields.charset ?? "utf-8";
    this.localTime = fields.localTime ?? false;
    this.dsn = deliveryStatusRequest(fields.dsn);
    this.#date = fields.date === undefined || fields.date === null ? new Date() : new Date(checkDate(fields.date));
    if (fields.messageId !== undefined && fields.messageId !== null) this.#messageId = checkMessageId(fields.messageId);
  }

  /**
   * The Message-ID with its angle brackets, the same before and after sending.
   *
   * @throws {AddressError} when it must be made and `from` is not a mailbox.
   */
  get messageId(): string {
    return this.#messageId ?? this.#idOf(this.#author());
  }

  /** The Date field: that which was given, or when the message was made. */
  get date(): Date {
    return new Date(this.#date);
  }

  /** to, cc, bcc in this order, as they were given, but empty strings. */
  recipients(): string[] {
    return [...this.to, ...this.cc, ...this.bcc].filter((recipient) => recipient !== "");
  }

  /**
   * The reverse-path from `from`, each recipient once, and `dsn`.
   *
   * @throws {AddressError} naming the field, when an address is not one mailbox.
   * @throws {MessageError} naming the field, when `dsn` has the original of somebody who is no recipient.
   */
  envelope(): Envelope {
    if (this.#rendered !== undefined) return this.#rendered.envelope;
    return this.#envelope(this.#author(), mailboxes(this.to, "to"), mailboxes(this.cc, "cc"));
  }

  /**
   * Adds an attachment, as Django's `attach`: a file name, content and its type, or an attachment as one object.
   *
   * @throws {MessageError} naming the field; `frozen` when the message was rendered.
   */
  attach(attachment: Attachment): void;
  attach(filename: string | undefined, content: Content | Message, contentType?: string): void;
  attach(first: Attachment | string | undefined, content?: Content | Message, contentType?: string): void {
    this.#checkOpen();
    const isAttachment = typeof first === "object" && first !== null;
    const attachment = isAttachment ? first : ({ filename: first, content, contentType } as Attachment);
    this.attachments.push(checkAttachment(attachment, `attachments[${this.attachments.length}]`));
  }

  /**
   * Adds a file, as Django's `attach_file`. It is looked at now and read when the message is sent, each time anew; one
   * that changed in between fails that attempt.
   *
   * @throws {MessageError} `unreadable`, when there is no such file.
   */
  attachFile(path: string, contentType?: string): void {
    this.attach(fileAttachment(path, contentType));
  }

  /** Adds another version of the body, as Django's `attach_alternative`. @throws {MessageError} naming the field. */
  attachAlternative(content: string | Uint8Array, contentType: string): void {
    this.#checkOpen();
    if (content === undefined || content === null)
      throw bad(`alternatives[${this.alternatives.length}].content`, "must be provided");
    this.alternatives.push({ content, contentType });
  }

  /**
   * The message as SMTP carries it. Rendered at the first call, which freezes the message.
   *
   * @throws {HeaderError | AddressError | MessageError} naming the field that cannot be written; `streamed` when there
   * is content that is read as it is sent.
   */
  toBytes(): Uint8Array {
    const rendered = this.#render();
    if (rendered.isStreamed)
      throw new MessageError("streamed", "toBytes: the message has streamed content; use toStream()", {
        field: "attachments",
      });
    if (this.#bytes === undefined) {
      this.#bytes = bytesOf(rendered.pieces as Parameters<typeof bytesOf>[0]);
      rendered.pieces = [this.#bytes];
    }
    return this.#bytes;
  }

  /** The same in chunks, streamed content included; each call reads it anew. */
  toStream(): AsyncIterable<Uint8Array> {
    return streamOf(this.#render().pieces);
  }

  /** How to send it without having it in memory; undefined where {@link toBytes} does. */
  get streaming(): StreamedMessage | undefined {
    const { pieces, isStreamed } = this.#render();
    if (!isStreamed) return undefined;
    const [header = ""] = pieces;
    return {
      size: sizeOf(pieces),
      eightBit: !pieces.every((piece) =>
        typeof piece === "string" ? isAscii(piece) : !(piece instanceof Uint8Array) || isAsciiBytes(piece),
      ),
      smtpUtf8: typeof header === "string" && !isAscii(header),
      open: () => streamOf(pieces),
    };
  }

  /** A copy that has the author. Both have the same Message-ID and Date, whichever is asked for them first. */
  withFrom(from: string): Message {
    const copy = new Message({ ...this, from, date: this.#date, messageId: this.#messageId });
    this.#messageId = copy.messageId;
    return copy;
  }

  #idOf(author: Mailbox): string {
    const given = givenMessageId(this.headers);
    this.#messageId ??= given ?? makeMessageId(domainOf(author.addrSpec));
    if (given === undefined || given === this.#messageId) return this.#messageId;
    throw new HeaderError("bad-value", "messageId: not the Message-ID that headers has; give it once", {
      field: "messageId",
    });
  }

  #author(): Mailbox {
    return authorsOf(this.from ?? "")[0];
  }

  #envelope(author: Mailbox, to: readonly Mailbox[], cc: readonly Mailbox[]): Envelope {
    const bcc = mailboxes(this.bcc, "bcc");
    if (to.length + cc.length + bcc.length > RECIPIENT_LIMIT)
      throw bad("to", `more than ${RECIPIENT_LIMIT} recipients`);
    const forwardPaths = Object.freeze(uniquePaths(cc.length + bcc.length === 0 ? to : [...to, ...cc, ...bcc]));
    const dsn = deliveryStatusRequest(this.dsn, forwardPaths);
    const reversePath = author.addrSpec;
    return Object.freeze(dsn === undefined ? { reversePath, forwardPaths } : { reversePath, forwardPaths, dsn });
  }

  #render(): Rendered {
    if (this.#rendered !== undefined) return this.#rendered;
    const to = mailboxes(this.to, "to");
    const cc = mailboxes(this.cc, "cc");
    const from = authorsOf(this.from ?? "");
    const envelope = this.#envelope(from[0], to, cc);
    const messageId = this.#idOf(from[0]);
    const { subject, text, html, headers, alternatives, localTime } = this;
    const attachments = this.attachments.map((given, index) => checkAttachment(given, `attachments[${index}]`));
    const replyTo = mailboxes(this.replyTo, "replyTo");
    const header = headerSection({ from, to, cc, replyTo, subject, date: this.#date, localTime, messageId, headers });
    const charset = checkCharset(this.charset);
    const body = bodyOf({ text, html, alternatives, attachments, charset }, boundarySource(messageId));
    const head: Piece[] = [`${header}MIME-Version: 1.0\r\n${body.header}\r\n`];
    const pieces = head.concat(body.pieces);
    const isStreamed = pieces.some((piece) => typeof piece === "object" && "open" in piece);
    this.#rendered = { pieces, envelope, isStreamed };
    this.#freeze();
    return this.#rendered;
  }

  #checkOpen(): void {
    if (this.#rendered !== undefined)
      throw new MessageError("frozen", "the message was rendered, and does not change any more");
  }

  #freeze(): void {
    const { to, cc, bcc, replyTo, headers, attachments, alternatives } = this;
    for (const field of [to, cc, bcc, replyTo, headers, attachments, alternatives]) Object.freeze(field);
    Object.freeze(this);
  }
}

/** Each once. One mailbox, as nearly every message has, needs no set. */
function uniquePaths(mailboxes: readonly Mailbox[]): string[] {
  const paths = mailboxes.map(({ addrSpec }) => addrSpec);
  return paths.length < 2 ? paths : [...new Set(paths)];
}

const NOBODY: readonly Mailbox[] = [];

function mailboxes(list: readonly string[], field: string): readonly Mailbox[] {
  if (list.length === 0) return NOBODY;
  const parse = (text: string, index: number): Mailbox => parseMailbox(text, `${field}[${index}]`);
  if (!list.includes("")) return list.map(parse);
  return list.flatMap((text, index) => (text === "" ? [] : parse(text, index)));
}
