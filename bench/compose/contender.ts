/**
 * A process: one who composes, alone, so that neither heap nor compiled code mix. In one process each paid for the
 * others: a full collection between them threw away what was compiled for nodemailer, which then took 690 µs for 490.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FROM, SUBJECT, TEXT, TO } from "../smtp/message.ts";

/**
 * What was composed last stays, as in a program that goes on: engines drop what they compiled for objects of which there
 * are none any more.
 */
let last: unknown;

/** Composes so many messages. */
type Compose = (count: number) => Promise<void> | void;

const CONTENDERS: Readonly<Record<string, () => Promise<Compose>>> = {
  posthaste: async () => {
    const { EmailMessage } = await import("posthaste");
    return (count) => {
      for (let index = 0; index < count; index++) {
        const message = new EmailMessage({ subject: SUBJECT, text: TEXT, from: FROM, to: [TO] });
        message.toBytes();
        last = message;
      }
    };
  },
  nodemailer: async () => {
    const { default: MailComposer } = await import("nodemailer/lib/mail-composer");
    return async (count) => {
      for (let index = 0; index < count; index++) {
        const message = new MailComposer({ subject: SUBJECT, text: TEXT, from: FROM, to: [TO] });
        await message.compile().build();
        last = message;
      }
    };
  },
  upyo: async () => {
    const { createMessage } = await import("@upyo/core");
    const { convertMessage } = (await import(exported("@upyo/smtp/dist/index.js", "convertMessage"))) as {
      convertMessage(message: unknown): Promise<unknown>;
    };
    const given = { subject: SUBJECT, content: { text: TEXT }, from: FROM as "a@b.c", to: TO as "a@b.c" };
    return async (count) => {
      for (let index = 0; index < count; index++) {
        const message = createMessage(given);
        await convertMessage(message);
        last = message;
      }
    };
  },
};

/** Upyo does not export its composer, so the one function is exported from a copy of its own file. */
function exported(file: string, name: string): string {
  const modules = join(import.meta.dirname, "../node_modules");
  const source = readFileSync(join(modules, file), "utf8");
  mkdirSync(join(modules, ".bench"), { recursive: true });
  const copy = join(modules, ".bench/upyo-smtp.js");
  writeFileSync(copy, `${source}\nexport { ${name} };\n`);
  return copy;
}

const compose = await CONTENDERS[process.argv[2] ?? ""]!();
process.on("message", async (count: number) => {
  const before = process.cpuUsage();
  await compose(count);
  const { user, system } = process.cpuUsage(before);
  if (last !== undefined) process.send?.((user + system) / count);
});
