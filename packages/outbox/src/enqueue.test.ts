import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { EmailMessage } from "posthaste";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { enqueue } from "./enqueue.ts";
import type { EnqueueOptions, OutboxMessage } from "./enqueue.ts";
import { sqliteDialect } from "./kysely.ts";
import { migrateOutbox } from "./migration.ts";

interface ApplicationSchema {
  person: { name: string };
}

let folder: string;
let database: DatabaseSync;
let kysely: Kysely<ApplicationSchema>;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "posthaste-enqueue-"));
  database = openDatabase(join(folder, "outbox.sqlite"));
  migrateOutbox(database);
  database.exec("create table person (name text not null) strict");
  kysely = new Kysely<ApplicationSchema>({ dialect: sqliteDialect(openDatabase(join(folder, "outbox.sqlite"))) });
});

after(async () => {
  await kysely.destroy();
  database.close();
  rmSync(folder, { recursive: true });
});

const message = (to = ["to@example.com"]): EmailMessage =>
  new EmailMessage({ subject: "제목", text: "본문", from: "From <from@example.com>", to });
const envelope = { reversePath: "from@example.com", forwardPaths: ["to@example.com"] };
const welcome: OutboxMessage = { composer: "accounts.activation", data: { token: 7 }, envelope };

function rows(): number {
  const tables = ["posthaste_message", "posthaste_state"].map(
    (name) => database.prepare(`select count(*) as n from ${name}`).get()?.n,
  );
  assert.equal(tables[0], tables[1]);
  return Number(tables[0]);
}

test("a rendered message is stored as the bytes that it has now", async () => {
  const given = message(["a@example.com", "b@example.com"]);
  const { id, messageId } = await enqueue(database, given);
  const stored = database.prepare("select * from posthaste_message where id = ?").get(Number(id));
  assert.deepEqual(stored?.content, new Uint8Array(given.toBytes()));
  assert.deepEqual(
    [stored?.message_id, stored?.reverse_path, stored?.policy],
    [given.messageId, "from@example.com", "resend"],
  );
  assert.equal(messageId, given.messageId);
  const addresses = database
    .prepare("select address, state from posthaste_recipient where message = ? order by position")
    .all(Number(id));
  assert.deepEqual(
    addresses.map(({ address, state }) => [address, state]),
    [
      ["a@example.com", "queued"],
      ["b@example.com", "queued"],
    ],
  );
});

test("a composer's row gets a Message-ID on the domain of its reverse-path, or on the one that is named", async () => {
  assert.match((await enqueue(database, welcome)).messageId, /^<[^@<>]+@example\.com>$/);
  assert.match(
    (await enqueue(database, { ...welcome, messageIdDomain: "mail.example.net" })).messageId,
    /@mail\.example\.net>$/,
  );
  const bounce = { ...envelope, reversePath: "" };
  assert.match(
    (await enqueue(database, { ...welcome, envelope: bounce, messageIdDomain: "example.org" })).messageId,
    /@example\.org>$/,
  );
});

test("a DatabaseSync transaction that rolls back leaves no mail, and one that commits leaves one", () => {
  const count = rows();
  for (const [end, more] of [
    ["rollback", 0],
    ["commit", 1],
  ] as const) {
    database.exec("begin immediate");
    void enqueue(database, welcome);
    database.exec(end);
    assert.equal(rows(), count + more);
  }
});

test("with a DatabaseSync an error is thrown at once, so that a transaction without await cannot commit past it", () => {
  database.exec("begin immediate");
  assert.throws(() => enqueue(database, { ...welcome, composer: "" }), { code: "bad-value", field: "composer" });
  database.exec("rollback");
});

test("a Kysely transaction that rolls back leaves neither the application's row nor the mail", async () => {
  const count = rows();
  const failing = kysely.transaction().execute(async (tx) => {
    await tx.insertInto("person").values({ name: "김철수" }).execute();
    await enqueue(tx, welcome);
    throw new Error("the application changed its mind");
  });
  await assert.rejects(failing, /changed its mind/);
  assert.equal(rows(), count);
  assert.equal(database.prepare("select count(*) as n from person").get()?.n, 0);
});

test("a Kysely transaction that commits leaves both", async () => {
  const count = rows();
  await kysely.transaction().execute(async (tx) => {
    await tx.insertInto("person").values({ name: "김철수" }).execute();
    await enqueue(tx, message());
  });
  assert.equal(rows(), count + 1);
  assert.equal(database.prepare("select count(*) as n from person").get()?.n, 1);
});

test("Kysely outside a transaction opens one", async () => {
  const count = rows();
  const { id } = await enqueue(kysely, message());
  assert.equal(rows(), count + 1);
  assert.equal(
    database.prepare("select count(*) as n from posthaste_recipient where message = ?").get(Number(id))?.n,
    1,
  );
});

test("with Kysely an error rejects", async () => {
  await assert.rejects(enqueue(kysely, { ...welcome, composer: "" }), { code: "bad-value", field: "composer" });
});

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

const REFUSED: readonly (readonly [what: string, message: unknown, options: unknown, error: object])[] = [
  ["no recipient", { ...welcome, envelope: { ...envelope, forwardPaths: [] } }, {}, { code: "no-recipients" }],
  ["a rendered message without a recipient", message([]), {}, { code: "no-recipients" }],
  [
    "too many recipients",
    { ...welcome, envelope: { ...envelope, forwardPaths: Array(1001).fill("a@example.com") } },
    {},
    { field: "forwardPaths" },
  ],
  [
    "an address without @",
    { ...welcome, envelope: { ...envelope, forwardPaths: ["nobody"] } },
    {},
    { name: "AddressError" },
  ],
  // Attack: a command smuggled into the envelope.
  [
    "a line break in an address",
    { ...welcome, envelope: { ...envelope, forwardPaths: ["a@example.com>\r\nDATA"] } },
    {},
    { name: "AddressError" },
  ],
  [
    "a line break in the reverse-path",
    { ...welcome, envelope: { ...envelope, reversePath: "a@example.com\r\nRSET" } },
    {},
    { name: "AddressError" },
  ],
  // Attack: a header field smuggled into the Message-ID.
  [
    "a line break in the Message-ID's domain",
    { ...welcome, messageIdDomain: "example.com>\r\nBcc: x@y" },
    {},
    { name: "HeaderError" },
  ],
  [
    "a null reverse-path without a domain",
    { ...welcome, envelope: { ...envelope, reversePath: "" } },
    {},
    { field: "messageIdDomain" },
  ],
  // Attack: a composer's name that a plain object inherits is stopped by the worker; one with a path or blank, here.
  ["a composer's name with a slash", { ...welcome, composer: "../x" }, {}, { field: "composer" }],
  ["a composer's name that is too long", { ...welcome, composer: "x".repeat(101) }, {}, { field: "composer" }],
  ["data that is undefined", { ...welcome, data: undefined }, {}, { field: "data" }],
  ["data with a Date", { ...welcome, data: { at: new Date(0) } }, {}, { field: "data" }],
  ["data with NaN", { ...welcome, data: [Number.NaN] }, {}, { field: "data" }],
  ["data with a bigint", { ...welcome, data: { id: 1n } }, {}, { field: "data" }],
  ["data with a cycle", { ...welcome, data: cycle }, {}, { field: "data" }],
  ["data over 64 KiB", { ...welcome, data: "가".repeat(22_000) }, {}, { field: "data" }],
  [
    "a request for notifications",
    { ...welcome, envelope: { ...envelope, dsn: { notify: "never" } } },
    {},
    { field: "dsn" },
  ],
  ["an unknown policy", welcome, { policy: "twice" }, { field: "policy" }],
  ["an invalid notBefore", welcome, { notBefore: new Date("never") }, { field: "notBefore" }],
];

for (const [what, bad, options, error] of REFUSED) {
  test(`${what} is refused, and nothing is stored`, () => {
    const count = rows();
    assert.throws(() => enqueue(database, bad as OutboxMessage, options as EnqueueOptions), error);
    assert.equal(rows(), count);
  });
}

test("content over 50 MiB is refused", () => {
  const bytes = new Uint8Array(50 * 1024 * 1024 + 1);
  const huge = { messageId: "<x@example.com>", envelope: () => envelope, toBytes: () => bytes };
  assert.throws(() => enqueue(database, huge), { code: "too-large" });
});

test("counts name every state", () => {
  const counts = outboxCounts(database);
  assert.equal(counts.queued, rows());
  assert.equal(
    Object.values(counts).reduce((sum, count) => sum + count, 0),
    rows(),
  );
});
