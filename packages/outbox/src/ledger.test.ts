import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { DatabaseSync } from "node:sqlite";
import { EmailMessage } from "posthaste";
import { outboxCounts } from "./counts.ts";
import { openDatabase } from "./database.ts";
import { enqueue } from "./enqueue.ts";
import type { EnqueueOptions } from "./enqueue.ts";
import { LEASE, Ledger } from "./ledger.ts";
import type { Claim, Outcome } from "./ledger.ts";
import { migrateOutbox } from "./migration.ts";
import { GIVE_UP_AFTER } from "./state.ts";
import type { RecipientState } from "./state.ts";

const DAY = 24 * 3600_000;
const MAILBOXES = ["a@example.com", "b@example.com", "c@example.com"];

let folder: string;
let database: DatabaseSync;
let other: DatabaseSync;
let time: number;
const now = (): number => time;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "posthaste-ledger-"));
  database = openDatabase(join(folder, "outbox.sqlite"));
  migrateOutbox(database);
  other = openDatabase(join(folder, "outbox.sqlite"));
  time = Date.now() + 1000;
});

afterEach(() => {
  database.close();
  other.close();
  rmSync(folder, { recursive: true });
});

async function put(to = MAILBOXES.slice(0, 1), options: EnqueueOptions = {}): Promise<number> {
  const message = new EmailMessage({ subject: "제목", text: "본문", from: "from@example.com", to });
  return Number((await enqueue(database, message, options)).id);
}

function ledgerOf(name: string, connection = database): Ledger {
  return new Ledger(connection, name, now);
}

function claimOne(ledger: Ledger): Claim {
  const [claim] = ledger.claim(1, []).claims;
  assert.ok(claim, "nothing was due");
  return claim;
}

function settle(ledger: Ledger, claim: Claim, ...states: RecipientState[]): string | undefined {
  const outcomes: Outcome[] = states.map((state, index) => ({ address: MAILBOXES[index] ?? "", state }));
  return ledger.commit([{ claim, messageId: "<x@example.com>", outcomes }])[0]?.state;
}

function row(id: number): Record<string, unknown> {
  return {
    ...database.prepare("select state, attempt, tries, worker, lease, due from posthaste_state where id = ?").get(id),
  };
}

function recipients(id: number): unknown[] {
  return database
    .prepare("select state from posthaste_recipient where message = ? order by position")
    .all(id)
    .map((each) => each.state);
}

test("a message goes from queued over claimed and committing to accepted", async () => {
  const id = await put();
  const ledger = ledgerOf("w");
  assert.equal(row(id).state, "queued");
  const claim = claimOne(ledger);
  assert.deepEqual(claim, { id, attempt: 1 });
  assert.deepEqual(row(id), { ...row(id), state: "claimed", worker: "w", lease: time + LEASE });
  ledger.commit([], [claim]);
  assert.equal(row(id).state, "committing");
  assert.equal(settle(ledger, claim, "accepted"), "accepted");
  assert.deepEqual(row(id), { ...row(id), state: "accepted", worker: null, lease: null });
  assert.equal(outboxCounts(database).accepted, 1);
});

test("a committed end of data is seen by another connection before commit() returns to the transport", async () => {
  const id = await put();
  const ledger = ledgerOf("w");
  ledger.commit([], [claimOne(ledger)]);
  assert.equal(other.prepare("select state from posthaste_state where id = ?").get(id)?.state, "committing");
});

test("only the recipients that were deferred are tried again", async () => {
  const id = await put(MAILBOXES);
  const ledger = ledgerOf("w");
  assert.equal(settle(ledger, claimOne(ledger), "accepted", "refused", "deferred"), "deferred");
  assert.equal(ledger.hasDue(), false);
  time += 67_000;
  const again = claimOne(ledger);
  assert.deepEqual(ledger.load(again).forwardPaths, ["c@example.com"]);
  ledger.commit([{ claim: again, messageId: "", outcomes: [{ address: "c@example.com", state: "accepted" }] }]);
  assert.deepEqual(recipients(id), ["accepted", "refused", "accepted"]);
  assert.deepEqual(row(id), { ...row(id), state: "accepted", attempt: 2, tries: 1 });
});

test("an attempt without a word from a server counts for nothing and is due at once", async () => {
  const id = await put();
  const ledger = ledgerOf("w");
  for (let attempt = 1; attempt <= 3; attempt++) assert.equal(settle(ledger, claimOne(ledger), "queued"), "queued");
  assert.deepEqual(row(id), { ...row(id), state: "queued", attempt: 3, tries: 0, due: time });
});

test("a message that is deferred after more than 5 days expires; notBefore counts as its beginning", async () => {
  const notBefore = new Date(time + 30 * DAY);
  const old = await put();
  const young = await put(MAILBOXES.slice(0, 1), { notBefore });
  time += GIVE_UP_AFTER + DAY;
  const ledger = ledgerOf("w");
  assert.equal(settle(ledger, claimOne(ledger), "deferred"), "expired");
  assert.equal(ledger.hasDue(), false);
  time = notBefore.getTime();
  assert.equal(settle(ledger, claimOne(ledger), "deferred"), "deferred");
  assert.deepEqual([row(old).state, row(young).state], ["expired", "deferred"]);
});

test("what is unknown is sent again or held, as the policy says", async () => {
  const resend = await put();
  const hold = await put(MAILBOXES.slice(0, 1), { policy: "hold" });
  const ledger = ledgerOf("w");
  for (const claim of ledger.claim(2, []).claims) settle(ledger, claim, "unknown");
  assert.deepEqual([row(resend).state, row(hold).state], ["queued", "unknown"]);
  time += 30 * DAY;
  assert.deepEqual(ledger.load(claimOne(ledger)).forwardPaths, ["a@example.com"]);
  assert.equal(ledger.hasDue(), false, "the held message was not claimed");
});

test("a verdict of an earlier attempt does not count, and its end of data may not leave", async () => {
  const id = await put();
  const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
  const old = claimOne(first);
  time += LEASE + 1;
  assert.deepEqual(
    second.takeOver(() => false),
    [{ worker: "first", count: 1 }],
  );
  const current = claimOne(second);
  assert.equal(current.attempt, 2);
  assert.throws(() => first.commit([], [old]), { name: "DeliveryError", code: "aborted" });
  assert.equal(settle(first, old, "refused"), undefined);
  assert.deepEqual(recipients(id), ["queued"]);
  assert.equal(settle(second, current, "accepted"), "accepted");
});

test("a message that was taken over may not leave even before its new attempt", async () => {
  const id = await put();
  const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
  const old = claimOne(first);
  time += LEASE + 1;
  second.takeOver(() => false);
  assert.throws(() => first.commit([], [old]), { code: "aborted" });
  assert.equal(row(id).state, "queued");
});

test("a fenced batch writes nothing, so that its other verdicts can be written again", async () => {
  const [mine, lost] = [await put(), await put()];
  const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
  const { claims } = first.claim(2, []);
  time += LEASE + 1;
  first.renew();
  database.prepare("update posthaste_state set lease = 0 where id = ?").run(lost);
  second.takeOver(() => false);
  const [kept, gone] = claims;
  assert.ok(kept && gone);
  const verdict = { claim: kept, messageId: "", outcomes: [{ address: "a@example.com", state: "accepted" as const }] };
  assert.throws(() => first.commit([verdict], [gone]), { code: "aborted" });
  assert.equal(row(mine).state, "claimed");
  assert.equal(first.commit([verdict])[0]?.state, "accepted");
});

test("a late verdict of the last attempt still counts: it is the truth about a held message", async () => {
  const id = await put(MAILBOXES.slice(0, 1), { policy: "hold" });
  const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
  const claim = claimOne(first);
  first.commit([], [claim]);
  second.takeOver(() => true);
  assert.deepEqual([row(id).state, recipients(id)], ["unknown", ["unknown"]]);
  assert.equal(settle(first, claim, "accepted"), "accepted");
  assert.deepEqual(recipients(id), ["accepted"]);
});

test("a lease is renewed, and nobody takes over what is renewed or alive", async () => {
  await put();
  const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
  claimOne(first);
  time += LEASE - 1;
  first.renew();
  time += LEASE - 1;
  assert.deepEqual(
    second.takeOver(() => false),
    [],
  );
  assert.deepEqual(
    first.takeOver(() => true),
    [],
    "a worker does not take over from itself",
  );
});

for (const [policy, state] of [
  ["resend", "queued"],
  ["hold", "unknown"],
] as const) {
  test(`what a dead worker was committing becomes ${state} by policy ${policy}, what it had claimed is queued`, async () => {
    const committing = await put(MAILBOXES.slice(0, 1), { policy });
    const claimed = await put(MAILBOXES.slice(0, 1), { policy });
    const [first, second] = [ledgerOf("first"), ledgerOf("second", other)];
    const { claims } = first.claim(2, []);
    first.commit([], claims.slice(0, 1));
    assert.deepEqual(
      second.takeOver((worker) => worker === "first"),
      [{ worker: "first", count: 2 }],
    );
    assert.deepEqual([row(committing).state, row(claimed).state], [state, "queued"]);
    assert.deepEqual([row(committing).tries, row(claimed).tries], [policy === "resend" ? 1 : 0, 0]);
    assert.equal(second.claim(9, []).claims.length, policy === "resend" ? 2 : 1);
  });

  test(`what is given back without a verdict goes the same ways (${policy})`, async () => {
    const committing = await put(MAILBOXES.slice(0, 1), { policy });
    const claimed = await put(MAILBOXES.slice(0, 1), { policy });
    const ledger = ledgerOf("w");
    const { claims } = ledger.claim(2, []);
    ledger.commit([], claims.slice(0, 1));
    ledger.release();
    assert.deepEqual([row(committing).state, row(claimed).state], [state, "queued"]);
    assert.equal(row(claimed).tries, 0);
  });
}

test("what dead workers had only claimed is as it was: due at its old time, however often they die", async () => {
  const id = await put();
  const before = row(id);
  for (let death = 1; death <= 3; death++) {
    claimOne(ledgerOf(`w${death}`));
    time += 1000;
    ledgerOf("heir", other).takeOver(() => true);
    assert.deepEqual(row(id), { ...before, attempt: death });
  }
});

test("a message that kills each worker that has claimed it does not come first for ever", async () => {
  const ids = [await put(), await put(), await put(), await put()];
  const first = new Set<number>();
  for (let death = 0; death < 200; death++) {
    const heir = ledgerOf(`w${death}`);
    heir.takeOver(() => true);
    first.add(heir.claim(9, []).claims[0]?.id ?? 0);
  }
  assert.deepEqual([...first].toSorted(), ids);
});

test("what is due longest comes first, whatever the index says", async () => {
  const late = await put(MAILBOXES.slice(0, 1), { notBefore: new Date(time + 60_000) });
  const early = await put();
  database.exec("drop index posthaste_state_due");
  time += 120_000;
  const ledger = ledgerOf("w");
  assert.deepEqual([claimOne(ledger).id, claimOne(ledger).id], [early, late]);
});

test("a message that is cancelled keeps count of its tries", async () => {
  const id = await put();
  const ledger = ledgerOf("w");
  settle(ledger, claimOne(ledger), "deferred");
  time += 67_000;
  ledger.commit([{ claim: claimOne(ledger), messageId: "", cancelled: true, outcomes: [] }]);
  assert.deepEqual([row(id).state, row(id).tries], ["cancelled", 1]);
});

test("two workers on one file claim every message once", async () => {
  for (let count = 0; count < 50; count++) await put();
  const workers = [ledgerOf("first"), ledgerOf("second", other)];
  const claimed: number[] = [];
  for (let turn = 0, empty = 0; empty < 2; turn++) {
    const { claims } = workers[turn % 2]?.claim(7, []) ?? { claims: [] };
    empty = claims.length === 0 ? empty + 1 : 0;
    claimed.push(...claims.map(({ id }) => id));
  }
  assert.equal(claimed.length, 50);
  assert.equal(new Set(claimed).size, 50);
  assert.deepEqual(
    claimed,
    claimed.toSorted((a, b) => a - b),
    "the oldest first",
  );
});
