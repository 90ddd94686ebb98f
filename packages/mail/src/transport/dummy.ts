import type { Transport } from "../delivery.ts";
import { deliverEach } from "./rendering.ts";

/**
 * Refuses what SMTP would refuse, and throws the rest away. Django's `dummy` backend, which takes anything: here a
 * message that production would refuse is refused, and streamed content is read to its end.
 */
export function dummyTransport(): Transport {
  return {
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async ({ content }) => {
        if (content instanceof Uint8Array) return;
        const chunks = content()[Symbol.asyncIterator]();
        while ((await chunks.next()).done !== true);
      }),
    close: async () => undefined,
  };
}
