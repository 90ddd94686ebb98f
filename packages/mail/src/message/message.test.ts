import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import PostalMime from "postal-mime";
import { AddressError, HeaderError, MessageError } from "../errors.ts";
import { Message, type MessageFields } from "./message.ts";

const BASE: MessageFields = {
  subject: "제목",
  text: "여기에 메시지가 있습니다",
  from: "from@example.com",
  to: ["to@example.com"],
};
/** RFC 2046 section 4.1.1: a line break of text is CRLF on the wire, whatever it was before. */
const local = (lines: string | undefined): string | undefined => lines?.replace(/\r\n/g, "\n");
const text = (message: Message): string => new TextDecoder().decode(message.toBytes());

test("a message reads back in an independent parser", async () => {
  const message = new Message({
    ...BASE,
    from: "김철수 <kim@example.com>",
    to: ['"Smith, John" <john@example.com>', "이영희 <lee@example.com>"],
    cc: ["c@example.com"],
    replyTo: ["r@example.com"],
    html: "<p>여기</p>",
    headers: { "X-Count": 3, "X-None": undefined },
  });
  const mail = await PostalMime.parse(message.toBytes());
  assert.equal(mail.subject, "제목");
  assert.deepEqual([mail.from?.name, mail.from?.address], ["김철수", "kim@example.com"]);
  assert.deepEqual(
    mail.to?.map(({ name, address }) => [name, address]),
    [
      ["Smith, John", "john@example.com"],
      ["이영희", "lee@example.com"],
    ],
  );
  assert.equal(local(mail.text), "여기에 메시지가 있습니다");
  assert.equal(local(mail.html), "<p>여기</p>");
  assert.equal(mail.messageId, message.messageId);
  assert.equal(mail.headers.find(({ key }) => key === "x-count")?.value, "3");
  assert.ok(!mail.headers.some(({ key }) => key === "x-none"));
});

test("the envelope has each recipient once, bcc too, and the header section no bcc", () => {
  const message = new Message({
    ...BASE,
    to: ["a@x.example", "A <a@x.example>"],
    cc: ["b@x.example"],
    bcc: ["c@x.example"],
  });
  assert.deepEqual(message.envelope(), {
    reversePath: "from@example.com",
    forwardPaths: ["a@x.example", "b@x.example", "c@x.example"],
  });
  assert.doesNotMatch(text(message), /c@x\.example|bcc/i);
});

test("the bytes are the same each time, and a rendered message does not change any more", () => {
  const message = new Message({ ...BASE, html: "<p>x</p>" });
  message.subject = "다른 주제";
  const bytes = message.toBytes();
  assert.equal(message.toBytes(), bytes);
  const again = new Message({
    ...BASE,
    subject: "다른 주제",
    html: "<p>x</p>",
    messageId: message.messageId,
    date: message.date,
  });
  assert.deepEqual(again.toBytes(), bytes);
  assert.throws(() => (message.subject = "late"), TypeError);
  assert.throws(() => message.to.push("late@example.com"), TypeError);
});

test("a boundary stands nowhere in the content, even where somebody knows how it is made", () => {
  const first = new Message({ ...BASE, text: "a", html: "b", messageId: "<x@y>" });
  const boundary = /boundary="([^"]+)"/.exec(text(first))?.[1] ?? "";
  const second = new Message({ ...BASE, text: `--${boundary}--`, html: "b", messageId: "<x@y>" });
  assert.notEqual(/boundary="([^"]+)"/.exec(text(second))?.[1], boundary);
});

const LINE_BREAKS = [
  "\n",
  "\r",
  "\r\n",
  "\r\nBcc: evil@example.com",
  "\0",
  "\u0085",
  "\u2028",
  "\u2029",
  "\u000b",
  "\u007f",
];
const BAD: readonly [field: string, fields: (bad: string) => MessageFields, error: new (...args: never[]) => Error][] =
  [
    ["subject", (bad) => ({ ...BASE, subject: `Hi${bad}` }), HeaderError],
    ["from", (bad) => ({ ...BASE, from: `Kim${bad} <kim@example.com>` }), AddressError],
    ["to[0]", (bad) => ({ ...BASE, to: [`kim@example.com${bad}`] }), AddressError],
    ["cc[0]", (bad) => ({ ...BASE, cc: [`Kim${bad} <kim@example.com>`] }), AddressError],
    ["replyTo[0]", (bad) => ({ ...BASE, replyTo: [`Kim${bad} <kim@example.com>`] }), AddressError],
    ['headers["X-A"]', (bad) => ({ ...BASE, headers: { "X-A": `a${bad}` } }), HeaderError],
  ];

for (const [field, fields, error] of BAD) {
  test(`a line break or control in ${field} is refused and names it`, () => {
    for (const bad of LINE_BREAKS) {
      assert.throws(
        () => new Message(fields(bad)).toBytes(),
        (thrown) => thrown instanceof error && (thrown as HeaderError).field === field,
        JSON.stringify(bad),
      );
    }
  });
}

const WRONG: readonly [name: string, fields: MessageFields, code: string][] = [
  ["an address without @", { ...BASE, to: ["kim"] }, "address-syntax"],
  ["no author", { ...BASE, from: undefined }, "address-syntax"],
  ["Bcc in headers", { ...BASE, headers: { BCC: "x@y" } }, "header-reserved"],
  ["a second Subject", { ...BASE, headers: { subject: "x" } }, "header-reserved"],
  ["a second Content-Type", { ...BASE, headers: { "content-TYPE": "x" } }, "header-reserved"],
  ["a header twice in another case", { ...BASE, headers: { "X-A": "1", "x-a": "2" } }, "header-name"],
  ["a header name with a space", { ...BASE, headers: { "X A": "1" } }, "header-name"],
  ["a header name with a line break", { ...BASE, headers: { "X-A\r\nBcc": "1" } }, "header-name"],
  ["a header name that is not ASCII", { ...BASE, headers: { 제목: "1" } }, "header-name"],
  ["a lone surrogate in the text", { ...BASE, text: "\ud800" }, "not-text"],
  ["a lone surrogate in the subject", { ...BASE, subject: "\udc00" }, "not-text"],
];

for (const [name, fields, code] of WRONG) {
  test(`${name} is refused`, () => assert.throws(() => new Message(fields).toBytes(), { code }));
}

test("what has the wrong type is refused when the message is made", () => {
  for (const fields of [
    { to: "a@x" },
    { subject: {} },
    { text: true },
    { date: new Date(Number.NaN) },
    { date: "now" },
    { recipients: [] },
    { cc: {} },
  ]) {
    assert.throws(() => new Message(fields as unknown as MessageFields), MessageError, JSON.stringify(fields));
  }
  for (const messageId of [
    "x@y",
    "<x>",
    "<x@y>\r\nBcc: z",
    "<a b@c>",
    "<@y>",
    "<.@y>",
    "<a..b@y>",
    "<x@..>",
    `<${"x".repeat(2000)}@y>`,
  ])
    assert.throws(() => new Message({ ...BASE, messageId }), HeaderError, messageId);
});

test("a Message-ID in headers is the message's, and differs from the field messageId in no case", () => {
  const headers = { "message-ID": "<a@x>" };
  assert.equal(new Message({ ...BASE, headers }).messageId, "<a@x>");
  assert.match(text(new Message({ ...BASE, headers: { "Message-ID": ["<a@x>"] } })), /^Message-ID: <a@x>\r$/m);
  assert.equal(new Message({ ...BASE, headers, messageId: "<a@x>" }).withFrom("b@x").messageId, "<a@x>");
  const wanted = { name: "HeaderError", code: "bad-value", field: "messageId" };
  assert.throws(() => new Message({ ...BASE, headers, messageId: "<b@x>" }).toBytes(), wanted);
  const late = new Message(BASE);
  assert.ok(late.messageId);
  late.headers = headers;
  assert.throws(() => late.toBytes(), wanted, "one that was told already");
  for (const value of ["a@x", "<a@x> <b@x>", 7, new Date()])
    assert.throws(() => new Message({ ...BASE, headers: { "Message-ID": value } }).toBytes(), {
      name: "HeaderError",
      field: 'headers["Message-ID"]',
    });
  const getter = Object.defineProperty({}, "Message-ID", { enumerable: true, get: () => assert.fail("it was called") });
  assert.throws(() => new Message({ ...BASE, headers: getter }).messageId, HeaderError);
});

test("no line has more than 998 octets, whatever is given", () => {
  const name = "X-" + "n".repeat(74);
  const quotes = '\\"'.repeat(495);
  const message = new Message({
    ...BASE,
    to: [`"${quotes}"<a@bc>`],
    subject: "x".repeat(2000),
    headers: { [name]: `${"w".repeat(922)} ${"v".repeat(899)}`, "List-Id": `<${"i".repeat(890)}>` },
    text: `${"t".repeat(999)}\n${"u".repeat(998)}`,
    html: "<p>x</p>",
  });
  assert.ok(
    text(message)
      .split("\r\n")
      .every((line) => line.length <= 998),
  );
  assert.match(text(new Message({ ...BASE, text: "u".repeat(998) })), /7bit/);
  assert.match(text(new Message({ ...BASE, text: "u".repeat(999) })), /quoted-printable|base64/);
});

test("a date that was given is the message's own", () => {
  const date = new Date(0);
  const message = new Message({ ...BASE, date });
  date.setTime(Number.NaN);
  message.date.setTime(Number.NaN);
  assert.match(text(message), /^Date: Thu, 01 Jan 1970 00:00:00 \+0000\r$/m);
});

test("prototypes in fields objects do nothing", () => {
  const fields = JSON.parse('{"subject":"s","from":"a@x","to":["b@x"],"headers":{"__proto__":"x"}}') as MessageFields;
  const message = new Message(fields);
  assert.match(text(message), /^__proto__: x\r$/m);
  assert.equal(({} as Record<string, unknown>).X, undefined);
  assert.throws(() => new Message(JSON.parse('{"__proto__":{"bcc":["evil@x"]}}') as MessageFields), MessageError);
});

test("a structured field is never encoded, and a URL never broken", () => {
  const url = `<https://example.com/unsubscribe?${"token=abcdef&".repeat(30)}>`;
  const message = new Message({
    ...BASE,
    headers: { "List-Unsubscribe": `<mailto:u@example.com>, ${url}`, "In-Reply-To": "<a@b>" },
  });
  assert.ok(text(message).includes(url));
  assert.doesNotMatch(text(message), /List-Unsubscribe:[^\r]*=\?/);
});

test("whatever the texts, the message reads back equal and keeps to the format", async () => {
  const unit = fc.constantFrom(
    "a",
    "Z",
    " ",
    ".",
    "=",
    "-",
    "é",
    "한",
    "국어",
    "日本",
    "😀",
    "שלום",
    "longer-word",
    "\t",
  );
  const line = fc.string({ unit, maxLength: 120 });
  const body = fc.array(line, { maxLength: 12 }).map((lines) => lines.join("\n"));
  await fc.assert(
    fc.asyncProperty(line, line, body, body, async (subject, name, plain, html) => {
      const displayName = name.replace(/\t/g, " ").trim().replace(/ +/g, " ");
      const message = new Message({
        ...BASE,
        subject,
        text: plain,
        html,
        to: [displayName === "" ? "to@example.com" : `"${displayName}" <to@example.com>`],
      });
      const written = text(message);
      assert.doesNotMatch(written, /[^\r]\n|\r[^\n]|[^\0-\x7f]/, "CRLF and ASCII only");
      assert.ok(written.split("\r\n").every((each) => each.length <= 998));
      const mail = await PostalMime.parse(message.toBytes());
      assert.equal(mail.subject ?? "", subject);
      assert.equal(mail.to?.[0]?.name ?? "", displayName);
      // postal-mime gives the line break before a boundary to the 7bit part, so the last line breaks are not compared.
      const unended = (lines: string | undefined): string | undefined => local(lines)?.replace(/\n+$/, "");
      if (plain !== "" || html === "") assert.equal(unended(mail.text) ?? "", unended(plain));
      if (html !== "") assert.equal(unended(mail.html), unended(html));
    }),
    { numRuns: 300 },
  );
});

test("what is remembered of the last author is no other message's", () => {
  const fieldOf = (from: string): string =>
    /^From: .*$/m.exec(Buffer.from(new Message({ from, to: ["a@example.com"] }).toBytes()).toString())?.[0].trim() ??
    "";
  for (let turn = 0; turn < 2; turn++) {
    assert.equal(fieldOf("Kim <kim@example.com>"), "From: Kim <kim@example.com>");
    assert.equal(fieldOf("lee@example.com"), "From: lee@example.com");
    assert.equal(fieldOf("lee@example.com"), "From: lee@example.com");
    assert.throws(() => fieldOf("nobody"), AddressError);
    assert.equal(new Message({ from: "lee@example.com" }).envelope().reversePath, "lee@example.com");
  }
});
