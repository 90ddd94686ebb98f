import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { WriteStream } from "node:tty";
import { afterEach, beforeEach, test } from "node:test";
import type { DeliverableMessage } from "../delivery.ts";
import { Message } from "../message/message.ts";
import { type ConsoleOptions, consoleTransport } from "./console.ts";

const COLOUR = ["NO_COLOR", "FORCE_COLOR", "NODE_DISABLE_COLORS", "CI", "TERM", "TMUX", "COLORTERM"];
const before = COLOUR.map((name) => [name, process.env[name]] as const);
beforeEach(() => {
  for (const name of COLOUR) delete process.env[name];
  process.env.TERM = "xterm-256color";
});
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

async function printed(message: DeliverableMessage, options: ConsoleOptions = {}): Promise<string> {
  let written = "";
  const transport = consoleTransport({ stream: { write: (text) => (written += text) }, ...options });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  assert.equal(receipt?.status, "accepted", String(receipt?.error));
  return written;
}

const foreign = (content: string | Buffer): DeliverableMessage => ({
  messageId: "<foreign@example.com>",
  envelope: () => ({ reversePath: "a@example.com", forwardPaths: ["b@example.com"] }),
  toBytes: () => Buffer.from(content),
});

test("a message is shown decoded: fields, text, HTML, and attachments with type and size", async () => {
  const message = new Message({
    subject: "제목 ".repeat(20).trim(),
    text: "가나다\n".repeat(3),
    html: "<p>가나다</p>",
    from: "김철수 <kim@example.com>",
    to: ["이영희 <lee@example.com>", "x@example.com"],
    bcc: ["hidden@example.com"],
    headers: { "X-Campaign": "봄" },
    date: new Date("2026-11-23T09:00:00Z"),
    messageId: "<1@example.com>",
    attachments: [
      { filename: "보고서 2026.pdf", content: new Uint8Array(1234) },
      { filename: "logo.png", content: new Uint8Array(10), cid: "logo" },
    ],
  });
  assert.equal(
    await printed(message),
    `From: 김철수 <kim@example.com>
To: 이영희 <lee@example.com>, x@example.com
Subject: ${"제목 ".repeat(20).trim()}
Date: Mon, 23 Nov 2026 09:00:00 +0000
Message-ID: <1@example.com>
X-Campaign: 봄
Envelope to: lee@example.com, x@example.com, hidden@example.com
Attachment: logo.png (image/png, 10 octets, cid:logo)
Attachment: 보고서 2026.pdf (application/pdf, 1234 octets)

가나다
가나다
가나다


(HTML)
<p>가나다</p>
${"-".repeat(79)}
`,
  );
});

test("on a terminal the names are bold, unless NO_COLOR says otherwise; elsewhere they are if FORCE_COLOR says so", async () => {
  const message = new Message({ text: "a", from: "a@example.com", to: ["b@example.com"] });
  const on = async (isTTY: boolean): Promise<boolean> => {
    const stream = Object.assign(new PassThrough(), {
      isTTY,
      getColorDepth: () => WriteStream.prototype.getColorDepth(),
    });
    await printed(message, { stream });
    return String(stream.read()).includes("\u001b[1mFrom:\u001b[22m a@example.com\n");
  };
  assert.deepEqual([await on(true), await on(false)], [true, false]);
  process.env.FORCE_COLOR = "1";
  assert.equal(await on(false), true);
  delete process.env.FORCE_COLOR;
  process.env.NO_COLOR = "1";
  assert.equal(await on(true), false);
});

test("no control of a message reaches the terminal, in no field and no form", async () => {
  const attacks = [
    "\u001b]52;c;cm0gLXJmIH4=\u0007", // writes the clipboard
    "\u009b2J", // C1: clears the screen
    "a\rFrom: b", // overwrites the line
    "\u202egpj.exe", // turns the direction of writing
    "\u2066a\u2069\u2028b",
    "\b\b\b\u007f\0",
  ];
  const word = (text: string): string => `=?utf-8?b?${Buffer.from(text).toString("base64")}?=`;
  const value = (text: string): string =>
    [...Buffer.from(text)].map((octet) => `%${octet.toString(16).padStart(2, "0")}`).join("");
  for (const attack of attacks) {
    for (const raw of [false, true]) {
      const written = await printed(
        foreign(
          `Subject: ${word(attack)}\r\nFrom: ${word(attack)} <a@example.com>\r\nX-Raw: ${attack.replace(/[\r\n]/g, "")}\r\n` +
            `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${attack}\r\n` +
            `--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(attack).toString("base64")}\r\n` +
            `--b\r\nContent-Disposition: attachment; filename*=utf-8''${value(attack)}\r\n\r\nx\r\n--b--\r\n`,
        ),
        { raw },
      );
      assert.doesNotMatch(written, /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/, JSON.stringify(attack));
    }
  }
});

test("a line break in a decoded field or file name shows no other field", async () => {
  const written = await printed(
    foreign(
      "Subject: =?utf-8?q?a=0AFrom:_boss@example.com?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
        "--b\r\nContent-Disposition: attachment; filename*=utf-8''a%0D%0AFrom:%20boss\r\n\r\nx\r\n--b--\r\n",
    ),
  );
  assert.doesNotMatch(written, /^From:/m);
  assert.match(written, /^Subject: a\ufffdFrom: boss@example\.com\n/);
});

test("raw shows what SMTP would carry", async () => {
  const message = new Message({ subject: "제목", text: "가", from: "a@example.com", to: ["b@example.com"] });
  const bytes = Buffer.from(message.toBytes()).toString().replaceAll("\r\n", "\n");
  assert.equal(await printed(message, { raw: true }), `${bytes}\n${"-".repeat(79)}\n`);
});

test("a message is accepted when the stream has taken it, and deferred when that fails", async () => {
  const broken = new Error("EPIPE");
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(broken) });
  stream.on("error", () => undefined);
  const transport = consoleTransport({ stream });
  const message = new Message({ text: "a", from: "a@example.com", to: ["b@example.com"] });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  assert.deepEqual([receipt?.status, receipt?.error], ["deferred", broken]);
});
