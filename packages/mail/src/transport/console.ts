import { Writable } from "node:stream";
import { styleText } from "node:util";
import type { Transport } from "../delivery.ts";
import { contentOf, deliverEach, type Rendered } from "./rendering.ts";
import { readMessage, type ReadAttachment } from "./reading.ts";

/** Options of {@link consoleTransport}. */
export interface ConsoleOptions {
  /** Where to write. In colour on a terminal, as `NO_COLOR` and `FORCE_COLOR` say. Default: the standard output. */
  readonly stream?: { write(text: string): unknown } | undefined;
  /** Whether to show the message as SMTP would carry it. Default: false, decoded so that a person can read it. */
  readonly raw?: boolean | undefined;
}

/** Between two messages, as Django's console backend writes it. */
const RULE = "-".repeat(79);

/**
 * Line ends and TAB stay. Every other control could move a terminal's cursor or worse, and the characters that turn the
 * direction of writing could show an address or a link as another (Unicode Standard Annex 9).
 */
const TERMINAL_CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** These stand first, and in this order. */
const FIRST = ["from", "to", "cc", "reply-to", "subject", "date", "message-id"];
/** How the message is written; what it says is shown decoded. */
const HIDDEN = new Set(["mime-version", "content-type", "content-transfer-encoding"]);

type Style = (text: string) => string;

/** Prints messages instead of sending them. Django's `console` backend. */
export function consoleTransport({ stream = process.stdout, raw = false }: ConsoleOptions = {}): Transport {
  const bold = (text: string): string => (stream instanceof Writable ? styleText("bold", text, { stream }) : text);
  return {
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async (rendered) => {
        const content = await contentOf(rendered);
        const shown = raw ? safe(new TextDecoder().decode(content)) : readable(rendered, content, bold);
        await print(stream, `${shown}\n${RULE}\n`);
      }),
    close: async () => undefined,
  };
}

/** Resolves when the stream has taken it. */
async function print(stream: { write(text: string): unknown }, text: string): Promise<void> {
  if (!(stream instanceof Writable)) return void stream.write(text);
  await new Promise<void>((resolve, reject) =>
    stream.write(text, (error) => (error === undefined || error === null ? resolve() : reject(error))),
  );
}

function readable({ envelope }: Rendered, content: Uint8Array, bold: Style): string {
  const { fields, text, html, attachments } = readMessage(content);
  const rankOf = (name: string): number => (FIRST.indexOf(name.toLowerCase()) + FIRST.length + 1) % (FIRST.length + 1);
  const shown = fields
    .filter(([name]) => !HIDDEN.has(name.toLowerCase()))
    .sort(([one], [other]) => rankOf(one) - rankOf(other));
  const lines = [
    ...shown,
    ["Envelope to", envelope.forwardPaths.join(", ")] as const,
    ...attachments.map((attachment) => ["Attachment", described(attachment)] as const),
  ].map(([name, body]) => `${bold(`${oneLine(name)}:`)} ${oneLine(body)}`);
  const bodies = [safe(text), html === "" ? "" : `${bold("(HTML)")}\n${safe(html)}`];
  return [lines.join("\n"), ...bodies.filter((body) => body !== "")].join("\n\n");
}

function described({ filename = "without a name", contentType, cid, content }: ReadAttachment): string {
  const named = cid === undefined ? "" : `, cid:${cid}`;
  return `${filename} (${contentType}, ${content.length} octets${named})`;
}

function safe(text: string): string {
  return text.replace(/\r\n/g, "\n").replace(TERMINAL_CONTROL, "\ufffd");
}

/** A decoded file name or field may hold a line break, and would show a field that is not there. */
function oneLine(text: string): string {
  return safe(text).replace(/[\n\t]/g, "\ufffd");
}
