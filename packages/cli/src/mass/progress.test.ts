import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { duration, progressLine, startProgress } from "./progress.ts";

const STATE = { rows: 50_000, ended: 12_500, accepted: 12_480, failed: 20, rate: 250 };

test("a line says how far it is, at which rate, and how long it will take", () => {
  assert.equal(progressLine(STATE), "25 %, 12500 of 50000 rows, 12480 accepted, 20 not, 250/s, 2 min 30 s left");
});

test("before anything is known of the rate it says nothing of it", () => {
  assert.equal(
    progressLine({ ...STATE, ended: 0, accepted: 0, failed: 0, rate: 0 }),
    "0 %, 0 of 50000 rows, 0 accepted, 0 not",
  );
});

test("on a terminal a bar stands in front, where there is room, and no line is as wide as the terminal", () => {
  assert.match(progressLine(STATE, 120), /^\[######-{18}\] 25 %, /);
  for (const width of [1, 20, 80, 120]) assert.ok(progressLine(STATE, width).length < width);
});

test("a terminal that says it has no columns is taken for one of the usual width", () => {
  const output = Object.assign(new PassThrough({ encoding: "utf8" }), { isTTY: true, columns: 0 });
  const progress = startProgress(10, output as unknown as NodeJS.WriteStream);
  progress.row("accepted");
  progress.say("a line");
  progress.stop();
  assert.match(String(output.read()), /a line\n.*10 %, 1 of 10 rows/);
});

test("a duration is said as people say it", () => {
  assert.deepEqual([0, 0.2, 59.5, 61, 3599, 7260].map(duration), [
    "0 s",
    "1 s",
    "1 min 0 s",
    "1 min 1 s",
    "59 min 59 s",
    "2 h 1 min",
  ]);
});
