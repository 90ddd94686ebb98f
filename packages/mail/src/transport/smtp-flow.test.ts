import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startRelay } from "../../../../test/peer/relay.ts";
import { startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { DeliverableMessage, EndOfData, Receipt, Transport } from "../delivery.ts";
import { SmtpError } from "../errors.ts";
import { CHANNELS, type CommandEvent, type ConnectionEvent } from "../smtp/client/diagnostics.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const CONTENT = Buffer.from("Subject: x\r\n\r\ny\r\n");

function letter(number: number): DeliverableMessage {
  const envelope = { reversePath: `from${number}@example.com`, forwardPaths: [`to${number}@example.com`] };
  return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => CONTENT };
}

const letters = (count: number): DeliverableMessage[] => Array.from({ length: count }, (_, index) => letter(index));
const to = ({ port }: { readonly port: number }, options: Partial<SmtpOptions> = {}): Transport =>
  smtpTransport({ host: "127.0.0.1", port, ...options });
const codeOf = ({ error }: Receipt): string | undefined => (error instanceof SmtpError ? error.code : undefined);

test("an abort at any command defers what has not reached its end of data, and finishes what has", async () => {
  for (const connections of [1, 3]) {
    for (const verb of ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "end-of-data"] as const) {
      const controller = new AbortController();
      await using server = await startFaultServer({
        plan: (step) => {
          if (step.verb === verb && step.messages === (verb === "end-of-data" ? 1 : 0)) controller.abort();
          return undefined;
        },
      });
      const transport = to(server, { connections });
      const { signal } = controller;
      const receipts = await Array.fromAsync(transport.deliver(letters(60), { signal }));
      await transport.close();
      for (const receipt of receipts) {
        const taken = server.accepted.some(({ reversePath }) => reversePath === `from${receipt.index}@example.com`);
        assert.equal(receipt.status, taken ? "accepted" : "deferred", `${verb}, message ${receipt.index}`);
        if (!taken) assert.equal(codeOf(receipt), "aborted");
      }
      assert.ok(receipts.length < 60 && receipts.length > 0, `${verb}: ${receipts.length} were read`);
      assert.ok(verb === "end-of-data" || connections > 1 || server.accepted.length === 0, verb);
    }
  }
});

test("a signal that was aborted before defers without a connection and without reading", async () => {
  await using server = await startFaultServer();
  const transport = to(server);
  const source = function* (): Generator<DeliverableMessage> {
    yield assert.fail("read");
  };
  assert.deepEqual(await Array.fromAsync(transport.deliver(source(), { signal: AbortSignal.abort() })), []);
  await transport.close();
  assert.equal(server.connections, 0);
});

test("an abort while a rate is waited for defers at once", async () => {
  await using server = await startFaultServer();
  const transport = to(server, { messagesPerSecond: 1 / 3600 });
  const controller = new AbortController();
  const receipts: Receipt[] = [];
  for await (const receipt of transport.deliver(letters(3), { signal: controller.signal })) {
    receipts.push(receipt);
    controller.abort(new Error("enough"));
  }
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "deferred", "deferred"],
  );
  assert.match(String(receipts[1]?.error?.cause), /enough/);
  await transport.close();
});

/** A server that takes a number of messages and then lets the next wait. */
async function startStallingServer(count: number) {
  const stalled = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let ends = 0;
  const inData = new Set<number>();
  const server = await startScriptedServer(async (line, connection) => {
    if (inData.has(connection)) {
      if (line !== ".") return undefined;
      inData.delete(connection);
      if (++ends > count) {
        stalled.resolve();
        await release.promise;
      }
      return "250 accepted\r\n";
    }
    if (line === "DATA") inData.add(connection);
    return line === "" ? "220 s\r\n" : line === "DATA" ? "354 go on\r\n" : "250 ok\r\n";
  });
  return Object.assign(server, { stalled: stalled.promise, release: () => release.resolve() });
}

test("a source of a million is read no further than the look-ahead while the server stalls", async () => {
  for (const connections of [1, 4]) {
    await using server = await startStallingServer(0);
    let read = 0;
    function* source(): Generator<DeliverableMessage> {
      while (read < 1_000_000) yield letter(read++);
    }
    const transport = to(server, { connections });
    const controller = new AbortController();
    const delivery = Array.fromAsync(transport.deliver(source(), { signal: controller.signal }));
    await server.stalled;
    assert.ok(read <= connections * 4 + 16, `${read} were read`);
    controller.abort();
    server.release();
    const receipts = await delivery;
    assert.deepEqual([receipts.length, receipts.filter(({ status }) => status === "accepted").length], [read, 1]);
    await transport.close();
  }
});

test("what is slow to come or large is read no further than it is needed", async () => {
  const large = Buffer.alloc(300_000, "x".repeat(76) + "\r\n");
  const slow = (index: number): DeliverableMessage => {
    const start = performance.now();
    while (performance.now() - start < 2);
    return letter(index);
  };
  const sources = { slow, large: (index: number) => ({ ...letter(index), toBytes: () => large }) };
  for (const [name, messageOf] of Object.entries(sources)) {
    await using server = await startStallingServer(0);
    let read = 0;
    function* source(): Generator<DeliverableMessage> {
      while (read < 1_000) yield messageOf(read++);
    }
    const transport = to(server);
    const controller = new AbortController();
    const delivery = Array.fromAsync(transport.deliver(source(), { signal: controller.signal }));
    await server.stalled;
    assert.ok(read <= 5, `${name}: ${read} were read`);
    controller.abort();
    server.release();
    await delivery;
    await transport.close();
  }
});

test("a consumer that stops taking receipts stops the source", async () => {
  await using server = await startFaultServer();
  const transport = to(server);
  let read = 0;
  let ended = false;
  async function* source(): AsyncGenerator<DeliverableMessage> {
    try {
      while (read < 1_000_000) yield await Promise.resolve(letter(read++));
    } finally {
      ended = true;
    }
  }
  const receipts = transport.deliver(source())[Symbol.asyncIterator]();
  await receipts.next();
  // Everything that is under way comes to rest.
  let before = -1;
  while (before !== server.accepted.length) {
    before = server.accepted.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(read <= 28 && server.accepted.length <= read, `${read} were read, ${server.accepted.length} accepted`);
  await receipts.return?.();
  assert.equal(ended, true);
  await transport.close();
});

test("leaving the loop finishes what is past DATA and nothing more", async () => {
  await using server = await startStallingServer(1);
  const transport = to(server);
  for await (const { status } of transport.deliver(letters(9))) {
    assert.equal(status, "accepted");
    await server.stalled;
    // The loop is left while the second message's verdict is owed.
    setImmediate(server.release);
    break;
  }
  await transport.close();
  assert.deepEqual(
    server.lines.filter((line) => line.startsWith("MAIL")),
    ["MAIL FROM:<from0@example.com>", "MAIL FROM:<from1@example.com>"],
  );
  assert.equal(server.lines.filter((line) => line === ".").length, 2);
  assert.equal(server.lines.at(-1), "QUIT");
});

test("a source whose end throws is left all the same: nothing more leaves, and close() resolves", async () => {
  await using server = await startStallingServer(1);
  const transport = to(server);
  let ends = 0;
  const source = {
    next: () => ({ done: false as const, value: letter(0) }),
    return: () => {
      ends++;
      throw new Error("the cursor cannot be closed");
    },
    [Symbol.iterator]: () => source,
  };
  for await (const { status } of transport.deliver(source)) {
    assert.equal(status, "accepted");
    await server.stalled;
    setImmediate(server.release);
    break;
  }
  await transport.close();
  assert.deepEqual([ends, server.lines.filter((line) => line === ".").length], [1, 2]);
});

test("a source that fails ends the delivery with its error, when all that it gave has its receipt", async () => {
  await using server = await startFaultServer();
  for (const isAsync of [false, true]) {
    const transport = to(server);
    function* broken(): Generator<DeliverableMessage> {
      yield* letters(2);
      throw new Error("the query failed");
    }
    async function* brokenLater(): AsyncGenerator<DeliverableMessage> {
      for (const each of broken()) yield await Promise.resolve(each);
    }
    const receipts: Receipt[] = [];
    await assert.rejects(async () => {
      for await (const receipt of transport.deliver(isAsync ? brokenLater() : broken())) receipts.push(receipt);
    }, /the query failed/);
    assert.deepEqual(
      receipts.map(({ status }) => status),
      ["accepted", "accepted"],
    );
    await transport.close();
  }
});

test("beforeEndOfData is told of each message once, up to 16 at a time, before its end of data leaves", async () => {
  for (const pipelining of ["auto", "off", { bdatWindow: 4 }] as const) {
    for (const isAsync of [false, true]) {
      await using server = await startFaultServer();
      const transport = to(server, { pipelining, connections: 2 });
      const batches: (readonly EndOfData[])[] = [];
      const told = new Set<string>();
      const allowed = new Set<string>();
      const beforeEndOfData = (batch: readonly EndOfData[]): void | Promise<void> => {
        batches.push(batch);
        for (const { messageId } of batch) told.add(messageId);
        const allow = (): void => batch.forEach(({ messageId }) => allowed.add(messageId));
        if (!isAsync) return allow();
        return new Promise((resolve) => setImmediate(() => (allow(), resolve())));
      };
      for await (const { index, messageId, status } of transport.deliver(letters(50), { beforeEndOfData })) {
        assert.deepEqual([status, allowed.has(messageId)], ["accepted", true], `message ${index}`);
      }
      await transport.close();
      assert.deepEqual(
        batches
          .flat()
          .map(({ index }) => index)
          .toSorted((a, b) => a - b),
        letters(50).map((_, index) => index),
      );
      assert.ok(batches.every(({ length }) => length >= 1 && length <= 16));
      assert.ok(batches.length < 50, `${batches.length} batches`);
      assert.equal(told.size, 50);
    }
  }
});

test("what beforeEndOfData rejects leaves not at all, the whole batch, and the next batch leaves", async () => {
  for (const isAsync of [false, true]) {
    await using server = await startFaultServer();
    const transport = to(server);
    const held: number[] = [];
    const beforeEndOfData = (batch: readonly EndOfData[]): void | Promise<void> => {
      if (held.length > 0) return;
      held.push(...batch.map(({ index }) => index));
      const error = new Error("the disk is full");
      if (isAsync) return Promise.reject(error);
      throw error;
    };
    const receipts = await Array.fromAsync(transport.deliver(letters(40), { beforeEndOfData }));
    await transport.close();
    assert.ok(held.length > 1, "a batch of several");
    assert.equal(receipts.length, 40);
    for (const receipt of receipts) {
      const isHeld = held.includes(receipt.index);
      assert.equal(receipt.status, isHeld ? "deferred" : "accepted", `message ${receipt.index}`);
      if (isHeld) assert.match(String(receipt.error?.cause), /the disk is full/);
    }
    const taken = server.accepted.map(({ reversePath }) => Number(/\d+/.exec(reversePath)?.[0]));
    assert.deepEqual(
      taken.filter((index) => held.includes(index)),
      [],
    );
    assert.equal(taken.length, 40 - held.length);
  }
});

test("close() waits for what is under way, refuses what comes later, and may be called again", async () => {
  await using server = await startStallingServer(0);
  const transport = to(server);
  const delivery = Array.fromAsync(transport.deliver(letters(3)));
  await server.stalled;
  let isClosed = false;
  const closing = transport.close().then(() => (isClosed = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isClosed, false);
  server.release();
  await closing;
  assert.deepEqual(
    (await delivery).toSorted((a, b) => a.index - b.index).map(({ status }) => status),
    ["accepted", "deferred", "deferred"],
  );
  await transport.close();
  const [late] = await Array.fromAsync(transport.deliver([letter(9)]));
  assert.deepEqual([late?.status, late && codeOf(late)], ["deferred", "aborted"]);
  assert.equal(server.connections, 1);
});

test("close() ends a delivery whose source would never end, and one whose source gives no other message", async () => {
  await using server = await startFaultServer();
  let ends = 0;
  let read = 0;
  const ended = <T>(value: T): T => (ends++, value);
  const sources: Record<string, () => Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>> = {
    *endless() {
      try {
        for (;;) yield letter(read++);
      } finally {
        ended(read);
      }
    },
    async *endlessLater() {
      try {
        for (;;) yield await Promise.resolve(letter(read++));
      } finally {
        ended(read);
      }
    },
    waiting() {
      const next = (): Promise<IteratorResult<DeliverableMessage>> =>
        read === 3 ? new Promise(() => undefined) : Promise.resolve({ done: false, value: letter(read++) });
      const end = (): Promise<IteratorResult<DeliverableMessage>> => Promise.resolve(ended({ done: true, value: 0 }));
      return { [Symbol.asyncIterator]: () => ({ next, return: end }) };
    },
  };
  for (const [name, source] of Object.entries(sources)) {
    const transport = to(server, { connections: 2 });
    ends = read = 0;
    const receipts: Receipt[] = [];
    let closed: Promise<void> | undefined;
    for await (const receipt of transport.deliver(source())) {
      receipts.push(receipt);
      if (receipts.length === 3) closed = transport.close();
    }
    await closed;
    assert.equal(ends, 1, name);
    // One may be on its way here when the source is left.
    assert.ok(read - receipts.length <= 1, `${name}: ${receipts.length} of ${read}`);
    const others = receipts.filter(({ status }) => status !== "accepted");
    for (const receipt of others) assert.deepEqual([receipt.status, codeOf(receipt)], ["deferred", "aborted"], name);
    const late = await Array.fromAsync(transport.deliver(sources.endless!()));
    assert.deepEqual(late.map(codeOf), ["aborted"], name);
  }
});

test("deliveries in parallel share the connections, and each has its own receipts in its own numbers", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  const transport = to(relay, { connections: 2 });
  const deliveries = await Promise.all(
    [5, 9, 20, 1].map((count) => Array.fromAsync(transport.deliver(letters(count)))),
  );
  await transport.close();
  for (const [place, count] of [5, 9, 20, 1].entries()) {
    assert.deepEqual(
      deliveries[place]?.map(({ index, status }) => `${index} ${status}`).toSorted(),
      letters(count)
        .map((_, index) => `${index} accepted`)
        .toSorted(),
    );
  }
  assert.ok(relay.most <= 2, `${relay.most} connections`);
  assert.equal(peer.messages.length, 35);
});

test("a delivery that is left or aborted takes nothing from another over the same transport", async () => {
  await using server = await startFaultServer();
  const transport = to(server, { connections: 2 });
  const other = Array.fromAsync(transport.deliver(letters(60)));
  const controller = new AbortController();
  const aborting = (async () => {
    for await (const receipt of transport.deliver(letters(60), { signal: controller.signal }))
      if (receipt.index === 3) controller.abort();
  })();
  for await (const receipt of transport.deliver(letters(60))) if (receipt.index === 2) break;
  await aborting;
  assert.deepEqual(
    (await other).map(({ status }) => status),
    Array(60).fill("accepted"),
  );
  await transport.close();
});

test("a connection that was idle for idleTimeout is ended by QUIT, and the next message has another", async () => {
  const ended = Promise.withResolvers<void>();
  await using server = await startFaultServer({
    plan: ({ verb }) => {
      if (verb === "QUIT") ended.resolve();
      return undefined;
    },
  });
  const transport = to(server, { idleTimeout: 30 });
  await Array.fromAsync(transport.deliver([letter(0)]));
  await ended.promise;
  await Array.fromAsync(transport.deliver([letter(1)]));
  await transport.close();
  assert.deepEqual([server.connections, server.accepted.length], [2, 2]);
});

test("idleTimeout counts from the last message, not from whenever it was last looked at", async () => {
  await using server = await startFaultServer();
  const transport = to(server, { idleTimeout: 200 });
  const order: string[] = [];
  const listener = (event: unknown): void => void ((event as CommandEvent).verb === "QUIT" && order.push("QUIT"));
  subscribe(CHANNELS.command, listener);
  await Array.fromAsync(transport.deliver([letter(0)]));
  await new Promise((resolve) => setTimeout(resolve, 120));
  await Array.fromAsync(transport.deliver([letter(1)]));
  await new Promise((resolve) => setTimeout(resolve, 240));
  order.push("later");
  unsubscribe(CHANNELS.command, listener);
  assert.deepEqual([order, server.connections], [["QUIT", "later"], 1]);
  await transport.close();
});

test("how long a server bears an idle connection is learned from two that it ended after the same time", async () => {
  await using server = await startFaultServer();
  await using relay = await startRelay(server.port);
  const transport = to(relay);
  for (const index of [0, 1]) {
    await Array.fromAsync(transport.deliver([letter(index)]));
    await new Promise((resolve) => setTimeout(resolve, 400));
    const ended = Promise.withResolvers<void>();
    const listener = (event: unknown): void => void ((event as ConnectionEvent).type === "ended" && ended.resolve());
    subscribe(CHANNELS.connection, listener);
    // The server has had enough of the idle connection, and the client has noticed.
    relay.cut();
    await ended.promise;
    unsubscribe(CHANNELS.connection, listener);
  }
  await Array.fromAsync(transport.deliver([letter(2)]));
  await relay.quiet();
  assert.deepEqual([relay.connections, server.steps.at(-1)?.verb], [3, "QUIT"]);
  await transport.close();
});
