import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMessage } from "./decode.ts";
import type { InboxMessage } from "./message.ts";
import { matcher } from "./search.ts";
import { createStore } from "./store.ts";

function message(raw: string): Promise<InboxMessage> {
  const envelope = { reversePath: "bounce@example.com", forwardPaths: ["hidden@example.com"] };
  return decodeMessage({ session: "s", envelope, raw: Buffer.from(raw) });
}

test("the newest message is first, and the oldest goes when there are too many", async () => {
  const store = createStore({ maxMessages: 2, maxBytes: 1_000_000 });
  for (const subject of ["one", "two", "three"]) store.add(await message(`Subject: ${subject}\r\n\r\n`));
  assert.deepEqual(
    store.all().map(({ subject }) => subject),
    ["three", "two"],
  );
});

test("the oldest go when the messages take too many bytes, and the newest stays even alone too large", async () => {
  const store = createStore({ maxMessages: 10, maxBytes: 40_000 });
  for (const subject of ["one", "two", "three"])
    store.add(await message(`Subject: ${subject}\r\n\r\n${"x".repeat(5000)}`));
  assert.deepEqual(
    store.all().map(({ subject }) => subject),
    ["three", "two"],
  );
  store.add(await message(`Subject: large\r\n\r\n${"x".repeat(50_000)}`));
  assert.deepEqual(
    store.all().map(({ subject }) => subject),
    ["large"],
  );
});

test("a query stands anywhere in sender, recipients, envelope, subject or text, in any case", async () => {
  const mail = await message(
    "From: Kim <kim@example.com>\r\nTo: =?utf-8?B?7J207JiB7Z2s?= <lee@example.com>\r\nSubject: =?utf-8?B?6rCA7J6F?= Welcome\r\nX-Other: secret\r\n\r\nYour Code is 1234",
  );
  for (const query of [
    "KIM",
    "kim <kim@",
    "이영희",
    "LEE@",
    "bounce@",
    "Hidden@",
    "가입",
    "welcome",
    "code IS",
    " 1234 ",
    "",
    "  ",
  ]) {
    assert.equal(matcher(query)(mail), true, query);
  }
  // Decomposed, as macOS types it.
  assert.equal(matcher("가입".normalize("NFD"))(mail), true);
  for (const query of ["secret", "kim lee", "nobody", "code  is"]) assert.equal(matcher(query)(mail), false, query);
});
