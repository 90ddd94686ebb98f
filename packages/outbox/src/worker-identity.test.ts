import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { isDead, ownIdentity } from "./worker-identity.ts";
import type { WorkerIdentity } from "./worker-identity.ts";

const own = ownIdentity();
const linux = process.platform === "linux";
/** Beyond any pid_max, so that no process has it. */
const NO_PID = 0x7ffffffe;

const TABLE: readonly (readonly [what: string, change: Partial<WorkerIdentity>, dead: boolean])[] = [
  ["another worker in this process", { nonce: "other" }, false],
  ["a process that is not there", { pid: NO_PID }, true],
  ["a process that is not there, on another host", { pid: NO_PID, host: "elsewhere.example" }, false],
  ["a process that is not there, in another container on this host", { pid: NO_PID, pidNamespace: "pid:[1]" }, false],
  ["a process from before this machine was booted", { boot: "0b5e0b5e-0000-0000-0000-000000000000" }, linux],
  ["a process whose number was given to another since", { start: "1" }, linux],
  ["a thread whose number was given to another since", { threadStart: "1" }, linux],
  ["a living process of which nothing else is known", { start: "", boot: "" }, false],
  ["a living process of whose thread nothing is known", { thread: 0, threadStart: "" }, false],
];

for (const [what, change, dead] of TABLE) {
  test(`${what} is ${dead ? "dead" : "not proved dead"}`, () => {
    assert.equal(isDead(JSON.stringify({ ...own, ...change })), dead);
  });
}

test("what is no identity is not proved dead", () => {
  for (const text of ["", "{", "null", "7", '"w"', "[]"]) assert.equal(isDead(text), false);
});

test("a thread is alive until it was ended", { skip: !linux }, async () => {
  const script = `
    const { ownIdentity } = await import(${JSON.stringify(new URL("./worker-identity.ts", import.meta.url))});
    const { parentPort } = await import("node:worker_threads");
    parentPort.on("message", () => undefined);
    parentPort.postMessage(ownIdentity());`;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  const [identity] = (await once(thread, "message")) as [WorkerIdentity];
  assert.deepEqual({ ...identity, thread: own.thread, threadStart: own.threadStart, nonce: own.nonce }, own);
  assert.equal(isDead(JSON.stringify(identity)), false);
  await thread.terminate();
  // The kernel may list it for a moment after it was joined.
  for (let turn = 0; turn < 10_000 && !isDead(JSON.stringify(identity)); turn++) await new Promise(setImmediate);
  assert.equal(isDead(JSON.stringify(identity)), true);
});

test("a process is alive until it was killed", async () => {
  const child = spawn(process.execPath, ["--eval", "process.stdin.resume()"], { stdio: ["pipe", "ignore", "inherit"] });
  await once(child, "spawn");
  const identity = JSON.stringify({ ...own, pid: child.pid, start: "" });
  assert.equal(isDead(identity), false);
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.equal(isDead(identity), true);
});
