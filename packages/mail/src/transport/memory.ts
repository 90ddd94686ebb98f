import type { Envelope, Transport } from "../delivery.ts";
import { contentOf, deliverEach } from "./rendering.ts";

/** A message in the box of a {@link memoryTransport}. */
export interface MemoryMessage {
  readonly messageId: string;
  readonly envelope: Envelope;
  /** What SMTP would have carried. */
  readonly content: Uint8Array;
}

/** Keeps messages instead of sending them: for tests, each with a box of its own. */
export interface MemoryTransport extends Transport {
  /** The messages in the order in which they came; Django's `mail.outbox`. */
  readonly box: readonly MemoryMessage[];
}

/** Refuses what SMTP would refuse, and keeps the rest in its box. Django's `locmem` backend. */
export function memoryTransport(): MemoryTransport {
  const box: MemoryMessage[] = [];
  return {
    box,
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async (rendered) => {
        const { messageId, envelope } = rendered;
        box.push({ messageId, envelope, content: await contentOf(rendered) });
      }),
    close: async () => undefined,
  };
}
