import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { sendMail, smtpTransport, TimeoutError } from "posthaste";
import type { Transport } from "posthaste";
import { createInbox } from "./inbox.ts";
import type { Inbox } from "./inbox.ts";

let inbox: Inbox;
let connection: Transport;

beforeEach(async () => {
  inbox = await createInbox();
  connection = smtpTransport({ host: "127.0.0.1", port: inbox.smtpPort });
});

afterEach(async () => {
  await connection.close();
  await inbox.close();
});

async function send(subject: string, text = "text"): Promise<void> {
  assert.equal(await sendMail(subject, text, "a@example.com", ["b@example.com"], { connection }), 1);
}

test("a message is there once the client has its verdict", async () => {
  await send("제목", "본문");
  const [message] = inbox.messages();
  assert.equal(message?.subject, "제목");
  assert.equal(message.text.trim(), "본문");
  assert.deepEqual(message.envelope, { reversePath: "a@example.com", forwardPaths: ["b@example.com"] });
  assert.deepEqual(inbox.messages("없는 말"), []);
  inbox.clear();
  assert.deepEqual(inbox.messages(), []);
});

describe("waitFor", () => {
  test("resolves with a message that comes later, not with another", async () => {
    const wanted = inbox.waitFor("second");
    await send("first");
    await send("second");
    assert.equal((await wanted).subject, "second");
  });

  test("resolves with the newest message that is already there", async () => {
    await send("code", "1111");
    await send("code", "2222");
    await send("other");
    assert.match((await inbox.waitFor("code")).text, /2222/);
    assert.equal((await inbox.waitFor()).subject, "other");
    assert.equal((await inbox.waitFor(({ text }) => text.includes("1111"))).subject, "code");
  });

  test("rejects with a TimeoutError that says what was waited for and which subjects are there", async () => {
    await assert.rejects(inbox.waitFor("kim@example.com", { timeout: 5 }), (error) => {
      assert.ok(error instanceof TimeoutError);
      assert.equal(error.message, 'no message that matches "kim@example.com" came within 5 ms; the inbox is empty');
      return true;
    });
    await send("Your code", "the code is 4711");
    await assert.rejects(
      inbox.waitFor(() => false, { timeout: 5 }),
      (error: Error) => {
        assert.equal(
          error.message,
          'no message for which the predicate holds came within 5 ms; the inbox holds 1, newest first: "Your code"',
        );
        return true;
      },
    );
  });

  test("rejects with the signal's reason", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const waiting = inbox.waitFor("x", { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(inbox.waitFor("x", { signal: AbortSignal.abort(reason) }), reason);
  });

  test("rejects when the inbox is closed, before or while it waits", async () => {
    const waiting = inbox.waitFor();
    const rejected = assert.rejects(waiting, /closed/);
    await inbox.close();
    await rejected;
    await assert.rejects(inbox.waitFor(), /closed/);
  });

  test("a predicate that throws rejects its own wait, and the message is accepted", async () => {
    const fault = new Error("fault of the predicate");
    const waiting = inbox.waitFor(() => {
      throw fault;
    });
    const rejected = assert.rejects(waiting, fault);
    await send("accepted all the same");
    await rejected;
    assert.equal(inbox.messages().length, 1);
  });

  test("a timeout that is no number of milliseconds is refused", async () => {
    for (const timeout of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(inbox.waitFor("x", { timeout }), RangeError);
    }
  });
});
