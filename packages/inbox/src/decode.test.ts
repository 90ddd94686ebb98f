import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeMessage } from "./decode.ts";
import type { InboxMessage } from "./message.ts";

const envelope = { reversePath: "a@example.com", forwardPaths: ["b@example.com"] };

function decode(raw: string | Uint8Array): Promise<InboxMessage> {
  const bytes = typeof raw === "string" ? Buffer.from(raw.replaceAll("\n", "\r\n")) : raw;
  return decodeMessage({ session: "s", envelope, raw: bytes });
}

test("fields, text, HTML and links are decoded", async () => {
  const message = await decode(
    [
      "From: =?utf-8?B?6rmA7LKg7IiY?= <kim@example.com>",
      "To: =?utf-8?q?=EC=9D=B4=EC=98=81=ED=9D=AC?= <lee@example.com>, Friends: a@example.com, b@example.com;",
      "Cc: c@example.com",
      "Subject: =?utf-8?B?7KCc66qp?=",
      "Date: Mon, 23 Nov 2026 12:00:00 +0900",
      "Message-ID: <1@example.com>",
      "X-Folded: one",
      " two",
      'Content-Type: multipart/alternative; boundary="b"',
      "",
      "--b",
      "Content-Type: text/plain; charset=utf-8",
      "Content-Transfer-Encoding: base64",
      "",
      Buffer.from("안녕 https://example.com/a?b=1를 보세요").toString("base64"),
      "--b",
      "Content-Type: text/html; charset=utf-8",
      "",
      '<a href="https://example.com/a?b=1&amp;c=2">여기</a>',
      "--b--",
      "",
    ].join("\n"),
  );
  assert.deepEqual(message.from, { name: "김철수", address: "kim@example.com" });
  assert.deepEqual(message.to, [
    { name: "이영희", address: "lee@example.com" },
    { name: "", address: "a@example.com" },
    { name: "", address: "b@example.com" },
  ]);
  assert.deepEqual(message.cc, [{ name: "", address: "c@example.com" }]);
  assert.equal(message.subject, "제목");
  assert.equal(message.date?.toISOString(), "2026-11-23T03:00:00.000Z");
  assert.equal(message.messageId, "<1@example.com>");
  assert.deepEqual(message.headers[0], { name: "From", body: "김철수 <kim@example.com>" });
  assert.deepEqual(message.headers[6], { name: "X-Folded", body: "one two" });
  assert.match(message.text, /^안녕 https/);
  assert.match(message.html, /여기/);
  assert.deepEqual(message.links, ["https://example.com/a?b=1", "https://example.com/a?b=1&c=2"]);
  assert.equal(message.undecodable, undefined);
});

test("Korean in EUC-KR is decoded", async () => {
  const head = "Subject: =?ks_c_5601-1987?B?wMy43sDP?=\r\nContent-Type: text/plain; charset=euc-kr\r\n\r\n";
  const message = await decode(Buffer.concat([Buffer.from(head), Buffer.from([0xb0, 0xa1, 0xb3, 0xaa])]));
  assert.equal(message.subject, "이메일");
  assert.equal(message.text.trim(), "가나");
});

test("an attached message stays whole, its text is not taken for the text", async () => {
  const message = await decode(
    "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nouter\n--b\nContent-Type: message/rfc822\n\nSubject: inner\n\ninner text\n--b--\n",
  );
  assert.equal(message.text.trim(), "outer");
  assert.equal(message.attachments.length, 1);
  assert.equal(message.attachments[0]?.contentType, "message/rfc822");
  assert.match(Buffer.from(message.attachments[0]?.content ?? []).toString(), /inner text/);
});

test("what is missing is empty or null, not undefined", async () => {
  const message = await decode("X: y\n\n");
  const { from, to, cc, subject, date, messageId, html, links, attachments } = message;
  const expected = {
    from: null,
    to: [],
    cc: [],
    subject: "",
    date: null,
    messageId: "",
    html: "",
    links: [],
    attachments: [],
  };
  assert.deepEqual({ from, to, cc, subject, date, messageId, html, links, attachments }, expected);
});

describe("broken and hostile messages are kept, byte by byte", () => {
  const garbage = Uint8Array.from({ length: 4096 }, (_, index) => (index * 7919) % 256);
  const nested = Array.from(
    { length: 120 },
    (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\n\n--b${n}\n`,
  ).join("");
  const cases: readonly { name: string; raw: string | Uint8Array; undecodable?: RegExp }[] = [
    { name: "nothing at all", raw: "" },
    { name: "no header section", raw: "\n\nbody" },
    { name: "8-bit garbage", raw: garbage },
    { name: "NUL octets", raw: "Subject: a\0b\nFrom: \0\n\n\0\0\0" },
    { name: "a date that is none", raw: "Date: yesterday\n\n" },
    { name: "addresses that are none", raw: 'From: <<<>>>,,,;;\nTo: "\\\n\n' },
    { name: "a boundary that never comes", raw: "Content-Type: multipart/mixed; boundary=x\n\nno parts" },
    { name: "a multipart without boundary", raw: "Content-Type: multipart/mixed\n\n--\n--\n" },
    {
      name: "an unknown charset and encoding",
      raw: "Content-Type: text/plain; charset=x-none\nContent-Transfer-Encoding: rot13\n\nhi",
    },
    {
      name: "prototype names as parameters",
      raw: "Content-Type: text/plain; __proto__=1; constructor=2\n__proto__: x\n\nhi",
    },
    { name: "parts nested 120 deep", raw: nested, undecodable: /nesting depth/ },
    { name: "2 MiB of header fields", raw: `${"X: y\n".repeat(350_000)}\n`, undecodable: /header/i },
    { name: "half a million lines", raw: `\n${"\n".repeat(500_000)}`, undecodable: /400000 lines/ },
    {
      name: "a part bomb",
      raw: `Content-Type: multipart/mixed; boundary=b\n\n${"--b\n\n".repeat(20_000)}`,
      undecodable: /10000 lines/,
    },
  ];
  for (const { name, raw, undecodable } of cases) {
    test(name, async () => {
      const message = await decode(raw);
      const sent = typeof raw === "string" ? Buffer.from(raw.replaceAll("\n", "\r\n")) : raw;
      assert.deepEqual(Buffer.from(message.raw), Buffer.from(sent));
      assert.deepEqual(message.envelope, envelope);
      if (undecodable === undefined) assert.equal(message.undecodable, undefined);
      else assert.match(message.undecodable ?? "", undecodable);
    });
  }
});
