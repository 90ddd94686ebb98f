import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { EmailMessage, smtpTransport } from "posthaste";
import type { Transport } from "posthaste";
import { SMTPServer } from "smtp-server";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { enqueue } from "./enqueue.ts";
import type { WorkerEvent } from "./event.ts";
import { sqliteDialect } from "./kysely.ts";
import { migrateOutbox } from "./migration.ts";
import { createWorker } from "./worker.ts";
import type { Worker } from "./worker.ts";

interface Transmission {
  readonly to: readonly string[];
  readonly content: string;
}

let folder: string;
let database: DatabaseSync;
let own: DatabaseSync;
let transmissions: Transmission[];
let rcpts: string[];
let deferring: Set<string>;
let shift: number;
let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "posthaste-worker-smtp-"));
  database = openDatabase(join(folder, "outbox.sqlite"));
  migrateOutbox(database);
  own = openDatabase(join(folder, "outbox.sqlite"));
  [transmissions, rcpts, deferring, shift, closers] = [[], [], new Set(), 0, []];
});

afterEach(async () => {
  for (const close of closers.toReversed()) await close();
  database.close();
  own.close();
  rmSync(folder, { recursive: true });
});

/** A server that refuses `refused@…`, defers those in `deferring`, and takes what else comes. */
async function listen(port = 0): Promise<number> {
  const server = new SMTPServer({
    disabledCommands: ["STARTTLS"],
    allowInsecureAuth: true,
    authOptional: true,
    closeTimeout: 1,
    disableReverseLookup: true,
    onAuth: (_auth, _session, callback) => callback(new Error("no such user")),
    onRcptTo({ address }, _session, callback) {
      rcpts.push(address);
      const responseCode = address.startsWith("refused@") ? 550 : deferring.has(address) ? 450 : undefined;
      callback(responseCode === undefined ? null : Object.assign(new Error("not now"), { responseCode }));
    },
    onData(stream, { envelope }, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        transmissions.push({
          to: envelope.rcptTo.map(({ address }) => address),
          content: Buffer.concat(chunks).toString(),
        });
        callback();
      });
    },
  });
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  closers.push(() => new Promise<void>((resolve) => server.close(resolve)));
  return (server.server.address() as AddressInfo).port;
}

/** A port at which nothing listens now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

interface Running {
  readonly worker: Worker;
  /** Waits for the next event that fits. */
  readonly until: (fits: (event: WorkerEvent) => boolean) => Promise<void>;
}

function start(transport: Transport): Running {
  const watchers = new Map<(event: WorkerEvent) => boolean, () => void>();
  const worker = createWorker({
    database: own,
    transport,
    now: () => Date.now() + shift,
    onEvent(event) {
      for (const [fits, resolve] of watchers) if (fits(event)) resolve();
    },
  });
  void worker.run();
  closers.push(async () => {
    await worker.stop();
    await transport.close();
  });
  return { worker, until: (fits) => new Promise((resolve) => watchers.set(fits, resolve)) };
}

const verdict = (state: string) => (event: WorkerEvent) => event.type === "verdict" && event.state === state;
const message = (...to: string[]) => new EmailMessage({ subject: "제목", text: "본문", from: "from@example.com", to });

test("a mail commits with the application's rows and leaves once", async () => {
  const kysely = new Kysely<{ person: { name: string } }>({ dialect: sqliteDialect(database) });
  database.exec("create table person (name text not null) strict");
  const { worker, until } = start(smtpTransport({ host: "127.0.0.1", port: await listen() }));
  const rolledBack = kysely.transaction().execute(async (tx) => {
    await enqueue(tx, message("gone@example.com"));
    throw new Error("rolled back");
  });
  await assert.rejects(rolledBack, /rolled back/);
  await kysely.transaction().execute(async (tx) => {
    await tx.insertInto("person").values({ name: "김철수" }).execute();
    await enqueue(tx, message("kept@example.com"));
  });
  const accepted = until(verdict("accepted"));
  worker.wake();
  await accepted;
  await worker.stop();
  assert.deepEqual(
    transmissions.map(({ to }) => to),
    [["kept@example.com"]],
  );
  assert.deepEqual(outboxCounts(database), { ...outboxCounts(database), accepted: 1, queued: 0 });
});

test("a refused recipient beside accepted and deferred ones: only the deferred is tried again", async () => {
  deferring.add("later@example.com");
  const { worker, until } = start(smtpTransport({ host: "127.0.0.1", port: await listen() }));
  const deferred = until(verdict("deferred"));
  await enqueue(database, message("ok@example.com", "refused@example.com", "later@example.com"));
  worker.wake();
  await deferred;
  deferring.clear();
  rcpts = [];
  shift = 70_000;
  const accepted = until(verdict("accepted"));
  worker.wake();
  await accepted;
  assert.deepEqual(rcpts, ["later@example.com"]);
  assert.deepEqual(
    transmissions.map(({ to }) => to),
    [["ok@example.com"], ["later@example.com"]],
  );
  assert.equal(transmissions[0]?.content, transmissions[1]?.content);
  const rows = database
    .prepare("select address, state, reply ->> 'code' as code from posthaste_recipient order by position")
    .all();
  assert.deepEqual(
    rows.map(({ address, state, code }) => [address, state, code]),
    [
      ["ok@example.com", "accepted", 250],
      ["refused@example.com", "refused", 550],
      ["later@example.com", "accepted", 250],
    ],
  );
});

test("a mail leaves when the server that was down is back", async () => {
  const port = await freePort();
  const { until } = start(smtpTransport({ host: "127.0.0.1", port }));
  const paused = until((event) => event.type === "paused");
  await enqueue(database, message("a@example.com"));
  await paused;
  assert.equal(outboxCounts(database).queued, 1);
  const accepted = until(verdict("accepted"));
  await listen(port);
  await accepted;
  assert.equal(transmissions.length, 1);
});

test("a kept connection that the server closed meanwhile costs nothing", async () => {
  const port = await listen();
  const { worker, until } = start(smtpTransport({ host: "127.0.0.1", port }));
  const first = until(verdict("accepted"));
  await enqueue(database, message("a@example.com"));
  worker.wake();
  await first;
  await closers.shift()?.();
  await listen(port);
  const second = until(verdict("accepted"));
  await enqueue(database, message("b@example.com"));
  worker.wake();
  await second;
  assert.equal(transmissions.length, 2);
});

test("credentials that are refused keep the mail in the queue, and are not told", async () => {
  const told: string[] = [];
  const auth = { user: "user", password: "s3cret-password" };
  const { worker, until } = start(smtpTransport({ host: "127.0.0.1", port: await listen(), auth }));
  const paused = until((event) => {
    told.push(JSON.stringify(event));
    return event.type === "paused" && event.error.code === "auth-refused";
  });
  await enqueue(database, message("a@example.com"));
  worker.wake();
  await paused;
  assert.deepEqual([outboxCounts(database).queued, transmissions.length], [1, 0]);
  assert.doesNotMatch(told.join(), /s3cret|czNjcmV0/);
});
