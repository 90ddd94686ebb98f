import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { DatabaseSync } from "node:sqlite";
import { EmailMessage, smtpTransport } from "posthaste";
import { SMTPServer } from "smtp-server";
import type { SMTPServerOptions } from "smtp-server";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { enqueue } from "./enqueue.ts";
import type { WorkerEvent } from "./event.ts";
import { migrateOutbox } from "./migration.ts";
import type { OutboxPolicy, OutboxState } from "./state.ts";
import { createWorker } from "./worker.ts";

/** A worker in a process of its own, to be killed. */
const CHILD = `
  import { smtpTransport } from "posthaste";
  import { createWorker, openDatabase } from "@posthaste/outbox";
  const [path, port] = process.argv.slice(1);
  const transport = smtpTransport({ host: "127.0.0.1", port: Number(port) });
  await createWorker({ database: openDatabase(path), transport }).run();`;

interface Scene {
  readonly path: string;
  readonly database: DatabaseSync;
  readonly port: number;
  /** The contents that the server took in full. */
  readonly contents: string[];
}

type ServerPart = Pick<SMTPServerOptions, "onConnect" | "onMailFrom" | "onRcptTo">;

/** A database and an SMTP server that gives its reply to the end of data when `reply` says so. */
async function scene(context: TestContext, reply: () => Promise<void>, part: ServerPart = {}): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), "posthaste-crash-"));
  const path = join(folder, "outbox.sqlite");
  const database = openDatabase(path);
  migrateOutbox(database);
  const contents: string[] = [];
  const server = new SMTPServer({
    ...part,
    disabledCommands: ["AUTH", "STARTTLS"],
    disableReverseLookup: true,
    closeTimeout: 1,
    onData(stream, _session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        contents.push(Buffer.concat(chunks).toString());
        void reply().then(() => callback());
      });
    },
  });
  server.on("error", () => undefined); // the connection of a process that is killed
  server.listen(0, "127.0.0.1");
  await once(server.server, "listening");
  context.after(async () => {
    await new Promise<void>((resolve) => server.close(resolve));
    database.close();
    rmSync(folder, { recursive: true });
  });
  return { path, database, port: (server.server.address() as AddressInfo).port, contents };
}

/** Starts the child, waits until the moment has come, and kills it as a crash would. */
async function crash({ path, port }: Scene, moment: Promise<void>): Promise<void> {
  const run = ["--conditions=posthaste-source", "--input-type=module", "--eval", CHILD, path, String(port)];
  const child = spawn(process.execPath, run, { cwd: import.meta.dirname, stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(child, "exit");
  await Promise.race([moment, exited.then(() => assert.fail("the worker ended by itself"))]);
  child.kill("SIGKILL");
  await exited;
}

/** Runs a new worker until nothing is due any more. */
async function runAgain({ path, port, database }: Scene): Promise<WorkerEvent[]> {
  const events: WorkerEvent[] = [];
  const done = Promise.withResolvers<void>();
  await put(database, "witness", "resend");
  const transport = smtpTransport({ host: "127.0.0.1", port });
  using own = openDatabase(path);
  await using worker = createWorker({
    database: own,
    transport,
    onEvent(event) {
      events.push(event);
      const { queued, claimed, committing } = outboxCounts(database);
      if (event.type === "verdict" && queued + claimed + committing === 0) done.resolve();
    },
  });
  void worker.run();
  await done.promise;
  await worker.stop();
  await transport.close();
  return events;
}

async function put(database: DatabaseSync, text: string, policy: OutboxPolicy): Promise<string> {
  const message = new EmailMessage({ subject: "제목", text, from: "from@example.com", to: ["to@example.com"] });
  return (await enqueue(database, message, { policy })).id;
}

function stateOf({ database }: Scene, id: string): OutboxState {
  return database.prepare("select state from posthaste_state where id = ?").get(Number(id))?.state as OutboxState;
}

function takenOver(events: readonly WorkerEvent[]): number {
  return events.reduce((sum, event) => sum + (event.type === "taken-over" ? event.count : 0), 0);
}

for (const policy of ["resend", "hold"] as const) {
  test(`killed between claim and send: sent once after a restart (${policy})`, async (context) => {
    const connected = Promise.withResolvers<void>();
    let crashed = false;
    const stage = await scene(context, async () => undefined, {
      onConnect(_session, callback) {
        connected.resolve();
        if (crashed) callback(); // before that the greeting does not come
      },
    });
    const id = await put(stage.database, "text", policy);
    await crash(stage, connected.promise);
    crashed = true;
    assert.equal(stateOf(stage, id), "claimed");
    assert.equal(takenOver(await runAgain(stage)), 1, "at once, without waiting for the lease");
    assert.equal(stateOf(stage, id), "accepted");
    assert.deepEqual(stage.contents.length, 2, "the message and the witness");
  });

  test(`killed between committing and the verdict: ${policy === "hold" ? "held, never sent twice" : "the same bytes again"}`, async (context) => {
    const received = Promise.withResolvers<void>();
    let crashed = false;
    const stage = await scene(context, () => {
      received.resolve();
      return crashed ? Promise.resolve() : new Promise(() => undefined);
    });
    const id = await put(stage.database, "text", policy);
    await crash(stage, received.promise);
    crashed = true;
    assert.equal(stateOf(stage, id), "committing");
    assert.equal(takenOver(await runAgain(stage)), 1);
    assert.equal(stateOf(stage, id), policy === "hold" ? "unknown" : "accepted");
    const [first, ...others] = stage.contents;
    const same = others.filter((content) => content === first);
    assert.deepEqual([same.length, others.length], policy === "hold" ? [0, 1] : [1, 2]);
  });
}
