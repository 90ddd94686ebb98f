import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { test } from "node:test";
import nodemailer, { type TransportOptions } from "nodemailer";
import { type Fault, startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { EndOfData, Receipt, Transport } from "../delivery.ts";
import { AuthError, type PosthasteError, SmtpError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { testTransport } from "./contract.ts";
import { fromNodemailer } from "./nodemailer.ts";

const letter = (name: string | number, fields: object = {}): Message =>
  new Message({ from: "from@example.com", to: [`${name}@example.com`], text: "a", ...fields });
const letters = (count: number, prefix = "to"): Message[] =>
  Array.from({ length: count }, (_, index) => letter(`${prefix}${index}`));

function smtp(port: number, options: object = {}): Transport {
  const given = { host: "127.0.0.1", port, pool: true, ...options };
  return fromNodemailer(nodemailer.createTransport(given as TransportOptions));
}

interface Holding extends AsyncDisposable {
  readonly port: number;
  /** How many it had at once. */
  readonly most: number;
  /** Resolves when so many are held. */
  held(count: number): Promise<void>;
  /** Answers so many; without a number all that are held and all that come. */
  release(count?: number): void;
}

/** A server that answers the end of data when it is told to. */
async function startHolding(): Promise<Holding> {
  const held: (() => void)[] = [];
  const arrival = new EventEmitter();
  let [isOpen, most] = [false, 0];
  const peer = await startSmtpPeer({
    onData(stream, _session, callback) {
      stream.resume().once("end", () => {
        if (isOpen) return callback();
        most = Math.max(most, held.push(callback));
        arrival.emit("held");
      });
    },
  });
  return {
    port: peer.port,
    get most() {
      return most;
    },
    held: async (count) => {
      while (held.length < count) await once(arrival, "held", { signal: AbortSignal.timeout(10_000) });
    },
    release: (count = Number.POSITIVE_INFINITY) => {
      isOpen = count === Number.POSITIVE_INFINITY;
      for (const callback of held.splice(0, count)) callback();
    },
    [Symbol.asyncDispose]: () => peer.close(),
  };
}

/** What is delivered while the test does other things. */
function collected(receipts: AsyncIterable<Receipt>): {
  readonly receipts: Receipt[];
  readonly done: Promise<unknown>;
} {
  const collected: Receipt[] = [];
  const done = (async () => {
    for await (const receipt of receipts) collected.push(receipt);
  })();
  done.catch(() => undefined);
  return { receipts: collected, done };
}

testTransport("nodemailer's pooled SMTP transport", async () => {
  const peer = await startSmtpPeer();
  return {
    transport: smtp(peer.port),
    received: () => peer.messages.map(({ forwardPaths, content }) => ({ forwardPaths, content: Buffer.from(content) })),
    dispose: () => peer.close(),
  };
});

test("a pool of nodemailer's sends over all its connections at once, and each receipt is its message's", async () => {
  await using peer = await startSmtpPeer();
  const transport = smtp(peer.port);
  const messages = Array.from({ length: 60 }, (_, index) =>
    letter(`${["a", "refused", "deferred"][index % 3]}${index}`),
  );
  const receipts = await Array.fromAsync(transport.deliver(messages));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ index }) => index).sort((one, other) => one - other),
    messages.map((_, index) => index),
  );
  for (const { index, messageId, status, recipients } of receipts)
    assert.deepEqual(
      [messageId, status, recipients.map(({ address }) => address)],
      [messages[index]?.messageId, ["accepted", "refused", "deferred"][index % 3], messages[index]?.to],
    );
  assert.equal(peer.sessions.length, 5);
});

test("the first message goes alone, then as many as the pool has connections and places for", async () => {
  await using peer = await startHolding();
  const transport = smtp(peer.port, { maxConnections: 3 });
  let read = 0;
  function* source(): Generator<Message> {
    while (read < 40) yield letter(read++);
  }
  const delivery = collected(transport.deliver(source()));
  await peer.held(1);
  assert.equal(read, 1);
  peer.release(1);
  await peer.held(3);
  assert.ok(read > 4 && read <= 7, `${read}: the first, three under way, and up to three in the pool's queue`);
  peer.release();
  await delivery.done;
  await transport.close();
  assert.deepEqual([delivery.receipts.length, peer.most], [40, 3]);
});

test("receipts come as the verdicts do, and none waits for a message that takes long", async () => {
  let letGo: () => void = () => undefined;
  await using peer = await startSmtpPeer({
    onData(stream, session, callback) {
      const isSlow = session.envelope.rcptTo[0]?.address.startsWith("slow") === true;
      stream.resume().once("end", () => (isSlow ? (letGo = () => callback()) : callback()));
    },
  });
  const transport = smtp(peer.port);
  const indexes: number[] = [];
  for await (const { index } of transport.deliver([letter("first"), letter("slow"), ...letters(10)])) {
    indexes.push(index);
    if (indexes.length === 11) letGo();
  }
  await transport.close();
  assert.deepEqual([indexes.length, indexes.at(-1)], [12, 1]);
});

/** Takes so many at once; it is idle while fewer wait. */
class Plugin extends EventEmitter {
  readonly name = "plugin";
  readonly version = "1";
  readonly waiting: (() => void)[] = [];
  readonly #room: number;
  given = 0;
  mostWaiting = 0;
  constructor(room: number) {
    super();
    this.#room = room;
  }
  isIdle(): boolean {
    return this.waiting.length < this.#room;
  }
  send(_mail: unknown, done: (error: Error | null, info?: unknown) => void): void {
    this.given++;
    this.mostWaiting = Math.max(
      this.mostWaiting,
      this.waiting.push(() => done(null, {})),
    );
    this.emit("given");
  }
  /** One after the other, and says so where there is room again. */
  next(): void {
    const wasIdle = this.isIdle();
    this.waiting.shift()?.();
    if (!wasIdle && this.isIdle()) this.emit("idle");
  }
}

test("a plugin that says when it is idle gets no message while it is not, and the next with its event", async () => {
  for (const isBare of [true, false]) {
    const plugin = new Plugin(4);
    const transport = fromNodemailer(isBare ? plugin : nodemailer.createTransport(plugin));
    const listeners = plugin.listenerCount("idle");
    const pace = setInterval(() => plugin.next(), 1);
    const receipts = await Array.fromAsync(transport.deliver(letters(50)));
    clearInterval(pace);
    assert.deepEqual([receipts.length, plugin.given, plugin.mostWaiting], [50, 50, 4]);
    assert.equal(plugin.listenerCount("idle"), listeners);
  }
});

test("one that is always idle has a hundred messages under way at most, receipts not taken among them", async () => {
  const plugin = new Plugin(Number.POSITIVE_INFINITY);
  let read = 0;
  function* source(): Generator<Message> {
    for (;;) yield letter(read++);
  }
  const receipts = fromNodemailer(plugin).deliver(source())[Symbol.asyncIterator]();
  const indexOf = (result: IteratorResult<Receipt, unknown>): unknown => result.done !== true && result.value.index;
  const first = receipts.next();
  while (plugin.given < 1) await once(plugin, "given");
  plugin.next();
  assert.equal(indexOf(await first), 0);
  const second = receipts.next();
  while (plugin.given < 101) await once(plugin, "given");
  plugin.next();
  assert.equal(indexOf(await second), 1);
  assert.deepEqual([read, plugin.given], [101, 101]);
  const left = receipts.return?.();
  while (plugin.waiting.length > 0) plugin.next();
  await left;
  assert.equal(plugin.given, 101);
});

test("one that is never idle gets one message after the other", async () => {
  const plugin = new Plugin(0);
  plugin.on("given", () => setImmediate(() => plugin.next()));
  assert.equal((await Array.fromAsync(fromNodemailer(plugin).deliver(letters(5)))).length, 5);
  assert.equal(plugin.mostWaiting, 1);
});

test("one that says nothing of being idle gets so many at once as the delivery has connections", async () => {
  const rows: [number | undefined, number, number][] = [
    [undefined, 20, 1],
    [1, 20, 1],
    [7, 20, 7],
    [1_000, 202, 100],
  ];
  for (const [connections, count, expected] of rows) {
    const waiting: (() => void)[] = [];
    let most = 0;
    const plugin = {
      send: (_mail: unknown, done: (error: null, info: unknown) => void) => {
        most = Math.max(
          most,
          waiting.push(() => done(null, {})),
        );
      },
    };
    const pace = setInterval(() => waiting.splice(0).forEach((done) => done()), 10);
    const receipts = await Array.fromAsync(fromNodemailer(plugin).deliver(letters(count), { connections }));
    clearInterval(pace);
    assert.deepEqual([receipts.length, most], [count, expected]);
  }
});

test("leaving the receipts waits for what is under way, and hands over no more", async () => {
  await using peer = await startHolding();
  const transport = smtp(peer.port, { maxConnections: 2 });
  const told: number[] = [];
  let isLeft = false;
  let isOver = false;
  async function* source(): AsyncGenerator<Message> {
    try {
      for (let count = 0; ; count++) yield letter(count);
    } finally {
      isLeft = true;
    }
  }
  const beforeEndOfData = (batch: readonly EndOfData[]): void => void told.push(...batch.map(({ index }) => index));
  const leaving = (async () => {
    for await (const { index } of transport.deliver(source(), { beforeEndOfData })) if (index > 0) break;
    isOver = true;
  })();
  await peer.held(1);
  peer.release(1);
  await peer.held(2);
  peer.release(1);
  while (!isLeft) await new Promise((resolve) => setImmediate(resolve));
  const [handed, wasOver] = [told.length, isOver];
  peer.release();
  await leaving;
  await transport.close();
  assert.deepEqual([wasOver, told.length], [false, handed]);
});

test("an abort reads and hands over no more, and what was handed over keeps its verdict", async () => {
  await using peer = await startHolding();
  const transport = smtp(peer.port, { maxConnections: 2 });
  const controller = new AbortController();
  const told: number[] = [];
  const delivery = collected(
    transport.deliver(letters(1_000), {
      signal: controller.signal,
      beforeEndOfData: (batch) => void told.push(...batch.map(({ index }) => index)),
    }),
  );
  await peer.held(1);
  peer.release(1);
  await peer.held(2);
  controller.abort();
  const handed = [...told];
  peer.release();
  await delivery.done;
  await transport.close();
  assert.ok(handed.length >= 3 && handed.length < 10, String(handed));
  assert.deepEqual(
    delivery.receipts.map(({ index, status }) => [index, status]),
    handed.map((index) => [index, "accepted"]),
  );
});

test("an abort while beforeEndOfData is awaited hands the message over no more", async () => {
  await using peer = await startSmtpPeer();
  const transport = smtp(peer.port);
  const controller = new AbortController();
  const beforeEndOfData = async (): Promise<void> => controller.abort();
  const receipts = await Array.fromAsync(transport.deliver(letters(3), { signal: controller.signal, beforeEndOfData }));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ index, status, error }) => [index, status, (error as PosthasteError).code]),
    [[0, "deferred", "aborted"]],
  );
  assert.equal(peer.messages.length, 0);
});

test("refused credentials are presented once, and end the delivery where it began", async () => {
  await using peer = await startSmtpPeer({ authOptional: false });
  const transport = smtp(peer.port, { auth: { user: "me", pass: "hunter2" } });
  await assert.rejects(
    Array.fromAsync(transport.deliver(letters(50))),
    (error) => error instanceof AuthError && error.nextIndex === 0 && !error.message.includes("hunter2"),
  );
  await transport.close();
  assert.equal(peer.credentials.length, 1);
});

test("credentials that are refused later end it behind the receipts of what is under way", async () => {
  let logins = 0;
  await using peer = await startSmtpPeer({
    authOptional: false,
    onAuth: (auth, _session, callback) =>
      ++logins <= 2 ? callback(null, { user: auth.username }) : callback(new Error("expired")),
  });
  const transport = smtp(peer.port, { maxConnections: 3, maxMessages: 5, auth: { user: "me", pass: "secret" } });
  const told = new Set<number>();
  const receipts: Receipt[] = [];
  let ending: AuthError | undefined;
  try {
    for await (const receipt of transport.deliver(letters(100), {
      beforeEndOfData: (batch) => batch.forEach(({ index }) => void told.add(index)),
    }))
      receipts.push(receipt);
  } catch (error) {
    assert.ok(error instanceof AuthError);
    ending = error;
  }
  await transport.close();
  const next = ending?.nextIndex ?? -1;
  assert.ok(next > 0 && next < 100, String(next));
  assert.deepEqual(
    receipts.map(({ index }) => index).sort((one, other) => one - other),
    Array.from({ length: next }, (_, index) => index),
    "each message before it has one receipt, and none behind it has",
  );
  const accepted = new Set(receipts.filter(({ status }) => status === "accepted").map(({ index }) => index));
  assert.deepEqual(new Set(peer.messages.map(({ forwardPaths }) => forwardPaths[0])).size, accepted.size);
  for (const { index, status, error } of receipts)
    assert.ok(status === "accepted" || (status === "deferred" && error instanceof AuthError), `${index} ${status}`);
});

test("three connections in a row that fail end it, and those it did not try have no receipt", async () => {
  const gone = await startSmtpPeer();
  await gone.close();
  for (const pool of [true, false]) {
    const transport = smtp(gone.port, { pool });
    const receipts: Receipt[] = [];
    await assert.rejects(
      async () => {
        for await (const receipt of transport.deliver(letters(50))) receipts.push(receipt);
      },
      (error) => error instanceof SmtpError && error.code === "connect" && error.nextIndex === 2,
    );
    assert.deepEqual(
      receipts.map(({ index, status }) => [index, status]),
      [
        [0, "deferred"],
        [1, "deferred"],
      ],
    );
    await transport.close();
  }
});

const content = async function* (): AsyncGenerator<Uint8Array> {
  yield Buffer.from("streamed");
};

test("a connection that dies behind the content leaves the message unknown, one that dies before defers it", async () => {
  const rows: [string, Fault, string][] = [
    ["greeting", { kind: "close", done: false }, "deferred"],
    ["greeting", { kind: "reset", done: false }, "deferred"],
    ["greeting", { kind: "stall", done: false }, "deferred"],
    ["greeting", { kind: "garbage", done: false }, "deferred"],
    ["EHLO", { kind: "close", done: false }, "deferred"],
    ["EHLO", { kind: "stall", done: false }, "deferred"],
    ["end-of-data", { kind: "close", done: true }, "unknown"],
    ["end-of-data", { kind: "reset", done: true }, "unknown"],
    ["end-of-data", { kind: "stall", done: true }, "unknown"],
    ["end-of-data", { kind: "garbage", done: true }, "unknown"],
    ["end-of-data", { kind: "close", done: false }, "unknown"],
    ["end-of-data", { kind: "reply", text: "421 4.3.2 going away" }, "deferred"],
    ["end-of-data", { kind: "reply", text: "554 5.6.0 no" }, "refused"],
  ];
  for (const [verb, fault, status] of rows)
    for (const pool of [true, false])
      for (const attachments of [[], [{ filename: "a.txt", content }]]) {
        await using server = await startFaultServer({ plan: (step) => (step.verb === verb ? fault : undefined) });
        const timeouts = { greetingTimeout: 100, socketTimeout: 100, maxRequeues: 1 };
        const transport = smtp(server.port, { pool, ...timeouts });
        const [receipt] = await Array.fromAsync(transport.deliver([letter("a", { attachments })]));
        await transport.close();
        const what = `${fault.kind} at ${verb}${pool ? ", pooled" : ""}${attachments.length > 0 ? ", streamed" : ""}`;
        assert.equal(receipt?.status, status, `${what}: ${String(receipt?.error?.message)}`);
        assert.ok(status !== "deferred" || server.accepted.length === 0, what);
      }
});

test("deliveries of one message each leave no listener and no warning behind", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  const plugin = new Plugin(1);
  const pace = setInterval(() => plugin.next(), 1);
  const transport = fromNodemailer(plugin);
  await Promise.all(Array.from({ length: 30 }, () => Array.fromAsync(transport.deliver(letters(3)))));
  clearInterval(pace);
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", onWarning);
  assert.deepEqual([warnings, plugin.listenerCount("idle"), plugin.given], [[], 0, 90]);
});
