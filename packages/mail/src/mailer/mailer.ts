import { type Receipt, replyText, type Transport } from "../delivery.ts";
import { DeliveryError, MessageError } from "../errors.ts";
import type { Message } from "../message/message.ts";

/** Options of {@link createMailer}. */
export interface MailerOptions {
  readonly transport: Transport;
  /** The author of messages that name none. */
  readonly from?: string | undefined;
}

/** Options of {@link Mailer.sendAll}. */
export interface SendAllOptions {
  /** Ends the sending: what is past its end of data is finished, all else is `deferred`. */
  readonly signal?: AbortSignal | undefined;
}

/** Sends messages over one transport, for code without globals. */
export interface Mailer extends AsyncDisposable {
  /**
   * Sends one message.
   *
   * @throws {DeliveryError} with its `receipt`, when it was accepted for no recipient.
   * @throws {HeaderError | AddressError | MessageError} naming the field, when it cannot be rendered.
   * @throws {AuthError} when the credentials are refused.
   */
  send(message: Message): Promise<Receipt>;
  /**
   * Sends any number of messages and yields their receipts as the verdicts come. It never throws for one message.
   *
   * @throws {AuthError} when the credentials are refused, {SmtpError} when three connections in a row fail; `nextIndex`
   * says which message was not tried.
   */
  sendAll(messages: Iterable<Message> | AsyncIterable<Message>, options?: SendAllOptions): AsyncIterable<Receipt>;
  /** Ends the transport's connections. */
  close(): Promise<void>;
}

/** A mailer on a transport, which it closes with itself. */
export function createMailer({ transport, from }: MailerOptions): Mailer {
  const close = (): Promise<void> => transport.close();
  return {
    send: (message) => sendOne(transport, withFrom(message, from)),
    sendAll: (messages, options) => transport.deliver(resolved(messages, from), { signal: options?.signal }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function sendOne(transport: Transport, message: Message): Promise<Receipt> {
  // Rendering it here, streamed or not, lets an error in a field come as itself; what is rendered is kept.
  if (message.streaming === undefined) message.toBytes();
  if (message.recipients().length === 0) {
    throw new MessageError("no-recipients", "to: the message has no recipient", { field: "to" });
  }
  for await (const receipt of transport.deliver([message])) {
    if (receipt.status === "accepted" || receipt.status === "partial") return receipt;
    throw notAccepted(receipt);
  }
  throw new DeliveryError("deferred", "the transport gave no receipt");
}

async function* resolved(
  messages: Iterable<Message> | AsyncIterable<Message>,
  from: string | undefined,
): AsyncGenerator<Message> {
  for await (const message of messages) yield withFrom(message, from);
}

/** The message itself, or a copy that has the default author; without one, rendering says what is missing. */
function withFrom(message: Message, from: string | undefined): Message {
  const needsFrom = message.from === undefined || message.from === "";
  return needsFrom && from !== undefined ? message.withFrom(from) : message;
}

/** The error for a message that no recipient's server accepted. */
export function notAccepted(receipt: Receipt): DeliveryError {
  const status = receipt.status === "refused" || receipt.status === "unknown" ? receipt.status : "deferred";
  const reply = receipt.reply ?? receipt.recipients.find((recipient) => recipient.reply !== undefined)?.reply;
  const reason = receipt.error?.message ?? (reply === undefined ? "no recipient" : replyText(reply));
  return new DeliveryError(status, `the message is ${status}: ${reason}`, { receipt, cause: receipt.error });
}
