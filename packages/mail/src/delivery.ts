/** What SMTP routes by (RFC 5321 section 2.3.1). */
export interface Envelope {
  /** The address for bounces, an addr-spec; empty is the null reverse-path `<>` (RFC 5321 section 4.5.5). */
  readonly reversePath: string;
  /** The recipients' addr-specs, each once, in the order to, cc, bcc. */
  readonly forwardPaths: readonly string[];
  /** What the servers on the way are to report. Default: what each does by itself, a report of failure. */
  readonly dsn?: DeliveryStatusRequest | undefined;
}

/**
 * A request for delivery status notifications (RFC 3461). A server that does not offer DSN gets no such message: it is
 * refused with `extension-missing`.
 */
export interface DeliveryStatusRequest {
  /** When to report, or never; for every recipient alike. Default: the parameter is left out, so on failure. */
  readonly notify?: "never" | readonly ("success" | "failure" | "delay")[] | undefined;
  /** What a report of failure holds of the message. Default: as the server likes. */
  readonly ret?: "full" | "headers" | undefined;
  /** A name for this sending that reports repeat: printable ASCII, up to 100 characters. */
  readonly envelopeId?: string | undefined;
  /** The recipient as the sender wrote it, where it differs from the forward-path, by forward-path (ORCPT). */
  readonly originalRecipients?: Readonly<Record<string, string>> | undefined;
}

/** What a server said (RFC 5321 section 4.2). */
export interface Reply {
  /** Three digits, 200 to 599. */
  readonly code: number;
  /** The enhanced status code, such as `5.1.1`, where the reply's first line begins with one (RFC 2034). */
  readonly enhanced?: string;
  /** The text of each line, without the code. */
  readonly lines: readonly string[];
}

/** The verdict for one recipient. `unknown`: the connection died between the end of data and its reply. */
export type RecipientStatus = "accepted" | "deferred" | "refused" | "unknown";

/** The verdict for a message: its recipients' where they agree, else `partial` if any was accepted. */
export type ReceiptStatus = RecipientStatus | "partial";

/** What a reply answered: a command of the mail transaction, or its end of data. */
export type Phase = "MAIL" | "RCPT" | "DATA" | "BDAT" | "RSET" | "end-of-data";

/** The verdict for one recipient, with the reply that decided it. */
export interface RecipientOutcome {
  /** The forward-path, as the envelope has it. */
  readonly address: string;
  /** Whether a server took the message for this recipient. */
  readonly status: RecipientStatus;
  /** The server's word on this recipient, or else on the message; absent where it said neither. */
  readonly reply?: Reply;
  /** What the reply answered. */
  readonly phase?: Phase;
}

/** The verdict for one message. */
export interface Receipt {
  /** The message's place in what was handed over, from 0. */
  readonly index: number;
  /** With its angle brackets; empty where the message could not even be given one. */
  readonly messageId: string;
  /** That of its recipients where they agree. */
  readonly status: ReceiptStatus;
  /** Each forward-path once, in the envelope's order; empty where the message has no envelope that could be read. */
  readonly recipients: readonly RecipientOutcome[];
  /** The reply that decided the message as a whole: to the end of data, or to MAIL or DATA where they were refused. */
  readonly reply?: Reply;
  /** Why there was no reply: the message could not be rendered, the connection not be made or kept, the caller aborted. */
  readonly error?: Error;
}

/** A message that is read as it is sent. */
export interface StreamedMessage {
  /** In octets, with CRLF for each line end (RFC 1870 section 5); undefined where it shows only as it is read. */
  readonly size: number | undefined;
  /** Whether there are octets above 127; one that comes although this is false refuses the message. */
  readonly eightBit: boolean;
  /** Whether a header field is not ASCII. */
  readonly smtpUtf8: boolean;
  /** Its octets, from the start at each call. */
  open(): AsyncIterable<Uint8Array>;
}

/** What a transport needs of a message. {@link Message} is one. */
export interface DeliverableMessage {
  /** With its angle brackets, and the same on every attempt. */
  readonly messageId: string;
  /** By whom and to whom it goes. @throws {AddressError} when an address is not one. */
  envelope(): Envelope;
  /** The same bytes at every call. @throws {PosthasteError} when the message cannot be rendered. */
  toBytes(): Uint8Array;
  /** How to read it piece by piece, where it has no bytes to have at once. Default: undefined. */
  readonly streaming?: StreamedMessage | undefined;
}

/** One message whose end of data is about to leave. */
export interface EndOfData {
  /** The message's place in what was handed over, from 0, as in its receipt. */
  readonly index: number;
  /** With its angle brackets. */
  readonly messageId: string;
}

/** Options of {@link Transport.deliver}. */
export interface DeliverOptions {
  /** Ends the delivery: what is past DATA is finished, all else is `deferred`. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Awaited before the end of data of the messages in the batch may leave, so that whoever keeps an outbox can make
   * *committing* durable first. If it rejects, the end of data never leaves and the messages are `deferred`.
   */
  readonly beforeEndOfData?: ((batch: readonly EndOfData[]) => void | Promise<void>) | undefined;
  /**
   * For this delivery, up to so many connections at once where the transport has fewer, 1 to 1000. Transports without
   * connections have no use for it. Default: what the transport was made with.
   */
  readonly connections?: number | undefined;
}

/** That which takes messages to their next hop. Django's documentation calls it an e-mail backend. */
export interface Transport {
  /**
   * Delivers each message and yields its receipt when its verdict comes. The source is read no faster than messages
   * go out. A message that fails never stops the others.
   *
   * @throws {AuthError} when the credentials are refused, {SmtpError} when three connections in a row fail; `nextIndex`
   * of the error says which message was not tried.
   */
  deliver(
    messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
    options?: DeliverOptions,
  ): AsyncIterable<Receipt>;
  /** Ends the connections that are open. */
  close(): Promise<void>;
}

const FINAL_ORDER = ["unknown", "deferred", "refused"] as const;

/** The message's status that follows from its recipients': all alike, else partial, unknown, deferred, refused. */
export function receiptStatus(recipients: readonly RecipientOutcome[]): ReceiptStatus {
  const [first] = recipients;
  if (first !== undefined && recipients.length === 1) return first.status;
  const statuses = new Set(recipients.map((recipient) => recipient.status));
  if (statuses.has("accepted")) return statuses.size === 1 ? "accepted" : "partial";
  return FINAL_ORDER.find((status) => statuses.has(status)) ?? "refused";
}

/** A reply on one line, for an error's message. */
export function replyText({ code, lines }: Reply): string {
  return `${code} ${lines.join(" / ").slice(0, 500)}`.trimEnd();
}
