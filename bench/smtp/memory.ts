/** How much memory sending takes: for many messages, and for a large one. */
import { createMailer, EmailMessage, smtpTransport } from "posthaste";
import { FROM, SUBJECT, TEXT, TO } from "./message.ts";
import { allAccepted, messages } from "./posthaste.ts";

/** In octets, of the resident set. */
export interface Growth {
  readonly before: number;
  /** After the last message, when the garbage is collected. */
  readonly after: number;
  readonly peak: number;
  /** By how much what is alive grew, beside the room that the engine takes for what is not: heap and buffers. */
  readonly live?: number;
}

/** Sends so many messages from a generator, and looks from the first tenth to the last message. */
export async function growthOverMany(port: number, count: number): Promise<Growth> {
  await using mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port, connections: 1 }) });
  const [first, step] = [count / 10, count / 100];
  let [before, peak, live] = [0, 0, 0];
  await allAccepted(mailer.sendAll(messages(count)), count, (number) => {
    if (number === first) [before, live] = [collected(), alive()];
    if (number % step !== 0 || number < first) return;
    const now = process.memoryUsage.rss();
    peak = Math.max(peak, now);
    console.log(`${number.toLocaleString("en")} messages, ${Math.round(now / 1e6)} MB`);
  });
  return { before, after: collected(), peak, live: alive() - live };
}

/** Sends a message with a file, and looks from when the connection stands idle. */
export async function largeAttachment(port: number, path: string): Promise<Growth> {
  await using mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port, connections: 1 }) });
  const fields = { subject: SUBJECT, text: TEXT, from: FROM, to: [TO] };
  await mailer.send(new EmailMessage(fields));
  const before = collected();
  const { maxRSS } = process.resourceUsage();
  let peak = before;
  const sample = (): void => void (peak = Math.max(peak, process.memoryUsage.rss()));
  const timer = setInterval(sample, 2);
  const message = new EmailMessage(fields);
  message.attachFile(path);
  await allAccepted(mailer.sendAll([message]), 1, sample);
  clearInterval(timer);
  // What the samples missed: the highest since the process began, in kB, if that was now.
  const highest = process.resourceUsage().maxRSS;
  if (highest > maxRSS) peak = Math.max(peak, highest * 1024);
  return { before, after: collected(), peak };
}

function collected(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

function alive(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
