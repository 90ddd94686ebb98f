import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderError } from "../errors.ts";
import { dateTime } from "./date-time.ts";
import type { HeaderValue } from "./header-field.ts";
import { Message, type MessageFields } from "./message.ts";

const BASE: MessageFields = { subject: "s", text: "t", from: "from@example.com", to: ["to@example.com"] };

function fields(headers: Record<string, HeaderValue>, more: MessageFields = {}): string {
  const text = Buffer.from(new Message({ ...BASE, ...more, headers }).toBytes()).toString();
  return text.slice(0, text.indexOf("\r\n\r\n") + 2);
}

const WRITTEN: readonly [headers: Record<string, HeaderValue>, line: string][] = [
  [{ "X-N": 3 }, "X-N: 3"],
  [{ "X-B": true }, "X-B: true"],
  [{ "X-E": "" }, "X-E:"],
  [{ "X-D": new Date(0) }, "X-D: Thu, 01 Jan 1970 00:00:00 +0000"],
  [{ "X-A": ["1", 2] }, "X-A: 1\r\nX-A: 2"],
  [{ to: "Team: a@x, b@y;" }, "to: Team: a@x, b@y;"],
  [{ TO: "undisclosed-recipients:;" }, "TO: undisclosed-recipients:;"],
  [{ "reply-to": "김 <r@example.com>" }, "reply-to: =?utf-8?b?6rmA?= <r@example.com>"],
  [{ From: "Shown <shown@example.com>" }, "From: Shown <shown@example.com>"],
  [{ From: "a@x, b@y" }, "Sender: a@x\r\nFrom: a@x, b@y"],
  [{ date: "Fri, 09 Nov 2001 01:08:47 -0000" }, "date: Fri, 09 Nov 2001 01:08:47 -0000"],
  [{ "message-id": "<own@example.com>" }, "message-id: <own@example.com>"],
  [{ "In-Reply-To": "<a@b>", References: "<a@b>  <c@d>" }, "In-Reply-To: <a@b>\r\nReferences: <a@b> <c@d>"],
  [{ "Auto-Submitted": "auto-generated" }, "Auto-Submitted: auto-generated"],
  [{ "X-Priority": 1, Importance: "high" }, "X-Priority: 1\r\nImportance: high"],
];

test("a header field is written by its grammar, in any case, and stands for the message's own", () => {
  for (const [headers, line] of WRITTEN) {
    const text = fields(headers);
    assert.ok(text.includes(`${line}\r\n`), `${JSON.stringify(headers)}: ${text}`);
    for (const name of Object.keys(headers)) {
      const count = text.match(new RegExp(`^${name}:`, "gim"))?.length;
      assert.equal(count, Array.isArray(headers[name]) ? 2 : 1, name);
    }
  }
});

test("absent values write nothing", () => {
  assert.doesNotMatch(fields({ "X-U": undefined, "X-N": null, "X-A": [] }), /X-/);
});

const REFUSED: readonly Record<string, unknown>[] = [
  { Bcc: "x@y" },
  { "resent-bcc": "x@y" },
  { Subject: "x" },
  { "Content-Type": "x/y" },
  { "MIME-Version": "1.0" },
  { Date: "yesterday" },
  { Date: new Date(Number.NaN) },
  { Date: "Fri, 99 Nov 2001 01:08:47 -0000" },
  { Sender: "foo <<" },
  { Sender: "a@x, b@y" },
  { To: "a" },
  { "X-A": Number.NaN },
  { "X-A": {} },
  { "X-A": Symbol("x") },
  { "X-A": ["a\nb"] },
  { To: ["a@x", "b@y"] },
  { "X:Y": "z" },
  { "": "z" },
  { References: "<é@x>" },
  { "List-Unsubscribe": `<${"u".repeat(901)}>` },
  { "message-id": "x" },
];

test("what cannot be written is refused, and the error names the field", () => {
  for (const headers of REFUSED) {
    assert.throws(
      () => fields(headers as Record<string, HeaderValue>),
      (error) => error instanceof Error && "field" in error && /header|messageId/.test(String(error.field)),
      Object.keys(headers)[0],
    );
  }
  const computed = Object.defineProperty({}, "X-A", { enumerable: true, get: () => "x" }) as Record<
    string,
    HeaderValue
  >;
  assert.throws(() => fields(computed), HeaderError);
});

test("several authors need a Sender, and it is the first of them", () => {
  const message = new Message({ ...BASE, from: "A <a@x.example>, b@y.example" });
  assert.match(
    Buffer.from(message.toBytes()).toString(),
    /^Sender: A <a@x\.example>\r\nFrom: A <a@x\.example>, b@y\.example\r\n/,
  );
  assert.equal(message.envelope().reversePath, "a@x.example");
});

test("the Date field is in UTC, or in the local time on request", () => {
  const date = new Date("2026-11-23T09:00:00Z");
  assert.equal(dateTime(date), "Mon, 23 Nov 2026 09:00:00 +0000");
  const local = dateTime(date, true);
  assert.match(local, /^\w{3}, \d{2} Nov 2026 \d{2}:\d{2}:00 [+-]\d{4}$/);
  assert.equal(new Date(local).getTime(), date.getTime());
});

test("fields that are inherited or computed are refused", () => {
  const inherited = Object.create({ bcc: ["evil@example.com"] }) as MessageFields;
  assert.throws(() => new Message(inherited), { field: "bcc" });
  const computed = Object.defineProperty({}, "to", {
    enumerable: true,
    get: () => ["evil@example.com"],
  }) as MessageFields;
  assert.throws(() => new Message(computed), { field: "to" });
});

test("100 000 recipients are rendered, and one more refused", () => {
  const to = Array.from({ length: 100_000 }, (_, index) => `to${index}@example.com`);
  const message = new Message({ ...BASE, to });
  assert.equal(message.envelope().forwardPaths.length, 100_000);
  assert.ok(message.toBytes().length > 2_000_000);
  assert.throws(() => new Message({ ...BASE, to: [...to, "more@example.com"] }).toBytes(), { code: "bad-value" });
});
