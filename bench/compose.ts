/**
 * What a message costs to compose: CPU time, against nodemailer and Upyo in the same run.
 *
 * Upyo does not export its composer, so the one function is exported from a copy of its own file.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createMessage } from "@upyo/core";
import MailComposer from "nodemailer/lib/mail-composer";
import { EmailMessage } from "posthaste";
import { cpuMedians, median } from "./measure.ts";

const SUBJECT = "제목: 안녕하세요";
const FROM = "김철수 <from@example.com>";
const TO = "받는이 <to@example.com>";
/** 2 kB of UTF-8. */
const TEXT = "여기에 메시지가 있습니다. 안녕하세요 여러분.\n".repeat(40).slice(0, 830);

const upyo = (await import(exported("@upyo/smtp/dist/index.js", "convertMessage"))) as {
  convertMessage(message: unknown): Promise<unknown>;
};

function exported(file: string, name: string): string {
  const source = readFileSync(join(import.meta.dirname, "node_modules", file), "utf8");
  const folder = join(import.meta.dirname, "node_modules/.bench");
  mkdirSync(folder, { recursive: true });
  const copy = join(folder, "upyo-smtp.js");
  writeFileSync(copy, `${source}\nexport { ${name} };\n`);
  return copy;
}

/** The last message of each stays: the engine drops what it compiled for objects of which there are none any more. */
const last: { posthaste?: unknown; nodemailer?: unknown; upyo?: unknown } = {};

const contenders = [
  {
    name: "posthaste",
    run: (count: number) => {
      for (let index = 0; index < count; index++) {
        const message = new EmailMessage({ subject: SUBJECT, text: TEXT, from: FROM, to: [TO] });
        message.toBytes();
        last.posthaste = message;
      }
    },
  },
  {
    name: "nodemailer 10.6",
    run: async (count: number) => {
      for (let index = 0; index < count; index++) {
        const message = new MailComposer({ subject: SUBJECT, text: TEXT, from: FROM, to: [TO] });
        await message.compile().build();
        last.nodemailer = message;
      }
    },
  },
  {
    name: "Upyo",
    run: async (count: number) => {
      for (let index = 0; index < count; index++) {
        const given = { subject: SUBJECT, content: { text: TEXT }, from: FROM as "a@b.c", to: TO as "a@b.c" };
        const message = createMessage(given);
        await upyo.convertMessage(message);
        last.upyo = message;
      }
    },
  },
];

console.log(`A text message of ${Buffer.byteLength(TEXT)} octets in Korean, composed: CPU time`);
// Engines compile as long as they find something to improve, so each has three seconds for it.
for (const { run } of contenders) {
  const start = performance.now();
  while (performance.now() - start < 3_000) await run(500);
}
const medians = await cpuMedians(contenders, 4_000, 7);
const own = medians.get("posthaste") ?? Number.NaN;
for (const [name, time] of medians)
  console.log(`  ${name.padEnd(16)} ${time.toFixed(1).padStart(8)} µs   posthaste is 1/${(time / own).toFixed(1)}`);

const OCTETS = Buffer.from(Uint8Array.from({ length: 25 * 1024 * 1024 }, (_, index) => index * 31));
const ratios: number[] = [];
const speeds: number[] = [];
for (let round = -2; round < 9; round++) {
  globalThis.gc?.();
  const plain = timed(() => OCTETS.toString("base64"));
  globalThis.gc?.();
  const message = new EmailMessage({ from: FROM, to: [TO], attachments: [{ filename: "a.bin", content: OCTETS }] });
  const composed = timed(() => message.toBytes());
  if (round < 0) continue;
  ratios.push(plain / composed);
  speeds.push(OCTETS.length / 1e6 / (composed / 1e3));
}
console.log(
  `An attachment of 25 MB, composed: ${median(speeds).toFixed(0)} MB/s, ${median(ratios).toFixed(2)} of Buffer.toString("base64")`,
);

function timed(run: () => unknown): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}
