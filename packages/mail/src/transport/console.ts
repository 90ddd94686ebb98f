import type { DeliverableMessage, Transport } from "../delivery.ts";
import { Message } from "../message/message.ts";
import { contentOf, deliverEach, type Rendered } from "./rendering.ts";

/** Options of {@link consoleTransport}. */
export interface ConsoleOptions {
  /** Where to write. Default: the process's standard output. */
  readonly stream?: { write(text: string): unknown } | undefined;
}

/** Between two messages, as Django's console backend writes it. */
const RULE = "-".repeat(79);

/** Line ends and TAB stay; every other control could move a terminal's cursor or worse. */
const TERMINAL_CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Prints messages instead of sending them, decoded so that a person can read them. Django's `console` backend. */
export function consoleTransport({ stream = process.stdout }: ConsoleOptions = {}): Transport {
  return {
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async (rendered, message) => {
        stream.write(`${await readable(rendered, message)}\n${RULE}\n`);
      }),
    close: async () => undefined,
  };
}

async function readable(rendered: Rendered, message: DeliverableMessage): Promise<string> {
  const text =
    message instanceof Message ? decoded(rendered, message) : new TextDecoder().decode(await contentOf(rendered));
  return text.replace(/\r\n/g, "\n").replace(TERMINAL_CONTROL, "\ufffd");
}

function decoded({ envelope, messageId }: Rendered, message: Message): string {
  const { subject, text, html, from = "", to, cc, replyTo, date, headers, attachments } = message;
  const fields: [name: string, body: unknown][] = [
    ["From", from],
    ["To", to.join(", ")],
    ["Cc", cc.join(", ")],
    ["Reply-To", replyTo.join(", ")],
    ["Subject", subject],
    ["Date", date.toUTCString()],
    ["Message-ID", messageId],
    ["Envelope to", envelope.forwardPaths.join(", ")],
    ...Object.entries(headers),
    ...attachments.map(({ filename }): [string, string] => ["Attachment", filename ?? "without a name"]),
  ];
  const header = fields.filter(([, body]) => body !== "" && body !== undefined && body !== null);
  const bodies = [text, html === "" ? "" : `(HTML)\n${html}`].filter((body) => body !== "");
  return [header.map(([name, body]) => `${name}: ${String(body)}`).join("\n"), ...bodies].join("\n\n");
}
