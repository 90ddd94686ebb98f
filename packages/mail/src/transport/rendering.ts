import type { DeliverableMessage, DeliverOptions, Envelope, Receipt } from "../delivery.ts";
import { MessageError } from "../errors.ts";

/** A message as its transport takes it. */
export interface Rendered {
  readonly index: number;
  readonly messageId: string;
  readonly envelope: Envelope;
  readonly content: Uint8Array;
  /** Whether the content has octets above 127. */
  readonly eightBit: boolean;
}

/**
 * What every transport does first, so that what one accepts no other refuses. A message that cannot be rendered, or has
 * no recipient, is refused with its error: that is a verdict, and the messages behind it are delivered.
 */
export function render(message: DeliverableMessage, index: number): Rendered | Receipt {
  let messageId = "";
  try {
    messageId = message.messageId;
    const envelope = message.envelope();
    const content = message.toBytes();
    if (envelope.forwardPaths.length === 0)
      throw new MessageError("no-recipients", "to: the message has no recipient", { field: "to" });
    return { index, messageId, envelope, content, eightBit: content.some((octet) => octet > 127) };
  } catch (cause) {
    const error =
      cause instanceof Error ? cause : new MessageError("bad-value", "the message cannot be rendered", { cause });
    return { index, messageId, status: "refused", recipients: [], error };
  }
}

/** The verdict on a message that surely was not sent. */
export function deferredReceipt(index: number, messageId: string, envelope: Envelope, error: Error): Receipt {
  const recipients = envelope.forwardPaths.map((address) => ({ address, status: "deferred" as const }));
  return { index, messageId, status: "deferred", recipients, error };
}

/**
 * The delivery of a transport that has no server: what can be rendered is taken, and so accepted by all recipients.
 *
 * @param take does with it what the transport is for; if it fails, the message is deferred.
 */
export async function* deliverEach(
  messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
  options: DeliverOptions,
  take: (rendered: Rendered, message: DeliverableMessage) => void | Promise<void>,
): AsyncGenerator<Receipt> {
  let index = 0;
  for await (const message of messages) {
    const rendered = render(message, index++);
    yield "status" in rendered ? rendered : await taken(rendered, options, () => take(rendered, message));
  }
}

async function taken(rendered: Rendered, options: DeliverOptions, take: () => void | Promise<void>): Promise<Receipt> {
  const { index, messageId, envelope } = rendered;
  try {
    options.signal?.throwIfAborted();
    await options.beforeEndOfData?.([{ index, messageId }]);
    await take();
  } catch (cause) {
    const error = cause instanceof Error ? cause : new MessageError("aborted", "the delivery was given up", { cause });
    return deferredReceipt(index, messageId, envelope, error);
  }
  const recipients = envelope.forwardPaths.map((address) => ({ address, status: "accepted" as const }));
  return { index, messageId, status: "accepted", recipients };
}
