import type { InboxMessage } from "./message.ts";

/** What the store may hold; the oldest messages go when it is more. */
export interface StoreLimits {
  readonly maxMessages: number;
  readonly maxBytes: number;
}

/** The messages in memory. */
export interface Store {
  /** Newest first. */
  all(): readonly InboxMessage[];
  get(id: string): InboxMessage | undefined;
  add(message: InboxMessage): void;
  clear(): void;
  /** Calls back with each message that comes. Returns what ends it. */
  subscribe(listener: (message: InboxMessage) => void): () => void;
}

/** Makes an empty store. The newest message always stays, even if it is larger than `maxBytes`. */
export function createStore({ maxMessages, maxBytes }: StoreLimits): Store {
  let messages: readonly InboxMessage[] = [];
  const listeners = new Set<(message: InboxMessage) => void>();
  return {
    all: () => messages,
    get: (id) => messages.find((message) => message.id === id),
    add(message) {
      messages = newestWithin([message, ...messages].slice(0, maxMessages), maxBytes);
      for (const listener of [...listeners]) listener(message);
    },
    clear() {
      messages = [];
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function newestWithin(messages: readonly InboxMessage[], maxBytes: number): readonly InboxMessage[] {
  let bytes = 0;
  const end = messages.findIndex((message, index) => (bytes += weight(message)) > maxBytes && index > 0);
  return end === -1 ? messages : messages.slice(0, end);
}

/** What an object of a list costs about, so that a message of a million tiny header fields weighs what it takes. */
const BYTES_PER_ITEM = 200;

/** The bytes that a message takes in memory, about: as received and decoded. Strings take up to two bytes a unit. */
function weight({ raw, text, html, headers, to, cc, attachments }: InboxMessage): number {
  const items = headers.length + to.length + cc.length + attachments.length;
  const attached = attachments.reduce((sum, { content }) => sum + content.byteLength, 0);
  return raw.byteLength + 2 * (text.length + html.length) + attached + items * BYTES_PER_ITEM;
}
