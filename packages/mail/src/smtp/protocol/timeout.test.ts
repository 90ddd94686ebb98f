import assert from "node:assert/strict";
import { test } from "node:test";
import { TIMEOUT_MS, type Verb } from "./timeout.ts";

const MINUTE = 60_000;

/** RFC 5321 section 4.5.3.2, each at least. */
const AT_LEAST: readonly [Verb, minutes: number][] = [
  ["greeting", 5],
  ["MAIL", 5],
  ["RCPT", 5],
  ["DATA", 2],
  ["content", 3],
  ["end-of-data", 10],
  ["BDAT", 10],
];

test("nobody waits less than RFC 5321 says, and longest for the end of data", () => {
  for (const [verb, minutes] of AT_LEAST) assert.ok(TIMEOUT_MS[verb] >= minutes * MINUTE, verb);
  assert.equal(Math.max(...Object.values(TIMEOUT_MS)), TIMEOUT_MS["end-of-data"]);
});
