/** Django's two ways to send many, by the settings in the environment: one connection for all, or one for each. */
import { sendMail, sendMassMail } from "posthaste";
import type { Sender } from "./contender.ts";
import { FROM, SUBJECT, TEXT, TO } from "./message.ts";

/** `sendMassMail`, once. */
export function massMail(): Sender {
  function* tuples(count: number): Generator<[string, string, string, string[]]> {
    for (let index = 0; index < count; index++) yield [SUBJECT, TEXT, FROM, [TO]];
  }
  return { send: async (count) => void (await sendMassMail(tuples(count))), close: () => undefined };
}

/** As many `sendMail` calls, one after another. */
export function singleMails(): Sender {
  const send = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) await sendMail(SUBJECT, TEXT, FROM, [TO]);
  };
  return { send, close: () => undefined };
}
