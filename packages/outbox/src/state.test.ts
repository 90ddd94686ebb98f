import assert from "node:assert/strict";
import { test } from "node:test";
import { GIVE_UP_AFTER, backoff, nextState, nextStateAfterDeath } from "./state.ts";
import type { OutboxPolicy, OutboxState, RecipientState } from "./state.ts";

const MINUTE = 60_000;

interface Row {
  readonly what: string;
  readonly recipients: readonly RecipientState[];
  readonly policy?: OutboxPolicy;
  readonly counted?: boolean;
  readonly tries?: number;
  readonly age?: number;
  readonly state: OutboxState;
  readonly wait: number;
}

const TABLE: readonly Row[] = [
  { what: "all accepted", recipients: ["accepted"], state: "accepted", wait: 0 },
  { what: "all refused", recipients: ["refused"], state: "refused", wait: 0 },
  { what: "some accepted, some refused", recipients: ["accepted", "refused"], state: "accepted", wait: 0 },
  { what: "deferred by a reply", recipients: ["deferred"], counted: true, state: "deferred", wait: MINUTE },
  {
    what: "deferred a third time",
    recipients: ["deferred"],
    counted: true,
    tries: 2,
    state: "deferred",
    wait: 4 * MINUTE,
  },
  {
    what: "deferred beside accepted and refused",
    recipients: ["accepted", "refused", "deferred"],
    counted: true,
    state: "deferred",
    wait: MINUTE,
  },
  { what: "no server was reached", recipients: ["queued"], state: "queued", wait: 0 },
  {
    what: "no server was reached, though it once deferred",
    recipients: ["deferred"],
    tries: 3,
    state: "queued",
    wait: 0,
  },
  {
    what: "no server was reached for longer than 5 days",
    recipients: ["queued"],
    age: GIVE_UP_AFTER + 1,
    state: "queued",
    wait: 0,
  },
  {
    what: "deferred, after exactly 5 days",
    recipients: ["deferred"],
    counted: true,
    age: GIVE_UP_AFTER,
    state: "deferred",
    wait: MINUTE,
  },
  {
    what: "deferred, after more than 5 days",
    recipients: ["deferred"],
    counted: true,
    age: GIVE_UP_AFTER + 1,
    state: "expired",
    wait: 0,
  },
  { what: "unknown, to be resent", recipients: ["unknown"], counted: true, state: "queued", wait: MINUTE },
  {
    what: "unknown, to be resent, after more than 5 days",
    recipients: ["unknown"],
    counted: true,
    age: GIVE_UP_AFTER + 1,
    state: "unknown",
    wait: 0,
  },
  { what: "unknown, to be held", recipients: ["unknown"], policy: "hold", counted: true, state: "unknown", wait: 0 },
  {
    what: "unknown, to be held, beside accepted",
    recipients: ["accepted", "unknown"],
    policy: "hold",
    counted: true,
    state: "unknown",
    wait: 0,
  },
  {
    what: "unknown, to be held, beside deferred",
    recipients: ["unknown", "deferred"],
    policy: "hold",
    counted: true,
    state: "deferred",
    wait: MINUTE,
  },
];

for (const { what, recipients, policy = "resend", counted = false, tries = 0, age = 0, state, wait } of TABLE) {
  test(`an attempt ends with ${what} (${policy}): ${state}`, () => {
    const next = nextState({ policy, recipients: new Set(recipients), counted, tries, age });
    assert.equal(next.state, state);
    assert.equal(next.tries, tries + (counted ? 1 : 0));
    assert.ok(next.wait >= wait * 0.9 && next.wait <= wait * 1.1, `waits ${next.wait} ms`);
  });
}

test("the backoff doubles from a minute to 4 hours, 10 % more or less", () => {
  const minutes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100, 2000].map((tries) => backoff(tries, 0.5) / MINUTE);
  assert.deepEqual(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240]);
  assert.deepEqual([backoff(1, 0), backoff(1, 1)], [54_000, 66_000]);
});

test("what a dead worker was committing is due at once the first time, and waits after that", () => {
  assert.deepEqual(nextStateAfterDeath("resend", 0), { state: "queued", tries: 1, wait: 0 });
  assert.deepEqual(nextStateAfterDeath("hold", 4), { state: "unknown", tries: 4, wait: 0 });
  assert.ok(nextStateAfterDeath("resend", 2).wait >= 1.8 * MINUTE);
});
