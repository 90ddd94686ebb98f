import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { DatabaseSync } from "node:sqlite";
import { AuthError, EmailMessage, SmtpError } from "posthaste";
import type { DeliverableMessage, Receipt, RecipientOutcome, Reply, Transport } from "posthaste";
import type { Composers } from "./composer.ts";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { enqueue } from "./enqueue.ts";
import type { EnqueueOptions } from "./enqueue.ts";
import type { WorkerEvent } from "./event.ts";
import type { JsonValue } from "./json.ts";
import { migrateOutbox } from "./migration.ts";
import { createWorker } from "./worker.ts";
import type { Worker } from "./worker.ts";

/** What the scripted next hop does with a message: replies, or an error of the connection. */
type Answer = readonly (Omit<RecipientOutcome, "address"> | undefined)[] | Error;
type Script = (message: DeliverableMessage, index: number, signal: AbortSignal) => Answer | Promise<Answer>;

interface Transmission {
  readonly to: readonly string[];
  readonly content: string;
}

const OK: Reply = { code: 250, lines: ["2.0.0 Ok"] };
const LATER: Reply = { code: 451, lines: ["4.7.1 Try later"] };
const NEVER: Reply = { code: 550, lines: ["5.1.1 No such user"] };
const ACCEPT: Answer = [{ status: "accepted", reply: OK }];
const DEFER: Answer = [{ status: "deferred", reply: LATER }];
const REFUSE: Answer = [{ status: "refused", reply: NEVER }];
const UNKNOWN: Answer = [{ status: "unknown" }];
const DOWN = new SmtpError("connect", "no connection could be made: check EMAIL_HOST and EMAIL_PORT");

let folder: string;
let database: DatabaseSync;
let own: DatabaseSync;
let shift: number;
let worker: Worker | undefined;
let events: WorkerEvent[];
let watchers: (() => void)[];
let transmissions: Transmission[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "posthaste-worker-"));
  database = openDatabase(join(folder, "outbox.sqlite"));
  migrateOutbox(database);
  own = openDatabase(join(folder, "outbox.sqlite"));
  shift = 0;
  events = [];
  watchers = [];
  transmissions = [];
});

afterEach(async () => {
  await worker?.stop();
  worker = undefined;
  database.close();
  own.close();
  rmSync(folder, { recursive: true });
});

const now = (): number => Date.now() + shift;

/** A next hop that answers as the script says, one message at a time, and asks before each end of data as a real one does. */
function scripted(script: Script): Transport {
  return {
    async *deliver(messages, options = {}) {
      let index = 0;
      for await (const message of messages) yield await attempt(message, index++, script, options);
    },
    close: async () => undefined,
  };
}

async function attempt(
  message: DeliverableMessage,
  index: number,
  script: Script,
  options: NonNullable<Parameters<Transport["deliver"]>[1]>,
): Promise<Receipt> {
  const { messageId } = message;
  const { forwardPaths } = message.envelope();
  const fail = (error: Error): Receipt => {
    const recipients = forwardPaths.map((address) => ({ address, status: "deferred" as const }));
    return { index, messageId, status: "deferred", recipients, error };
  };
  const answer = await script(message, index, options.signal ?? new AbortController().signal);
  if (answer instanceof AuthError) throw answer;
  if (answer instanceof Error) return fail(answer);
  if (answer.some((each) => each?.status === "accepted" || each?.status === "unknown")) {
    try {
      await options.beforeEndOfData?.([{ index, messageId }]);
    } catch (error) {
      return fail(error as Error);
    }
    transmissions.push({ to: forwardPaths, content: Buffer.from(message.toBytes()).toString() });
  }
  const recipients = forwardPaths.map((address, place) => ({
    address,
    ...(answer[place] ?? { status: "accepted" as const }),
  }));
  const [first, ...rest] = new Set(recipients.map(({ status }) => status));
  return { index, messageId, status: rest.length > 0 ? "partial" : (first ?? "refused"), recipients };
}

function onEvent(event: WorkerEvent): void {
  events.push(event);
  for (const watcher of watchers) watcher();
}

function start(script: Script | Transport, composers: Composers = {}): Worker {
  const transport = typeof script === "function" ? scripted(script) : script;
  worker = createWorker({ database: own, transport, composers, onEvent, now });
  void worker.run();
  return worker;
}

/** Waits for the first event that fits, from the beginning. */
function until<T extends WorkerEvent["type"]>(
  type: T,
  fits: (event: Extract<WorkerEvent, { type: T }>) => boolean = () => true,
): Promise<Extract<WorkerEvent, { type: T }>> {
  return new Promise((resolve) => {
    const look = (): void => {
      const found = events.find(
        (event): event is Extract<WorkerEvent, { type: T }> =>
          event.type === type && fits(event as Extract<WorkerEvent, { type: T }>),
      );
      if (found !== undefined) resolve(found);
    };
    watchers.push(look);
    look();
  });
}

async function put(to = ["a@example.com"], options: EnqueueOptions = {}): Promise<string> {
  const message = new EmailMessage({ subject: "제목", text: "본문", from: "from@example.com", to });
  return (await enqueue(database, message, options)).id;
}

async function putComposed(composer: string, data: JsonValue = null): Promise<string> {
  const envelope = { reversePath: "from@example.com", forwardPaths: ["a@example.com"] };
  return (await enqueue(database, { composer, data, envelope })).id;
}

const stateOf = (id: string): unknown =>
  database.prepare("select state from posthaste_state where id = ?").get(Number(id))?.state;
const errorOf = (id: string): unknown =>
  JSON.parse(String(database.prepare("select error from posthaste_state where id = ?").get(Number(id))?.error));
const verdictOn = (id: string, state?: string) =>
  until("verdict", (event) => event.id === id && (state === undefined || event.state === state));

test("a message that is enqueued while the worker sleeps leaves once, at the wake", async () => {
  const running = start(() => ACCEPT);
  const id = await put();
  running.wake();
  const verdict = await verdictOn(id);
  assert.deepEqual(
    [verdict.state, verdict.attempt, verdict.recipients],
    ["accepted", 1, [{ address: "a@example.com", state: "accepted", reply: OK }]],
  );
  assert.equal(transmissions.length, 1);
});

test("a poll finds what nobody announced", async () => {
  start(() => ACCEPT);
  assert.equal((await verdictOn(await put())).state, "accepted");
});

test("a transaction that rolls back sends nothing", async () => {
  const running = start(() => ACCEPT);
  database.exec("begin immediate");
  await put(["gone@example.com"]);
  database.exec("rollback");
  const id = await put(["kept@example.com"]);
  running.wake();
  await verdictOn(id);
  assert.deepEqual(
    transmissions.map(({ to }) => to),
    [["kept@example.com"]],
  );
});

test("a message that is notBefore waits for its time", async () => {
  const id = await put(["a@example.com"], { notBefore: new Date(now() + 60_000) });
  const running = start(() => ACCEPT);
  const first = await put(["b@example.com"]);
  running.wake();
  await verdictOn(first);
  assert.equal(stateOf(id), "queued");
  shift += 60_000;
  running.wake();
  await verdictOn(id);
});

test("one refused recipient beside accepted and deferred ones: only the deferred is tried again, with the same bytes", async () => {
  const answers: Answer[] = [[...ACCEPT, ...REFUSE, ...DEFER] as Answer, ACCEPT];
  const id = await put(["a@example.com", "b@example.com", "c@example.com"]);
  const running = start(() => answers.shift() ?? DOWN);
  const deferred = await verdictOn(id, "deferred");
  assert.ok((deferred.due?.getTime() ?? 0) > now() + 50_000);
  shift += 70_000;
  running.wake();
  await verdictOn(id, "accepted");
  assert.deepEqual(
    transmissions.map(({ to }) => to),
    [["a@example.com", "b@example.com", "c@example.com"], ["c@example.com"]],
  );
  assert.equal(transmissions[0]?.content, transmissions[1]?.content);
});

test("a refusal is final and blocks nobody", async () => {
  const [bad, good] = [await put(["bad@example.com"]), await put()];
  start((message) => (message.envelope().forwardPaths[0] === "bad@example.com" ? REFUSE : ACCEPT));
  assert.equal((await verdictOn(good)).state, "accepted");
  assert.equal(stateOf(bad), "refused");
});

test("a message that every server defers expires after 5 days", async () => {
  const id = await put();
  const running = start(() => DEFER);
  await verdictOn(id, "deferred");
  shift += 5 * 24 * 3600_000;
  running.wake();
  await verdictOn(id, "expired");
});

test("while the server is down nothing counts, the worker pauses and wake() does not shorten that; once it is up the mail leaves", async () => {
  let down = true;
  let connections = 0;
  const id = await put();
  const running = start(() => {
    connections++;
    return down ? DOWN : ACCEPT;
  });
  const paused = await until("paused");
  assert.deepEqual([paused.milliseconds, paused.error.code], [1000, "connect"]);
  for (let turn = 0; turn < 20; turn++) {
    running.wake();
    await new Promise(setImmediate);
  }
  assert.equal(connections, 1);
  assert.equal(database.prepare("select tries from posthaste_state").get()?.tries, 0);
  down = false;
  await verdictOn(id, "accepted");
  assert.equal(connections, 2);
});

test("pauses double up to a minute, and begin anew after a success", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const wanted = [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000];
  const answers: Answer[] = [...wanted.map(() => DOWN), ACCEPT, DOWN];
  const id = await put();
  const running = start(() => answers.shift() ?? ACCEPT);
  const pauses = () => events.flatMap((event) => (event.type === "paused" ? [event.milliseconds] : []));
  for (const [index, milliseconds] of wanted.entries()) {
    await until("paused", () => pauses().length === index + 1);
    context.mock.timers.tick(milliseconds - 1);
    await new Promise(setImmediate);
    assert.equal(pauses().length, index + 1);
    context.mock.timers.tick(1);
  }
  await verdictOn(id, "accepted");
  await put(["b@example.com"]);
  running.wake();
  await until("paused", () => pauses().length === wanted.length + 1);
  assert.deepEqual(pauses(), [...wanted, 1000]);
  await running.stop();
});

test("a message at which the connection dies each time waits by itself once another succeeded", async () => {
  const [poison, good] = [await put(["poison@example.com"]), await put()];
  start((message) => (message.envelope().forwardPaths[0] === "poison@example.com" ? DOWN : ACCEPT));
  await verdictOn(good, "accepted");
  await verdictOn(poison, "deferred");
  assert.equal(
    events.some(({ type }) => type === "paused"),
    false,
  );
});

test("messages at which the connection dies do not keep the others from being tried", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const poison = [await put(["p1@example.com"]), await put(["p2@example.com"]), await put(["p3@example.com"])];
  const good = await put();
  const hop = scripted((message) => (message.envelope().forwardPaths[0]?.startsWith("p") ? DOWN : ACCEPT));
  start({
    // As a real one: after three failures in a row, what is left is not tried.
    async *deliver(messages, options) {
      let failures = 0;
      for await (const receipt of hop.deliver(messages, options)) {
        failures = receipt.error === undefined ? 0 : failures + 1;
        if (failures === 3)
          throw Object.assign(new SmtpError("connect", "three in a row"), { nextIndex: receipt.index });
        yield receipt;
      }
    },
    close: async () => undefined,
  });
  await until("paused");
  context.mock.timers.tick(1000);
  await verdictOn(good, "accepted");
  assert.deepEqual(poison.map(stateOf), ["queued", "queued", "queued"]);
  await worker?.stop();
});

test("a message that the database held back is not blamed for it when the next one leaves", async () => {
  own.exec("pragma busy_timeout = 0");
  const [first, second] = [await put(["a@example.com"]), await put(["b@example.com"])];
  start((message) => {
    if (message.envelope().forwardPaths[0] === "a@example.com" && !database.isTransaction)
      database.exec("begin immediate");
    else if (database.isTransaction) database.exec("commit");
    return ACCEPT;
  });
  await verdictOn(second, "accepted");
  assert.equal((await verdictOn(first)).state, "queued");
  assert.equal(database.prepare("select max(tries) as tries from posthaste_state").get()?.tries, 0);
  if (database.isTransaction) database.exec("commit");
});

test("wrong credentials give everything back to the queue and are told", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const ids = [await put(), await put(), await put()];
  const refused = new AuthError(
    "auth-refused",
    "the server refused the credentials: check EMAIL_HOST_USER and EMAIL_HOST_PASSWORD",
  );
  let right = false;
  start(() => (right ? ACCEPT : refused));
  const paused = await until("paused");
  assert.equal(paused.error.code, "auth-refused");
  assert.deepEqual(ids.map(stateOf), ["queued", "queued", "queued"]);
  right = true;
  context.mock.timers.tick(1000);
  for (const id of ids) await verdictOn(id, "accepted");
  await worker?.stop();
});

for (const [policy, state] of [
  ["resend", "queued"],
  ["hold", "unknown"],
] as const) {
  test(`a message whose fate is unknown is ${state} by policy ${policy}`, async () => {
    const answers: Answer[] = [UNKNOWN];
    const id = await put(["a@example.com"], { policy });
    const running = start(() => answers.shift() ?? ACCEPT);
    await verdictOn(id, state);
    shift += 70_000;
    const witness = await put(["w@example.com"]);
    running.wake();
    await verdictOn(witness);
    if (policy === "resend") await verdictOn(id, "accepted");
    assert.equal(stateOf(id), policy === "resend" ? "accepted" : "unknown");
    const same = new Set(transmissions.filter(({ to }) => to[0] === "a@example.com").map(({ content }) => content));
    assert.deepEqual([transmissions.length, same.size], [policy === "resend" ? 3 : 2, 1]);
  });
}

test("a composer makes the same bytes each time, with the row's Message-ID and Date and the row's envelope", async () => {
  const answers: Answer[] = [UNKNOWN];
  const composers: Composers = {
    welcome: (data) => ({
      subject: `환영 ${JSON.stringify(data)}`,
      text: "본문",
      from: "from@example.com",
      to: ["header@example.com"],
      messageId: "<own@example.com>",
    }),
  };
  const id = await putComposed("welcome", 7);
  const running = start(() => answers.shift() ?? ACCEPT, composers);
  await verdictOn(id, "queued");
  shift += 70_000;
  running.wake();
  await verdictOn(id, "accepted");
  const [first, second] = transmissions;
  assert.equal(first?.content, second?.content);
  assert.deepEqual(first?.to, ["a@example.com"]);
  const messageId = String(database.prepare("select message_id from posthaste_message").get()?.message_id);
  assert.ok(first?.content.includes(`Message-ID: ${messageId}`) && !first.content.includes("<own@"));
});

test("a composer is told how many tries counted, which a server that cannot be reached does not add to", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const answers: Answer[] = [DOWN, DEFER];
  const told: number[] = [];
  const id = await putComposed("counts");
  const running = start(() => answers.shift() ?? ACCEPT, {
    counts: (_data, { tries }) => {
      told.push(tries);
      return { subject: "제목", text: "본문", from: "from@example.com" };
    },
  });
  await until("paused");
  context.mock.timers.tick(1000);
  await verdictOn(id, "deferred");
  shift += 70_000;
  running.wake();
  await verdictOn(id, "accepted");
  assert.deepEqual(told, [0, 0, 1]);
  await running.stop();
});

test("a composer that says null cancels the message", async () => {
  const id = await putComposed("gone");
  start(() => ACCEPT, { gone: async () => null });
  await verdictOn(id, "cancelled");
  assert.equal(transmissions.length, 0);
});

test("whatever a composer throws, or cannot be rendered, lands on that one row", async () => {
  const composers: Composers = {
    throws: () => {
      throw Object.assign(new Error("no such user"), { code: "ERR_NO_USER" });
    },
    rejects: async () => Promise.reject(new TypeError("not now")),
    undefined: () => undefined as unknown as null,
    // Attack: a user's name that would smuggle a header field.
    injects: () => ({ subject: "x\r\nBcc: victim@example.com", from: "from@example.com" }),
    string: async () => {
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- what some composer will do
      throw "a string";
    },
  };
  const codes = {
    throws: "ERR_NO_USER",
    rejects: "TypeError",
    undefined: "bad-value",
    injects: "header-control",
    string: "Error",
  };
  const ids = Object.fromEntries(
    await Promise.all(Object.keys(codes).map(async (name) => [name, await putComposed(name)] as const)),
  );
  const good = await put();
  start(() => ACCEPT, composers);
  await verdictOn(good, "accepted");
  for (const [name, code] of Object.entries(codes)) {
    const id = ids[name] ?? "";
    assert.deepEqual([name, stateOf(id), (errorOf(id) as { code: string }).code], [name, "refused", code]);
  }
  assert.equal(transmissions.length, 1);
});

test("a message whose composer this worker does not have waits, even if an object inherits its name", async () => {
  const ids = [await putComposed("tomorrow"), await putComposed("constructor")];
  start(() => ACCEPT);
  for (const id of ids) {
    const { error } = await verdictOn(id, "deferred");
    assert.deepEqual([error?.code, error?.message.includes("no composer named")], ["missing-setting", true]);
  }
});

test("two workers on one file send every message once", async () => {
  database.exec("begin immediate");
  for (let count = 0; count < 250; count++) await put([`a${count}@example.com`]);
  database.exec("commit");
  using third = openDatabase(join(folder, "outbox.sqlite"));
  const transport = scripted(async () => {
    await new Promise(setImmediate);
    return ACCEPT;
  });
  await using second = createWorker({
    database: third,
    transport,
    onEvent,
    now,
  });
  void second.run();
  start(transport);
  await until("verdict", () => events.filter(({ type }) => type === "verdict").length === 250);
  assert.equal(outboxCounts(database).accepted, 250);
  assert.equal(transmissions.length, 250);
  assert.equal(new Set(transmissions.map(({ to }) => to[0])).size, 250);
  assert.ok(events.filter(({ type }) => type === "claimed").length >= 3);
});

test("stop() finishes what is past DATA, gives back the rest and then resolves; nothing is claimed after it", async () => {
  const ids = [await put(["a@example.com"]), await put(["b@example.com"]), await put(["c@example.com"])];
  const reached = Promise.withResolvers<void>();
  const reply = Promise.withResolvers<void>();
  const transport: Transport = {
    async *deliver(messages, options = {}) {
      let index = 0;
      for await (const message of messages) {
        await options.beforeEndOfData?.([{ index, messageId: message.messageId }]);
        reached.resolve();
        await reply.promise;
        const recipients = message
          .envelope()
          .forwardPaths.map((address) => ({ address, status: "accepted" as const, reply: OK }));
        yield { index: index++, messageId: message.messageId, status: "accepted", recipients };
      }
    },
    close: async () => undefined,
  };
  const running = start(transport);
  await reached.promise;
  const stopped = running.stop();
  await put(["d@example.com"]);
  running.wake();
  reply.resolve();
  await stopped;
  assert.deepEqual(ids.map(stateOf), ["accepted", "queued", "queued"]);
  assert.deepEqual(outboxCounts(database), {
    ...outboxCounts(database),
    accepted: 1,
    queued: 3,
    claimed: 0,
    committing: 0,
  });
});

test("stop() does not wait for a composer that never answers", async () => {
  const called = Promise.withResolvers<void>();
  const id = await putComposed("stuck");
  const running = start(() => ACCEPT, {
    stuck: () => {
      called.resolve();
      return new Promise(() => undefined);
    },
  });
  await called.promise;
  await running.stop();
  assert.equal(stateOf(id), "queued");
});

test("a composer that does not answer in 30 seconds makes its message wait", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const called = Promise.withResolvers<void>();
  const id = await putComposed("stuck");
  const good = await put();
  start(() => ACCEPT, {
    stuck: () => {
      called.resolve();
      return new Promise(() => undefined);
    },
  });
  await called.promise;
  context.mock.timers.tick(30_000);
  await verdictOn(good, "accepted");
  assert.deepEqual([stateOf(id), (errorOf(id) as { code: string }).code], ["deferred", "timeout"]);
  context.mock.timers.reset();
});

test("a worker that was stopped, or runs, gives the same promise; one that is stopped before it runs does nothing", async () => {
  const id = await put();
  const early = createWorker({ database: own, transport: scripted(() => ACCEPT), now });
  await early.stop();
  await early.run();
  assert.equal(stateOf(id), "queued");
  const running = start(() => ACCEPT);
  assert.equal(running.run(), running.run());
});

test("a database that is locked for too long costs no message and no verdict", async () => {
  own.exec("pragma busy_timeout = 0");
  const id = await put();
  start(() => {
    database.exec("begin immediate"); // held when the worker wants to write committing
    return ACCEPT;
  });
  await until("error", ({ error }) => error.code === "ERR_SQLITE_ERROR");
  database.exec("commit");
  const { error } = await verdictOn(id, "queued");
  assert.equal(error?.code, "ERR_SQLITE_ERROR");
  assert.equal(transmissions.length, 0, "nothing left without committing being durable");
});

test("a verdict that cannot be written is kept until it can", async () => {
  own.exec("pragma busy_timeout = 0");
  const id = await put();
  const transport = scripted(() => ACCEPT);
  start({
    async *deliver(messages, options) {
      for await (const receipt of transport.deliver(messages, options)) {
        database.exec("begin immediate");
        yield receipt;
      }
    },
    close: async () => undefined,
  });
  await until("error", ({ error }) => error.code === "ERR_SQLITE_ERROR");
  database.exec("commit");
  assert.equal((await verdictOn(id)).state, "accepted");
  assert.equal(transmissions.length, 1);
});

test("a verdict is not let go of at the second error either", async () => {
  own.exec("pragma busy_timeout = 0");
  const id = await put();
  const transport = scripted(() => ACCEPT);
  start({
    async *deliver(messages, options) {
      for await (const receipt of transport.deliver(messages, options)) {
        database.exec("begin immediate");
        yield receipt;
      }
    },
    close: async () => undefined,
  });
  await until("error", () => events.filter(({ type }) => type === "error").length === 2);
  database.exec("commit");
  await until("paused"); // after the round was closed
  assert.equal(stateOf(id), "accepted");
});

test("a transport that forgets a message, or names its recipients otherwise, sends nothing twice", async () => {
  const [forgotten, renamed] = [await put(["a@example.com"], { policy: "hold" }), await put(["b@example.com"])];
  const transport: Transport = {
    async *deliver(messages, options = {}) {
      let index = 0;
      for await (const message of messages) {
        const { messageId } = message;
        await options.beforeEndOfData?.([{ index, messageId }]);
        const recipients = [{ address: "B@EXAMPLE.COM", status: "accepted" as const, reply: OK }];
        if (message.envelope().forwardPaths[0] === "b@example.com")
          yield { index, messageId, status: "accepted", recipients };
        index++;
      }
    },
    close: async () => undefined,
  };
  start(transport);
  await until("paused");
  assert.deepEqual([stateOf(forgotten), stateOf(renamed)], ["unknown", "accepted"]);
});

test("an onEvent that throws does not stop the mail", async () => {
  const accepted = Promise.withResolvers<void>();
  await put();
  await using second = createWorker({
    database: own,
    transport: scripted(() => ACCEPT),
    now,
    onEvent: ({ type }) => {
      if (type === "verdict") accepted.resolve();
      throw new Error("a fault in the log");
    },
  });
  void second.run();
  await accepted.promise;
});

test("events hold no content, no data and no cause of an error", async () => {
  const id = await putComposed("secret", { token: "s3cret-data" });
  const failing = () => {
    throw new Error("the composer failed", { cause: new Error("s3cret-cause") });
  };
  start(() => ACCEPT, { secret: failing });
  await verdictOn(id, "refused");
  assert.doesNotMatch(JSON.stringify(events), /s3cret/);
});
