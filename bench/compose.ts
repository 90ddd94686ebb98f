/** What a message costs to compose: CPU time, against nodemailer and Upyo in the same run, each in a process of its own. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { EmailMessage } from "posthaste";
import { median } from "./measure.ts";
import { FROM, TEXT, TO } from "./smtp/message.ts";

const NAMES = ["posthaste", "nodemailer", "upyo"] as const;
const COUNT = 4_000;
const ROUNDS = 9;
/** Engines compile as long as they find something to improve, so each has so long for it. */
const WARM_UP_MS = 3_000;

const children = NAMES.map((name) => ({
  name,
  child: fork(join(import.meta.dirname, "compose/contender.ts"), [name]),
  times: [] as number[],
}));

/** The microseconds of CPU time that each of so many took. */
async function composed(child: ChildProcess, count: number): Promise<number> {
  const done = new AbortController();
  const { signal } = done;
  const answer = once(child, "message", { signal });
  const end = once(child, "exit", { signal }).then(() => Promise.reject(new Error("a contender ended")));
  child.send(count);
  try {
    const [time] = (await Promise.race([answer, end])) as [number];
    return time;
  } finally {
    // Whoever was not first must not stay to listen, nor fail unheard.
    void Promise.allSettled([answer, end]);
    done.abort();
  }
}

console.log(`A text message of ${Buffer.byteLength(TEXT)} octets in Korean, composed: CPU time`);
for (const { child } of children) {
  const start = performance.now();
  while (performance.now() - start < WARM_UP_MS) await composed(child, 500);
}
for (let round = 0; round < ROUNDS; round++)
  for (const { child, times } of children) times.push(await composed(child, COUNT));
const [own] = children;
for (const { name, child, times } of children) {
  child.disconnect();
  // What stands side by side in a round met the same weather.
  const ratio = median(times.map((time, round) => time / (own?.times[round] ?? Number.NaN)));
  const what = name === "posthaste" ? "" : `   posthaste is 1/${ratio.toFixed(1)}`;
  console.log(`  ${name.padEnd(12)} ${median(times).toFixed(1).padStart(8)} µs${what}`);
}

const OCTETS = Buffer.from(Uint8Array.from({ length: 25 * 1024 * 1024 }, (_, index) => index * 31));
const ratios: number[] = [];
const speeds: number[] = [];
for (let round = -2; round < 9; round++) {
  globalThis.gc?.();
  const plain = timed(() => OCTETS.toString("base64"));
  globalThis.gc?.();
  const message = new EmailMessage({ from: FROM, to: [TO], attachments: [{ filename: "a.bin", content: OCTETS }] });
  const time = timed(() => message.toBytes());
  if (round < 0) continue;
  ratios.push(plain / time);
  speeds.push(OCTETS.length / 1e6 / (time / 1e3));
}
console.log(
  `An attachment of 25 MB, composed: ${median(speeds).toFixed(0)} MB/s, ${median(ratios).toFixed(2)} of Buffer.toString("base64")`,
);

function timed(run: () => unknown): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}
