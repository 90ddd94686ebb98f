import { AssertionError } from "node:assert";
import type { Envelope, Transport } from "../delivery.ts";
import { MessageError, TimeoutError } from "../errors.ts";
import { contentOf, deliverEach } from "./rendering.ts";
import { readMessage, type ReadMessage } from "./reading.ts";

/** A message in the box of a {@link memoryTransport}. Its fields are read from its content, as a reader would see it. */
export interface MemoryMessage extends ReadMessage {
  /** With its angle brackets, as its receipt has it. */
  readonly messageId: string;
  /** To whom SMTP would have taken it, bcc among them. */
  readonly envelope: Envelope;
  /** What SMTP would have carried. */
  readonly content: Uint8Array;
}

/** Which messages are meant: all that is given must fit. */
export interface MemoryQuery {
  /** An addr-spec to which the envelope goes, by to, cc or bcc; or what one of them must match. */
  readonly to?: string | RegExp | undefined;
  /** The addr-spec of the reverse-path; or what From must match. */
  readonly from?: string | RegExp | undefined;
  /** The whole subject; or what it must match. */
  readonly subject?: string | RegExp | undefined;
  /** A part of the text; or what it must match. */
  readonly text?: string | RegExp | undefined;
  /** A part of the HTML; or what it must match. */
  readonly html?: string | RegExp | undefined;
}

/** A query, or a function that says whether a message is meant. */
export type MemorySearch = MemoryQuery | ((message: MemoryMessage) => boolean);

/** Options of {@link MemoryTransport.waitFor}. */
export interface WaitOptions {
  /** In milliseconds. Default: 5,000. */
  readonly timeout?: number | undefined;
  /** Ends the waiting: it is rejected with the signal's reason. Default: none. */
  readonly signal?: AbortSignal | undefined;
}

/** Keeps messages instead of sending them: for tests, each with a box of its own. */
export interface MemoryTransport extends Transport {
  /** The messages in the order in which they came; Django's `mail.outbox`. */
  readonly box: readonly MemoryMessage[];
  /**
   * Asserts that there is such a message, or that there are so many, and gives them.
   *
   * @param search default: any message.
   * @param count default: one at least; 0 asserts that there is none.
   * @throws {AssertionError} which lists what is in the box.
   */
  assertSent(search?: MemorySearch, count?: number): readonly MemoryMessage[];
  /**
   * The first such message: one that is there, or else the first that comes.
   *
   * @throws {TimeoutError} which lists what is in the box; the signal's reason when it aborts.
   */
  waitFor(search?: MemorySearch, options?: WaitOptions): Promise<MemoryMessage>;
  /** Empties the box. */
  clear(): void;
}

/** So many messages a failure lists. */
const LISTED = 20;

/** Refuses what SMTP would refuse, and keeps the rest in its box. Django's `locmem` backend. */
export function memoryTransport(): MemoryTransport {
  const box: MemoryMessage[] = [];
  const waiting = new Set<(message: MemoryMessage) => void>();
  const matches = (search: MemorySearch): MemoryMessage[] => box.filter((message) => isMeant(message, search));
  return {
    box,
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async ({ messageId, envelope, ...rendered }) => {
        const content = await contentOf({ ...rendered, messageId, envelope });
        const message = memoryMessage(messageId, envelope, content);
        box.push(message);
        for (const look of waiting) look(message);
      }),
    close: async () => undefined,
    clear: () => void box.splice(0),
    assertSent: (search = {}, count) => {
      checkSearch(search);
      const found = matches(search);
      if (count === undefined ? found.length > 0 : found.length === count) return found;
      throw notSent(box, search, found.length, count);
    },
    waitFor: async (search = {}, { timeout = 5_000, signal } = {}) => {
      checkSearch(search);
      signal?.throwIfAborted();
      const [first] = matches(search);
      return first ?? (await arrival(waiting, box, search, timeout, signal));
    },
  };
}

function memoryMessage(messageId: string, envelope: Envelope, content: Uint8Array): MemoryMessage {
  let read: ReadMessage | undefined;
  const message = { messageId, envelope, content };
  for (const name of FIELDS)
    Object.defineProperty(message, name, { enumerable: true, get: () => (read ??= readMessage(content))[name] });
  return message as MemoryMessage;
}

const FIELDS = ["fields", "subject", "from", "to", "cc", "replyTo", "text", "html", "attachments"] as const;

async function arrival(
  waiting: Set<(message: MemoryMessage) => void>,
  box: readonly MemoryMessage[],
  search: MemorySearch,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<MemoryMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<MemoryMessage>();
  const look = (message: MemoryMessage): void => {
    try {
      if (isMeant(message, search)) resolve(message);
    } catch (error) {
      reject(error);
    }
  };
  const onAbort = (): void => reject(signal?.reason as Error);
  const timer = setTimeout(() => reject(notCome(box, search, timeout)), timeout);
  waiting.add(look);
  signal?.addEventListener("abort", onAbort);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    waiting.delete(look);
    signal?.removeEventListener("abort", onAbort);
  }
}

const QUERY = new Set(["to", "from", "subject", "text", "html"]);

/** A query for something else would fit every message. */
function checkSearch(search: MemorySearch): void {
  const unknown = typeof search === "function" ? undefined : Object.keys(search).find((name) => !QUERY.has(name));
  if (unknown === undefined) return;
  throw new MessageError("bad-value", `${unknown}: must be ${[...QUERY].join(", ")}, or a function`, {
    field: unknown,
  });
}

function isMeant(message: MemoryMessage, search: MemorySearch): boolean {
  if (typeof search === "function") return search(message);
  const { to, from, subject, text, html } = search;
  const { forwardPaths, reversePath } = message.envelope;
  return (
    (to === undefined || forwardPaths.some((path) => fits(path, to))) &&
    (from === undefined || fits(typeof from === "string" ? reversePath : message.from, from)) &&
    (subject === undefined || fits(message.subject, subject)) &&
    (text === undefined || holds(message.text, text)) &&
    (html === undefined || holds(message.html, html))
  );
}

function fits(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text === wanted : text.search(wanted) !== -1;
}

function holds(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text.includes(wanted) : text.search(wanted) !== -1;
}

function notSent(
  box: readonly MemoryMessage[],
  search: MemorySearch,
  actual: number,
  count: number | undefined,
): AssertionError {
  const message = `${amount(count)} expected with ${described(search)}, but ${actual} found; ${contents(box)}`;
  return new AssertionError({ message, actual, expected: count ?? "at least 1", operator: "assertSent" });
}

function notCome(box: readonly MemoryMessage[], search: MemorySearch, timeout: number): TimeoutError {
  return new TimeoutError("timeout", `no message with ${described(search)} in ${timeout} ms; ${contents(box)}`);
}

function amount(count: number | undefined): string {
  if (count === undefined) return "a message was";
  return count === 1 ? "1 message was" : `${count} messages were`;
}

function described(search: MemorySearch): string {
  if (typeof search === "function") return "what the function wants";
  const given = Object.entries(search).filter(([, wanted]) => wanted !== undefined);
  if (given.length === 0) return "anything";
  return given
    .map(([name, wanted]) => `${name} ${wanted instanceof RegExp ? String(wanted) : JSON.stringify(wanted)}`)
    .join(", ");
}

function contents(box: readonly MemoryMessage[]): string {
  if (box.length === 0) return "the box is empty";
  const lines = box
    .slice(0, LISTED)
    .map(({ envelope, subject }) => `\n  to ${shortened(envelope.forwardPaths)}: ${JSON.stringify(subject)}`);
  const more = box.length > LISTED ? `\n  and ${box.length - LISTED} more` : "";
  return `the box has ${box.length}:${lines.join("")}${more}`;
}

function shortened(forwardPaths: readonly string[]): string {
  const more = forwardPaths.length > 3 ? ` and ${forwardPaths.length - 3} more` : "";
  return forwardPaths.slice(0, 3).join(", ") + more;
}
