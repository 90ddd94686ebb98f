import { isAscii as isAsciiBytes } from "node:buffer";
import { isUint8Array } from "node:util/types";
import type { DeliverableMessage, DeliverOptions, Envelope, Receipt } from "../delivery.ts";
import { parsePath } from "../address/addr-spec.ts";
import { MessageError } from "../errors.ts";
import { deliveryStatusRequest } from "../message/delivery-status.ts";
import { Message } from "../message/message.ts";
import { octetStream } from "../message/octet-stream.ts";
import { isAscii } from "../text.ts";
import { SourceIterator } from "./source-iterator.ts";

/** A message as its transport takes it. */
export interface Rendered {
  readonly index: number;
  readonly messageId: string;
  readonly envelope: Envelope;
  /** The octets, or how to read them. */
  readonly content: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** In octets; undefined of a stream whose length nobody knows. */
  readonly size: number | undefined;
  /** Whether the content has octets above 127. */
  readonly eightBit: boolean;
  /** Whether an address or a header field is not ASCII (RFC 6531). */
  readonly smtpUtf8: boolean;
}

/**
 * What every transport does first, so that what one accepts no other refuses. A message that cannot be rendered, or has
 * no recipient, is refused with its error: that is a verdict, and the messages behind it are delivered.
 */
export function render(message: DeliverableMessage, index: number): Rendered | Receipt {
  let messageId = "";
  try {
    messageId = message.messageId;
    const body = bodyOf(message);
    const envelope = message instanceof Message ? message.envelope() : checkedEnvelope(message.envelope());
    if (envelope.forwardPaths.length === 0) {
      throw new MessageError("no-recipients", "to: the message has no recipient", { field: "to" });
    }
    return { index, messageId, envelope, ...body, smtpUtf8: body.smtpUtf8 || !isAsciiEnvelope(envelope) };
  } catch (cause) {
    const error =
      cause instanceof Error ? cause : new MessageError("bad-value", "the message cannot be rendered", { cause });
    return { index, messageId, status: "refused", recipients: [], error };
  }
}

function bodyOf(message: DeliverableMessage): Pick<Rendered, "content" | "size" | "eightBit" | "smtpUtf8"> {
  const { streaming } = message;
  if (streaming !== undefined) {
    const { size, eightBit, smtpUtf8 } = streaming;
    const sevenBitBy = eightBit ? undefined : "streaming.eightBit";
    return { content: () => octetStream(streaming.open(), "content", sevenBitBy), size, eightBit, smtpUtf8 };
  }
  const content = message.toBytes();
  if (!isUint8Array(content))
    throw new MessageError("bad-value", "content: must be a Uint8Array", { field: "content" });
  const eightBit = !isAsciiBytes(content);
  // What was rendered here has CRLF throughout; looking for others costs 2 µs in 3 kB.
  const isCanonical = message.toBytes === Message.prototype.toBytes;
  const size = sizeAsSent(content, isCanonical);
  return { content, size, eightBit, smtpUtf8: eightBit && !isAsciiBytes(headerSection(content)) };
}

const CR = 0x0d;
const LF = 0x0a;

/** RFC 1870 section 5: every line counts with its CRLF, a bare CR or LF and the missing end of the last line too. */
function sizeAsSent(content: Uint8Array, isCanonical: boolean): number {
  const last = content.at(-1);
  const size = content.length + (isCanonical ? 0 : bareLineEnds(content));
  return last === undefined || last === LF || last === CR ? size : size + 2;
}

function bareLineEnds(content: Uint8Array): number {
  let count = 0;
  for (let index = 0; index < content.length; index++) {
    const octet = content[index] ?? 0;
    if (octet > CR) continue;
    if (octet === LF ? content[index - 1] !== CR : octet === CR && content[index + 1] !== LF) count++;
  }
  return count;
}

/** A foreign message's envelope, before it becomes commands. */
function checkedEnvelope(given: Envelope): Envelope {
  const reversePath = given.reversePath === "" ? "" : parsePath(given.reversePath, "reversePath");
  const forwardPaths = given.forwardPaths.map((path, index) => parsePath(path, `forwardPaths[${index}]`));
  const dsn = deliveryStatusRequest(given.dsn, forwardPaths);
  return { reversePath, forwardPaths, ...(dsn && { dsn }) };
}

function isAsciiEnvelope({ reversePath, forwardPaths }: Envelope): boolean {
  return isAscii(reversePath) && forwardPaths.every(isAscii);
}

/** What stands before the first empty line, where lines end as they will when they are sent: by CRLF, CR or LF. */
function headerSection(content: Uint8Array): Uint8Array {
  let isEmpty = true;
  for (let index = 0; index < content.length; index++) {
    const octet = content[index];
    if (octet !== CR && octet !== LF) isEmpty = false;
    else if (isEmpty) return content.subarray(0, index);
    else {
      isEmpty = true;
      if (octet === CR && content[index + 1] === LF) index++;
    }
  }
  return content;
}

/** The verdict on a message that surely was not sent: refused where its content would be no other the next time. */
export function unsentReceipt(index: number, messageId: string, envelope: Envelope, error: Error): Receipt {
  const status = error instanceof MessageError && error.code === "bad-value" ? "refused" : "deferred";
  const recipients = envelope.forwardPaths.map((address) => ({ address, status }) as const);
  return { index, messageId, status, recipients, error };
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
  for await (const message of untilAborted(messages, options.signal)) {
    const rendered = render(message, index++);
    if ("status" in rendered) yield rendered;
    else yield await taken(rendered, options, () => take(legible(rendered), message));
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
    return unsentReceipt(index, messageId, envelope, error);
  }
  const recipients = envelope.forwardPaths.map((address) => ({ address, status: "accepted" as const }));
  return { index, messageId, status: "accepted", recipients };
}

/** With content whose failure is told from that of the transport that reads it. */
function legible(rendered: Rendered): Rendered {
  const { content } = rendered;
  return content instanceof Uint8Array ? rendered : { ...rendered, content: () => legibly(content()) };
}

async function* legibly(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content;
  } catch (cause) {
    if (cause instanceof MessageError) throw cause;
    throw new MessageError("aborted", "the content could not be read", { cause });
  }
}

/** The content as one, for who keeps it. */
export async function contentOf({ content }: Rendered): Promise<Uint8Array> {
  if (content instanceof Uint8Array) return content;
  return Buffer.concat(await Array.fromAsync(content()));
}

/** The source, up to the abort, however long it takes to give the next message. */
export async function* untilAborted<T>(
  source: Iterable<T> | AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = new SourceIterator(source);
  let onAbort = (): void => undefined;
  // One promise for them all would keep a reaction for each message until the end.
  const listener = (): void => onAbort();
  signal.addEventListener("abort", listener);
  try {
    while (!signal.aborted) {
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        onAbort = () => resolve(undefined);
        Promise.resolve(iterator.next()).then(resolve, reject);
      });
      if (next === undefined || next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", listener);
    iterator.leave();
  }
}
