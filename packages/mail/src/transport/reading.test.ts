import assert from "node:assert/strict";
import { test } from "node:test";
import PostalMime from "postal-mime";
import { Message } from "../message/message.ts";
import { readMessage } from "./reading.ts";

const OCTETS = Uint8Array.from({ length: 3000 }, (_, index) => index % 256);

test("what a message was made of is read back, as another parser reads it", async () => {
  const fields = {
    subject: "긴 제목 ".repeat(30).trim(),
    text: "첫 줄 =\n둘째 줄 \n\n" + "길".repeat(500),
    html: "<p>가 &amp; <a href='https://example.com/?a=b'>나</a></p>",
    from: '"점. 찍은" <kim@example.com>',
    to: ["이 <lee@example.com>", '"a, b" <x@example.com>'],
    cc: ["c@example.com"],
    replyTo: ["답장 <reply@example.com>"],
    attachments: [
      { filename: `${"아주 긴 이름 ".repeat(20)}.bin`, content: OCTETS },
      { filename: 'quoted "name".txt', content: "text, and no line break" },
      { filename: "logo.png", content: OCTETS, cid: "logo" },
    ],
  };
  const message = new Message(fields);
  const read = readMessage(message.toBytes());
  assert.deepEqual(
    [read.subject, read.from, read.to, read.cc, read.replyTo, read.text, read.html],
    [
      fields.subject,
      '"점. 찍은" <kim@example.com>',
      ["이 <lee@example.com>", '"a, b" <x@example.com>'],
      fields.cc,
      fields.replyTo,
      fields.text,
      fields.html,
    ],
  );
  const other = await PostalMime.parse(Buffer.from(message.toBytes()), { attachmentEncoding: "arraybuffer" });
  assert.deepEqual(
    read.attachments.map(({ filename, contentType, content }) => [filename, contentType, Buffer.from(content)]),
    other.attachments.map(({ filename, mimeType, content }) => [
      filename,
      mimeType,
      Buffer.from(content as ArrayBuffer),
    ]),
  );
});

test("text of another charset, and messages of others, are read too", () => {
  const korean = new Message({
    subject: "a",
    text: "한글",
    from: "a@example.com",
    to: ["b@example.com"],
    charset: "euc-kr",
  });
  assert.equal(readMessage(korean.toBytes()).text, "한글");
  const rows: readonly (readonly [content: string, expected: Partial<ReturnType<typeof readMessage>>])[] = [
    ["Subject: a\r\n b\r\n\r\nc", { subject: "a b", text: "c" }],
    ["Subject: =?iso-8859-1?Q?caf=E9?= =?utf-8?B?4pyT?=\r\n\r\n", { subject: "café✓", text: "" }],
    ["Subject: =?x-nobody?q?a?=\r\n\r\n", { subject: "=?x-nobody?q?a?=" }],
    ["To: not an address, <\r\n\r\n", { to: ["not an address, <"] }],
    ["To: a: b@x.example, c@x.example;\r\n\r\n", { to: ["a: b@x.example, c@x.example;"] }],
    ["\r\nbody alone", { text: "body alone", fields: [] }],
    ["no header", { text: "" }],
    ["", { text: "", subject: "", to: [] }],
    ["Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\nunfinished", { text: "unfinished" }],
    ["Content-Type: multipart/mixed\r\n\r\nno boundary", { text: "" }],
    ["Content-Type: text/plain; charset=nobody\r\n\r\n가", { text: "가" }],
  ];
  for (const [content, expected] of rows) {
    const read = readMessage(Buffer.from(content));
    for (const [name, value] of Object.entries(expected))
      assert.deepEqual(read[name as keyof typeof read], value, content);
  }
});

test("a message that is all nesting or all parts is read in bounded time", () => {
  const nested = Array.from(
    { length: 5_000 },
    (_, depth) => `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`,
  ).join("");
  const many = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${"--b\r\n\r\nx\r\n".repeat(50_000)}--b--\r\n`;
  const words = `Subject: ${"=?utf-8?q?".repeat(50_000)}\r\nX: ${"?= ".repeat(50_000)}\r\n\r\n`;
  for (const content of [nested, many, words]) {
    const start = performance.now();
    readMessage(Buffer.from(content));
    assert.ok(performance.now() - start < 2_000);
  }
});
