import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { migrateOutbox } from "./migration.ts";

let folder: string;
before(() => (folder = mkdtempSync(join(tmpdir(), "posthaste-migration-"))));
after(() => rmSync(folder, { recursive: true }));

test("a database is open for many readers, durable, patient and strict about its references", () => {
  using database = openDatabase(join(folder, "settings.sqlite"));
  const settings = ["journal_mode", "synchronous", "busy_timeout", "foreign_keys"].map(
    (name) => Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0],
  );
  assert.deepEqual(settings, ["wal", 2, 5000, 1]);
});

test("a database that cannot be opened is a settings error that names the setting and the path", () => {
  const path = join(folder, "no-such-folder", "outbox.sqlite");
  assert.throws(
    () => openDatabase(path),
    (error: Error & { setting?: string }) =>
      error.name === "SettingsError" &&
      error.setting === "DATABASE_URL" &&
      error.message.startsWith("DATABASE_URL: ") &&
      error.message.includes(path),
  );
});

test("migrating twice changes nothing", () => {
  using database = openDatabase(":memory:");
  migrateOutbox(database);
  const schema = database.prepare("select sql from sqlite_schema").all();
  migrateOutbox(database);
  assert.deepEqual(database.prepare("select sql from sqlite_schema").all(), schema);
  assert.deepEqual(Object.values(outboxCounts(database)), [0, 0, 0, 0, 0, 0, 0, 0, 0]);
});

test("a database of a newer version is refused", () => {
  using database = openDatabase(":memory:");
  migrateOutbox(database);
  database.exec("insert into posthaste_outbox_migration values (99, 0)");
  assert.throws(() => migrateOutbox(database), {
    name: "SettingsError",
    message: /version 99.*update @posthaste\/outbox/,
  });
});

test("a migration that fails leaves the database as it was", () => {
  using database = openDatabase(":memory:");
  database.exec("create table posthaste_state (mine text)");
  assert.throws(() => migrateOutbox(database), /already exists/);
  assert.equal(database.isTransaction, false);
  assert.deepEqual(
    database
      .prepare("select name from sqlite_schema where type = 'table'")
      .all()
      .map(({ name }) => name),
    ["posthaste_state"],
  );
});

test("several processes may migrate one new file at once", async () => {
  const path = join(folder, "race.sqlite");
  const script = `
    import { openDatabase, migrateOutbox } from "@posthaste/outbox";
    const database = openDatabase(${JSON.stringify(path)});
    migrateOutbox(database);
    database.close();`;
  const run = ["--conditions=posthaste-source", "--input-type=module", "--eval", script];
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, run, { cwd: import.meta.dirname, stdio: ["ignore", "ignore", "inherit"] }),
  );
  const codes = await Promise.all(children.map(async (child) => ((await once(child, "exit")) as [number])[0]));
  assert.deepEqual(codes, [0, 0, 0, 0]);
  using database = openDatabase(path);
  assert.equal(database.prepare("select count(*) as count from posthaste_outbox_migration").get()?.count, 1);
});

for (const [what, sql] of [
  ["a state that is none", "insert into posthaste_state (id, state, due) values (1, 'sent', 0)"],
  ["a claim without a worker", "insert into posthaste_state (id, state, due) values (1, 'claimed', 0)"],
  [
    "a worker without a claim",
    "insert into posthaste_state (id, state, due, worker, lease) values (1, 'queued', 0, 'w', 1)",
  ],
  ["a state without a message", "insert into posthaste_state (id, state, due) values (2, 'queued', 0)"],
  [
    "a recipient's state that is none",
    "insert into posthaste_recipient (message, address, position, state) values (1, 'a@b', 0, 'claimed')",
  ],
  [
    "a reply that is not JSON",
    "insert into posthaste_recipient (message, address, position, state, reply) values (1, 'a@b', 0, 'refused', '{')",
  ],
  ["a text where a time belongs", "insert into posthaste_state (id, state, due) values (1, 'queued', 'now')"],
  [
    "content beside a composer",
    "insert into posthaste_message (message_id, date, enqueued, reverse_path, policy, content, composer, data) values ('', 0, 0, '', 'hold', x'00', 'c', '1')",
  ],
] as const) {
  test(`the tables refuse ${what}`, () => {
    using database = openDatabase(":memory:");
    migrateOutbox(database);
    database.exec(
      "insert into posthaste_message (id, message_id, date, enqueued, reverse_path, policy, content) values (1, '', 0, 0, '', 'hold', x'00')",
    );
    assert.throws(() => database.exec(sql), { code: "ERR_SQLITE_ERROR" });
  });
}
