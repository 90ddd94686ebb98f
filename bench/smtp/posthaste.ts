/** Posthaste as its users call it, on one connection. */
import { createMailer, EmailMessage, type Receipt, smtpTransport } from "posthaste";
import type { Sender } from "./contender.ts";
import { FROM, SUBJECT, TEXT, TO } from "./message.ts";

const FIELDS = { subject: SUBJECT, text: TEXT, from: FROM, to: [TO] };
/** More than there are in flight, so that no message is in a cache of the processor because it was just there. */
const RENDERED = 100;

type Pipelining = NonNullable<Parameters<typeof smtpTransport>[0]["pipelining"]>;

/** Composes each message as it goes. */
export function posthaste(port: number, pipelining: Pipelining = "auto"): Sender {
  const mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port, connections: 1, pipelining }) });
  return { send: (count) => allAccepted(mailer.sendAll(messages(count)), count), close: () => mailer.close() };
}

/** Sends messages that were rendered before: what is left is the engine. */
export function posthasteRendered(port: number): Sender {
  const transport = smtpTransport({ host: "127.0.0.1", port, connections: 1, pipelining: "auto" });
  const rendered = [...messages(RENDERED)];
  for (const message of rendered) message.toBytes();
  function* cycled(count: number): Generator<EmailMessage> {
    for (let index = 0; index < count; index++) yield rendered[index % RENDERED]!;
  }
  return { send: (count) => allAccepted(transport.deliver(cycled(count)), count), close: () => transport.close() };
}

export function* messages(count: number): Generator<EmailMessage> {
  for (let index = 0; index < count; index++) yield new EmailMessage(FIELDS);
}

/** Checks that every receipt says accepted, and hands them on to `onReceipt` by their number. */
export async function allAccepted(
  receipts: AsyncIterable<Receipt>,
  count: number,
  onReceipt: (number: number) => void = () => undefined,
): Promise<void> {
  let accepted = 0;
  for await (const receipt of receipts) {
    if (receipt.status !== "accepted") throw new Error(`${receipt.status}`, { cause: receipt.error ?? receipt.reply });
    onReceipt(++accepted);
  }
  if (accepted !== count) throw new Error(`${accepted} of ${count} were accepted`);
}
