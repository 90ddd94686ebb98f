import assert, { AssertionError } from "node:assert";
import { test } from "node:test";
import { TimeoutError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { memoryTransport, type MemoryTransport } from "./memory.ts";

const message = (subject: string, to = "b@example.com"): Message =>
  new Message({
    subject,
    text: `the text of ${subject}`,
    html: `<p>${subject}</p>`,
    from: "김 <a@example.com>",
    to: [to],
    bcc: ["hidden@example.com"],
  });

async function filled(...subjects: string[]): Promise<MemoryTransport> {
  const transport = memoryTransport();
  await Array.fromAsync(transport.deliver(subjects.map((subject) => message(subject))));
  return transport;
}

test("a message in the box shows what a reader would see", async () => {
  const { box } = await filled("제목");
  const [came] = box;
  assert.deepEqual(
    [came?.subject, came?.from, came?.to, came?.text, came?.html, came?.attachments],
    ["제목", "김 <a@example.com>", ["b@example.com"], "the text of 제목", "<p>제목</p>", []],
  );
  assert.deepEqual(came?.envelope.forwardPaths, ["b@example.com", "hidden@example.com"]);
});

test("assertSent finds by each field, by patterns, by a function, and counts", async () => {
  const transport = await filled("one", "two", "twofold");
  const rows = [
    [{}, 3],
    [{ subject: "two" }, 1],
    [{ subject: /^two/ }, 2],
    [{ to: "hidden@example.com" }, 3],
    [{ to: /^hidden@/, subject: "one" }, 1],
    [{ to: "B" }, 0],
    [{ from: "a@example.com" }, 3],
    [{ from: /김/ }, 3],
    [{ text: "text of two" }, 2],
    [{ html: /<p>one/g }, 1],
    [({ subject }: { subject: string }) => subject.length === 3, 2],
  ] as const;
  for (const [search, count] of rows) {
    assert.strictEqual(transport.assertSent(search, count).length, count);
    assert.throws(() => transport.assertSent(search, count + 1), AssertionError);
    if (count > 0) assert.strictEqual(transport.assertSent(search).length, count);
    else assert.throws(() => transport.assertSent(search), AssertionError);
  }
  assert.throws(() => transport.assertSent({ recipient: "x" } as object), { field: "recipient" });
});

test("a failed assertion lists what is in the box", async () => {
  const transport = await filled("one", "two");
  assert.throws(() => transport.assertSent({ to: "kim@example.com", subject: /x/ }), {
    name: "AssertionError",
    message: `a message was expected with to "kim@example.com", subject /x/, but 0 found; the box has 2:
  to b@example.com, hidden@example.com: "one"
  to b@example.com, hidden@example.com: "two"`,
    actual: 0,
    expected: "at least 1",
  });
  transport.clear();
  assert.throws(() => transport.assertSent({}, 2), {
    message: "2 messages were expected with anything, but 0 found; the box is empty",
  });
  assert.deepStrictEqual(transport.assertSent({}, 0), []);
});

test("waitFor gives what is there, or what comes", async () => {
  const transport = await filled("one");
  assert.strictEqual((await transport.waitFor({ subject: "one" })).subject, "one");
  const coming = transport.waitFor({ subject: "three" });
  await Array.fromAsync(transport.deliver([message("two"), message("three")]));
  assert.strictEqual((await coming).subject, "three");
});

test("waitFor ends when the time is over, at an abort, and with what its function throws", async () => {
  const transport = await filled("one");
  await assert.rejects(transport.waitFor({ subject: "two" }, { timeout: 1 }), (error) => {
    assert.ok(error instanceof TimeoutError && error.code === "timeout");
    assert.match(error.message, /^no message with subject "two" in 1 ms; the box has 1:\n {2}to b@example/);
    return true;
  });
  const controller = new AbortController();
  const reason = new Error("the test is over");
  const waiting = transport.waitFor({ subject: "two" }, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(transport.waitFor({}, { signal: controller.signal }), reason);
  const thrown = new Error("in the function");
  const asking = transport.waitFor(({ subject }) => {
    if (subject === "two") throw thrown;
    return false;
  });
  await Array.fromAsync(transport.deliver([message("two")]));
  await assert.rejects(asking, thrown);
});

test("boxes do not meet", async () => {
  const [one, other] = await Promise.all([filled("one"), filled("other")]);
  assert.deepStrictEqual([one.box.length, one.box[0]?.subject, other.box[0]?.subject], [1, "one", "other"]);
});
