import assert from "node:assert/strict";
import { test } from "node:test";
import type { Reply } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";
import { ReplyReader } from "./reply.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(parts: readonly Uint8Array[]): Reply[] {
  const reader = new ReplyReader();
  const replies: Reply[] = [];
  for (const part of parts) {
    reader.push(part);
    for (let reply = reader.next(); reply !== undefined; reply = reader.next()) replies.push(reply);
  }
  return replies;
}

const GOOD: readonly [text: string, replies: Reply[]][] = [
  ["250 ok\r\n", [{ code: 250, lines: ["ok"] }]],
  ["250\r\n", [{ code: 250, lines: [""] }]],
  ["250-\r\n250 \r\n", [{ code: 250, lines: ["", ""] }]],
  ["250 2.1.0 ok\r\n", [{ code: 250, enhanced: "2.1.0", lines: ["2.1.0 ok"] }]],
  ["550 5.1.1\r\n", [{ code: 550, enhanced: "5.1.1", lines: ["5.1.1"] }]],
  // An enhanced status code of another class than the reply is none (RFC 2034 section 4).
  ["550 4.1.1 odd\r\n", [{ code: 550, lines: ["4.1.1 odd"] }]],
  [
    "250 one\n250 two\n",
    [
      { code: 250, lines: ["one"] },
      { code: 250, lines: ["two"] },
    ],
  ],
  [
    "250-a\r\n250-b\r\n250 c\r\n354 d\r\n",
    [
      { code: 250, lines: ["a", "b", "c"] },
      { code: 354, lines: ["d"] },
    ],
  ],
  ["550 안 됩니다\r\n", [{ code: 550, lines: ["안 됩니다"] }]],
  // What could move a terminal's cursor does not get through.
  ["550 \u001b[2Jx\ry\r\n", [{ code: 550, lines: ["\ufffd[2Jx\ufffdy"] }]],
];

test("replies are read whole, octet by octet and cut anywhere", () => {
  for (const [text, expected] of GOOD) {
    const octets = encode(text);
    assert.deepEqual(read([octets]), expected, text);
    assert.deepEqual(read(Array.from(octets, (octet) => Uint8Array.of(octet))), expected, text);
    for (let at = 1; at < octets.length; at++) {
      assert.deepEqual(read([octets.subarray(0, at), octets.subarray(at)]), expected, text);
    }
  }
});

test("what is no reply is refused", () => {
  const bad = [
    "25 ok\r\n",
    "2500 ok\r\n",
    "250_ok\r\n",
    "abc\r\n",
    "\r\n",
    "150 ok\r\n",
    "650 ok\r\n",
    "２５０ ok\r\n",
    "250-a\r\n251 b\r\n",
    " 250 ok\r\n",
    "HTTP/1.1 400 Bad Request\r\n",
  ];
  for (const text of bad)
    assert.throws(
      () => read([encode(text)]),
      (error) => error instanceof SmtpError && error.code === "protocol",
      text,
    );
});

test("a reply without end is refused at 64 KiB or 512 lines, whether its lines end or not", () => {
  const endless = [
    encode("2".repeat(70_000)),
    encode("250-" + "x".repeat(70_000)),
    encode(`250-${"x".repeat(900)}\r\n`.repeat(100)),
    encode("250-x\r\n".repeat(513)),
  ];
  for (const octets of endless) assert.throws(() => read([octets]), SmtpError);
  assert.equal(read([encode("250-x\r\n".repeat(511) + "250 x\r\n")])[0]?.lines.length, 512);
});
