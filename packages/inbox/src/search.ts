import type { InboxMessage } from "./message.ts";

/**
 * Whether a message matches a query: the query stands somewhere in the sender, a recipient of To or of the envelope, the
 * subject or the text, in any case and either Unicode normalization (macOS writes Hangul decomposed). Empty matches all.
 */
export function matcher(query: string): (message: InboxMessage) => boolean {
  const wanted = fold(query.trim());
  if (wanted === "") return () => true;
  return (message) => searched(message).some((text) => fold(text).includes(wanted));
}

function searched({ from, to, envelope, subject, text }: InboxMessage): string[] {
  const mailboxes = from === null ? to : [from, ...to];
  return [
    ...mailboxes.map(({ name, address }) => `${name} <${address}>`),
    envelope.reversePath,
    ...envelope.forwardPaths,
    subject,
    text,
  ];
}

function fold(text: string): string {
  return text.normalize("NFC").toLowerCase();
}
