import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import PostalMime from "postal-mime";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { MessageError } from "../errors.ts";
import { memoryTransport } from "../transport/memory.ts";
import { smtpTransport } from "../transport/smtp.ts";
import type { Attachment } from "./attachment.ts";
import { Message, type MessageFields } from "./message.ts";

const BASE: MessageFields = { subject: "제목", text: "본문", from: "from@example.com", to: ["to@example.com"] };
const written = (message: Message): string => Buffer.from(message.toBytes()).toString();

let folder: string;
before(async () => (folder = await mkdtemp(join(tmpdir(), "posthaste-attachment-"))));
after(() => rm(folder, { recursive: true }));

/** The media types of the tree, as `multipart/mixed(text/plain, …)`. */
async function tree(message: Message): Promise<string> {
  const types = [...written(message).matchAll(/^Content-Type: ([^;\r\n]+)/gm)].map(([, type]) => type);
  const mail = await PostalMime.parse(message.toBytes());
  return `${types.join(" ")} | ${mail.attachments.length}`;
}

const png: Attachment = { filename: "l.png", content: Buffer.from("\x89PNG", "latin1"), cid: "logo@x" };
const pdf: Attachment = { filename: "a.pdf", content: Buffer.from("%PDF-1.4") };

const TREES: readonly [name: string, fields: MessageFields, types: string][] = [
  ["text alone", {}, "text/plain | 0"],
  ["text and HTML", { html: "<p>x</p>" }, "multipart/alternative text/plain text/html | 0"],
  ["HTML alone", { text: "", html: "<p>x</p>" }, "text/html | 0"],
  ["text and an attachment", { attachments: [pdf] }, "multipart/mixed text/plain application/pdf | 1"],
  ["an attachment alone", { text: "", attachments: [pdf] }, "multipart/mixed application/pdf | 1"],
  [
    "HTML with its image",
    { html: '<img src="cid:logo@x">', attachments: [png] },
    "multipart/alternative text/plain multipart/related text/html image/png | 1",
  ],
  [
    "everything",
    {
      html: '<img src="cid:logo@x">',
      attachments: [png, pdf],
      alternatives: [{ content: "BEGIN:VCALENDAR\n", contentType: "text/calendar; method=REQUEST" }],
    },
    "multipart/mixed multipart/alternative text/plain multipart/related text/html image/png text/calendar application/pdf | 3",
  ],
  ["an image that no HTML names", { attachments: [png] }, "multipart/mixed text/plain image/png | 1"],
];

for (const [name, fields, types] of TREES) {
  test(`the tree of parts: ${name}`, async () => assert.equal(await tree(new Message({ ...BASE, ...fields })), types));
}

const OCTETS: readonly [name: string, content: string | Uint8Array, contentType: string | undefined][] = [
  ["text without a line break at its end", "여기", "text/plain"],
  ["bare line feeds", "a\nb\n\n", "text/plain"],
  ["bare carriage returns", "a\rb\r", "text/csv"],
  ["CRLF and trailing spaces", "a \r\nb\t\r\n", "text/plain"],
  ["nothing", "", "text/plain"],
  ["every octet", Uint8Array.from({ length: 256 }, (_, octet) => octet), undefined],
  ["a byte order mark", Buffer.from("\ufeff한,글\r\n"), "text/csv"],
  ["text that is not UTF-8", Buffer.from("S\xfcrname\n", "latin1"), "text/plain"],
  ["a line of dots", ".\r\n..\r\n", "text/plain"],
  ["a long line", "x".repeat(5000), "text/plain"],
];

for (const [name, content, contentType] of OCTETS) {
  test(`an attachment arrives octet for octet: ${name}`, async () => {
    await using peer = await startSmtpPeer();
    const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
    const message = new Message({ ...BASE, attachments: [{ filename: "f.bin", content, contentType }] });
    const [receipt] = await Array.fromAsync(transport.deliver([message]));
    await transport.close();
    assert.equal(receipt?.status, "accepted");
    const mail = await PostalMime.parse(peer.messages[0]?.content ?? "", { attachmentEncoding: "arraybuffer" });
    assert.deepEqual(Buffer.from(mail.attachments[0]?.content as ArrayBuffer), Buffer.from(content as string));
  });
}

const NAMES = [
  "보고서 2026년.pdf",
  "a;b\"c'd%.pdf",
  "تقرير.pdf",
  "x".repeat(300) + ".pdf",
  "가".repeat(120) + ".pdf",
  "😀.pdf",
  "sp ace.pdf",
];

test("a file name is read as it was given, whatever its characters and length", async () => {
  for (const filename of NAMES) {
    const message = new Message({ ...BASE, attachments: [{ filename, content: "x" }] });
    assert.ok(
      written(message)
        .split("\r\n")
        .every((line) => line.length <= 78),
      filename,
    );
    assert.equal((await PostalMime.parse(message.toBytes())).attachments[0]?.filename, filename);
  }
});

test("a file name that looks like an encoded-word is written so that it is none", () => {
  const message = new Message({ ...BASE, attachments: [{ filename: "=?utf-8?q?typed?=.pdf", content: "x" }] });
  assert.ok(written(message).includes("filename*=utf-8''%3D%3Futf-8%3Fq%3Ftyped%3F%3D.pdf"));
});

const BAD: readonly [field: string, attachment: object, code: string][] = [
  ["filename", { filename: "a\nX-Evil: 1.txt", content: "x" }, "header-control"],
  ["filename", { filename: "a\u2028b", content: "x" }, "header-control"],
  ["filename", { filename: "../secret", content: "x" }, "bad-value"],
  ["filename", { filename: "C:\\a.pdf", content: "x" }, "bad-value"],
  ["filename", { filename: "..", content: "x" }, "bad-value"],
  ["filename", { filename: "", content: "x" }, "bad-value"],
  ["filename", { filename: "\ud800", content: "x" }, "not-text"],
  ["filename", { filename: "x".repeat(1001), content: "x" }, "bad-value"],
  ["content", { filename: "a" }, "bad-value"],
  ["content", { filename: "a", content: null }, "bad-value"],
  ["content", { filename: "a", content: { path: "/etc/passwd" } }, "bad-value"],
  ["content", { filename: "a", content: 7 }, "bad-value"],
  ["contentType", { content: "x", contentType: "html" }, "bad-value"],
  ["contentType", { content: "x", contentType: "text/plain\r\nX-Evil: 1" }, "header-control"],
  ["contentType", { content: "x", contentType: "multipart/mixed" }, "bad-value"],
  ["contentType", { content: "x", contentType: "message/partial" }, "bad-value"],
  ["contentType", { content: "x", contentType: 'text/plain; a=1; a="2"' }, "bad-value"],
  ["cid", { content: "x", cid: "a b" }, "bad-value"],
  ["cid", { content: "x", cid: "a>\r\nX: <b" }, "bad-value"],
  ["disposition", { content: "x", disposition: "form-data" }, "bad-value"],
];

test("an attachment that is none is refused, and the error names its field", () => {
  for (const [field, attachment, code] of BAD) {
    const wanted = { name: "MessageError", code, field: `attachments[0].${field}` };
    assert.throws(() => new Message(BASE).attach(attachment as Attachment), wanted, JSON.stringify(attachment));
    assert.throws(
      () => new Message({ ...BASE, attachments: [attachment as Attachment] }).toBytes(),
      wanted,
      JSON.stringify(attachment),
    );
  }
});

test("what was checked of an attachment is what is sent, whatever its getters give the next time", () => {
  let reads = 0;
  const attachment = {
    content: "x",
    get filename(): string {
      return reads++ === 0 ? "a.bin" : "b\r\nBcc: evil@example.com";
    },
  };
  const message = new Message({ ...BASE, attachments: [attachment] });
  assert.match(written(message), /filename=a\.bin\r\n/);
  assert.doesNotMatch(written(message), /evil/);
});

test("a lone surrogate is refused in whatever is text, and the error names it", () => {
  const wanted = (field: string): object => ({ name: "MessageError", code: "not-text", field });
  const content = "a\ud800";
  for (const contentType of ["text/plain", "application/json"]) {
    const attachments = new Message({ ...BASE, attachments: [{ content, contentType }] });
    assert.throws(() => attachments.toBytes(), wanted("attachments[0].content"));
    const alternatives = new Message({ ...BASE, alternatives: [{ content, contentType }] });
    assert.throws(() => alternatives.toBytes(), wanted("alternatives[0].content"));
  }
  assert.throws(() => new Message({ ...BASE, html: content, charset: "euc-kr" }).toBytes(), wanted("html"));
});

test("a message is attached as it is, rendered or raw, and 8-bit octets ask for 8BITMIME", async () => {
  const inner = new Message({ ...BASE, subject: "안쪽" });
  const message = new Message(BASE);
  message.attach("fwd.eml", inner);
  message.attach({ filename: "raw.eml", content: Buffer.from("Subject: x\n\n본문\n"), contentType: "message/rfc822" });
  assert.match(
    written(message),
    /Content-Type: message\/rfc822\r\nContent-Disposition: attachment;\r\n filename=fwd\.eml\r\nContent-Transfer-Encoding: 7bit/,
  );
  assert.ok(written(message).includes(written(inner)));
  assert.match(
    written(message),
    /^Content-Type: multipart\/mixed;\r\n boundary=.*\r\nContent-Transfer-Encoding: 8bit\r$/m,
  );
  await using peer = await startSmtpPeer({ hide8BITMIME: true });
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  await transport.close();
  assert.deepEqual([receipt?.status, (receipt?.error as MessageError).code], ["refused", "extension-missing"]);
  const long = { content: Buffer.from(`Subject: x\n\n${"y".repeat(999)}\n`), contentType: "message/rfc822" };
  assert.throws(() => new Message({ ...BASE, attachments: [long] }).toBytes(), { code: "bad-value" });
});

test("a file is looked at when it is attached, and read each time the message is sent", async () => {
  const path = join(folder, "보고서.pdf");
  const content = Buffer.alloc(300_000, "가나다");
  await writeFile(path, content);
  const message = new Message(BASE);
  message.attachFile(path);
  assert.throws(() => message.toBytes(), { code: "streamed" });
  const transport = memoryTransport();
  await Array.fromAsync(transport.deliver([message, message]));
  for (const { content: sent } of transport.box) {
    const [attachment] = (await PostalMime.parse(sent)).attachments;
    assert.deepEqual([attachment?.filename, attachment?.mimeType], ["보고서.pdf", "application/pdf"]);
    assert.deepEqual(Buffer.from(attachment?.content as ArrayBuffer), content);
  }
  assert.equal(message.streaming?.size, transport.box[0]?.content.length, "the size that is declared");
});

test("a file that changed after it was attached fails the attempt, and nothing is accepted", async () => {
  const path = join(folder, "growing.txt");
  await writeFile(path, "one");
  const message = new Message(BASE);
  message.attachFile(path);
  await appendFile(path, "two");
  await using peer = await startSmtpPeer();
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
  const receipts = await Array.fromAsync(transport.deliver([message, new Message(BASE)]));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["deferred", "accepted"],
  );
  assert.match(String(receipts[0]?.error?.cause), /changed/);
  assert.equal(peer.messages.length, 1);
});

test("a path that is no file is an error at once", () => {
  for (const path of [join(folder, "missing"), folder])
    assert.throws(() => new Message(BASE).attachFile(path), { name: "MessageError", code: "unreadable" });
});

test("a stream whose length nobody knows is sent, unless it passes the server's SIZE", async () => {
  await using peer = await startSmtpPeer({ size: 1_000_000 });
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
  async function* chunks(count: number): AsyncGenerator<Uint8Array> {
    for (let chunk = 0; chunk < count; chunk++) yield Buffer.alloc(7_001, chunk);
  }
  const messages = [50, 5_000, 1].map(
    (count) => new Message({ ...BASE, attachments: [{ content: () => chunks(count) }] }),
  );
  const receipts = await Array.fromAsync(transport.deliver(messages));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "refused", "accepted"],
  );
  assert.equal((receipts[1]?.error as MessageError).code, "too-large");
  const [attachment] = (await PostalMime.parse(peer.messages[0]?.content ?? "")).attachments;
  assert.deepEqual(Buffer.from(attachment?.content as ArrayBuffer), Buffer.concat(await Array.fromAsync(chunks(50))));
});

test("what is attached after the message was rendered is refused", () => {
  const message = new Message(BASE);
  message.toBytes();
  for (const late of [
    () => message.attach("a", "b"),
    () => message.attachAlternative("a", "text/html"),
    () => message.attachFile(folder),
  ]) {
    assert.throws(late, MessageError);
  }
});
