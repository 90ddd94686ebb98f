/**
 * What a mailer does to a message before its transport gets it: defaults, interceptors, suppression. It works on a copy,
 * and only where there is something to change.
 *
 * A message that falls out here still goes to the transport, as one that cannot be rendered: so each message keeps its
 * place, and the transport gives its receipt in order. A note says what that receipt is to say.
 */
import type { DeliverableMessage, Receipt, RecipientOutcome } from "../delivery.ts";
import { receiptStatus } from "../delivery.ts";
import { DeliveryError, MessageError } from "../errors.ts";
import type { Message } from "../message/message.ts";
import type { ResolvedMailerOptions } from "./mailer-options.ts";
import { freeze, OutgoingMessage } from "./outgoing-message.ts";

/** What the transport's receipt for a message does not know. */
export interface Note {
  /** Of the whole envelope, in its order. */
  readonly forwardPaths: readonly string[];
  /** Those that were left out of it. */
  readonly withheld: ReadonlySet<string>;
  /** What the left out are. */
  readonly status: "refused" | "deferred";
  readonly error: Error;
}

/** The messages as the transport is to get them, and the notes, by index, on those whose receipt needs one. */
export interface Prepared {
  readonly messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>;
  readonly notes: Map<number, Note>;
}

/**
 * Prepares the messages as they are asked for. A source that is synchronous stays so, where no interceptor and no
 * suppression may have to wait: an asynchronous generator in between would cost 2 µs a message.
 */
export function prepared(source: Iterable<Message> | AsyncIterable<Message>, options: ResolvedMailerOptions): Prepared {
  const notes = new Map<number, Note>();
  const mayWait = options.interceptors.length > 0 || options.suppression !== undefined;
  if (mayWait) return { messages: inspected(source, options, notes), notes };
  if (Symbol.iterator in source) return { messages: defaulted(source, options), notes };
  return { messages: defaultedLater(source, options), notes };
}

function* defaulted(source: Iterable<Message>, options: ResolvedMailerOptions): Generator<DeliverableMessage> {
  for (const message of source) yield withDefaults(message, options);
}

async function* defaultedLater(
  source: AsyncIterable<Message>,
  options: ResolvedMailerOptions,
): AsyncGenerator<DeliverableMessage> {
  for await (const message of source) yield withDefaults(message, options);
}

async function* inspected(
  source: Iterable<Message> | AsyncIterable<Message>,
  options: ResolvedMailerOptions,
  notes: Map<number, Note>,
): AsyncGenerator<DeliverableMessage> {
  let index = 0;
  for await (const message of source) {
    const place = index++;
    yield await inspect(message, options, (note) => void notes.set(place, note));
  }
}

/** The message itself, or a copy that has what it lacks. */
function withDefaults(message: Message, options: ResolvedMailerOptions): DeliverableMessage {
  try {
    const lacking = lackingOf(message, options);
    if (lacking === undefined) return message;
    const copy = message.withFrom(lacking.from);
    complete(copy, lacking, options);
    freeze(message);
    return copy;
  } catch (error) {
    return unmakable(error);
  }
}

type Lacking = { readonly from: string; readonly headers: ResolvedMailerOptions["headers"] };

/** Undefined: it has all that it needs. Without any author, rendering says what is missing. */
function lackingOf(message: Message, { from, headers, localTime }: ResolvedMailerOptions): Lacking | undefined {
  const needsFrom = (message.from === undefined || message.from === "") && from !== undefined;
  const needed = headers.length === 0 ? headers : headersLacking(message, headers);
  if (!needsFrom && needed.length === 0 && (!localTime || message.localTime)) return undefined;
  return { from: (needsFrom ? from : message.from) ?? "", headers: needed };
}

function headersLacking(message: Message, headers: ResolvedMailerOptions["headers"]): ResolvedMailerOptions["headers"] {
  const given = new Set(Object.keys(message.headers).map((name) => name.toLowerCase()));
  return headers.filter(({ lower }) => !given.has(lower));
}

function complete(copy: Message, { headers }: Lacking, { localTime }: ResolvedMailerOptions): void {
  for (const { name, value } of headers) copy.headers[name] = value;
  if (localTime) copy.localTime = true;
}

/** Interceptors, then suppression: what they decide on is what would go out. */
async function inspect(
  message: Message,
  options: ResolvedMailerOptions,
  note: (note: Note) => void,
): Promise<DeliverableMessage> {
  try {
    const lacking = lackingOf(message, options);
    const copy = OutgoingMessage.copyOf(message, lacking?.from);
    if (lacking !== undefined) complete(copy, lacking, options);
    const refusal = await refusalOf(copy, options);
    const written = refusal ?? (await withheldOf(copy, options));
    if (written !== undefined) note(written);
    if (written !== undefined && written.withheld.size === written.forwardPaths.length)
      return unmakable(written.error, copy.messageId);
    if (written !== undefined) copy.withhold(written.withheld);
    freeze(message);
    return copy;
  } catch (error) {
    return unmakable(error);
  }
}

async function refusalOf(copy: Message, { interceptors }: ResolvedMailerOptions): Promise<Note | undefined> {
  try {
    for (const intercept of interceptors) await intercept(copy);
    return undefined;
  } catch (cause) {
    const error = cause instanceof Error ? cause : new MessageError("refused", "an interceptor refused it", { cause });
    return noteOn(forwardPathsOf(copy), "refused", error);
  }
}

async function withheldOf(copy: Message, { suppression }: ResolvedMailerOptions): Promise<Note | undefined> {
  if (suppression === undefined) return undefined;
  const { forwardPaths } = copy.envelope();
  if (forwardPaths.length === 0) return undefined;
  try {
    const named = new Set(await suppression(forwardPaths));
    const withheld = forwardPaths.filter((path) => named.has(path));
    return withheld.length === 0 ? undefined : noteOn(forwardPaths, "refused", suppressed(withheld.length), withheld);
  } catch (cause) {
    const message = "suppression: nobody knows who is not to get mail, so it is not sent";
    return noteOn(forwardPaths, "deferred", new DeliveryError("deferred", message, { cause }));
  }
}

function noteOn(
  forwardPaths: readonly string[],
  status: Note["status"],
  error: Error,
  withheld: readonly string[] = forwardPaths,
): Note {
  return { forwardPaths, status, error, withheld: new Set(withheld) };
}

/** An interceptor may refuse a message because its addresses are none. */
function forwardPathsOf(copy: Message): readonly string[] {
  try {
    return copy.envelope().forwardPaths;
  } catch {
    return [];
  }
}

function suppressed(count: number): DeliveryError {
  const who = count === 1 ? "1 recipient stands" : `${count} recipients stand`;
  return new DeliveryError("suppressed", `to: ${who} on the suppression list`, { field: "to" });
}

/** The transport's receipt with what the note knows; recipients in the order of the envelope. */
export function noted(receipt: Receipt, { forwardPaths, withheld, status, error }: Note): Receipt {
  if (withheld.size === forwardPaths.length) {
    return { ...receipt, status, error, recipients: forwardPaths.map((address) => ({ address, status })) };
  }
  // One that could not be rendered has its own reason, and went to nobody.
  if (receipt.recipients.length === 0) return receipt;
  const found = new Map(receipt.recipients.map((outcome) => [outcome.address, outcome]));
  const recipients = forwardPaths.flatMap((address): RecipientOutcome[] => {
    const outcome = withheld.has(address) ? { address, status } : found.get(address);
    return outcome === undefined ? [] : [outcome];
  });
  return { ...receipt, status: receiptStatus(recipients), recipients, error: receipt.error ?? error };
}

/** One message's fault is that message's verdict, and the others go out. */
export function unmakable(error: unknown, messageId = ""): DeliverableMessage {
  const fail = (): never => {
    throw error;
  };
  return { messageId, envelope: fail, toBytes: fail };
}
