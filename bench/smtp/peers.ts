/** The other clients for Node, each with one connection that it keeps from call to call. */
import { createMessage } from "@upyo/core";
import { SmtpTransport } from "@upyo/smtp";
import nodemailer from "nodemailer";
import type { Sender } from "./contender.ts";
import { FROM, SUBJECT, TEXT, TO } from "./message.ts";

/** A pool of one, which always has a message waiting. */
export function nodemailerPool(port: number): Sender {
  const options = { pool: true, maxConnections: 1, maxMessages: Infinity, host: "127.0.0.1", port } as const;
  const transporter = nodemailer.createTransport(options);
  const send = async (count: number): Promise<void> => {
    let begun = 0;
    const lane = async (): Promise<void> => {
      while (begun++ < count) await transporter.sendMail({ subject: SUBJECT, text: TEXT, from: FROM, to: TO });
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  };
  return { send, close: () => transporter.close() };
}

export function upyo(port: number): Sender {
  const transport = new SmtpTransport({ host: "127.0.0.1", port, secure: false, pool: true, poolSize: 1 });
  function* created(count: number): Generator<ReturnType<typeof createMessage>> {
    for (let index = 0; index < count; index++)
      yield createMessage({ subject: SUBJECT, content: { text: TEXT }, from: FROM as "a@b.c", to: TO as "a@b.c" });
  }
  const send = async (count: number): Promise<void> => {
    for await (const receipt of transport.sendMany(created(count))) {
      if (!receipt.successful) throw new Error(receipt.errorMessages.join("; "));
    }
  };
  return { send, close: () => transport.closeAllConnections() };
}
