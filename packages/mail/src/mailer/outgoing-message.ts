import type { Envelope } from "../delivery.ts";
import { Message } from "../message/message.ts";

/** The copy of a message that a mailer may change. Both have the same Message-ID and Date. */
export class OutgoingMessage extends Message {
  #withheld: ReadonlySet<string> = new Set();

  /** @throws {AddressError} when the author is not a mailbox: the Message-ID stands on its domain. */
  static copyOf(message: Message, from = message.from ?? ""): OutgoingMessage {
    const copy = message.withFrom(from);
    return new OutgoingMessage({ ...copy, date: copy.date, messageId: copy.messageId });
  }

  /** Leaves these forward-paths out of the envelope; the header fields stay as they are. */
  withhold(forwardPaths: ReadonlySet<string>): void {
    this.#withheld = forwardPaths;
  }

  override envelope(): Envelope {
    const envelope = super.envelope();
    const { dsn } = envelope;
    if (this.#withheld.size === 0) return envelope;
    const isKept = (path: string): boolean => !this.#withheld.has(path);
    const originals = Object.entries(dsn?.originalRecipients ?? {}).filter(([path]) => isKept(path));
    return {
      ...envelope,
      forwardPaths: envelope.forwardPaths.filter(isKept),
      ...(dsn?.originalRecipients && { dsn: { ...dsn, originalRecipients: Object.fromEntries(originals) } }),
    };
  }
}

/**
 * Freezes what was handed over by its copy: what is changed now would not go out, or go out under a Message-ID that
 * another message has.
 */
export function freeze(message: Message): void {
  const { to, cc, bcc, replyTo, headers, attachments, alternatives } = message;
  for (const field of [to, cc, bcc, replyTo, headers, attachments, alternatives]) Object.freeze(field);
  Object.freeze(message);
}
