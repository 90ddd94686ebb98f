import { hostname } from "node:os";
import { createMailer, EmailMessage, getConnection, type Receipt } from "posthaste";
import { EXIT } from "./exit.ts";
import { checkedMail } from "./serve-settings.ts";

/** The flags of `posthaste sendtestemail`. */
export interface SendTestEmailFlags {
  readonly json?: boolean | undefined;
}

/**
 * `posthaste sendtestemail`, as Django's: one message to see whether the settings work.
 *
 * @returns the exit code: 0 when every recipient's server accepted it.
 */
export async function sendTestEmail(to: readonly string[], flags: SendTestEmailFlags): Promise<number> {
  const settings = checkedMail();
  const message = new EmailMessage({
    subject: `Test email from ${hostname()} on ${new Date().toISOString()}`,
    text: "If you're reading this, it was successful.",
    from: settings.from,
    to,
  });
  message.toBytes();
  await using mailer = createMailer({ transport: getConnection(settings) });
  for await (const receipt of mailer.sendAll([message])) {
    if (flags.json === true) console.log(JSON.stringify({ ...receipt, error: receipt.error?.message }));
    else print(receipt);
    if (receipt.status !== "accepted") return EXIT.failure;
  }
  return EXIT.ok;
}

function print(receipt: Receipt): void {
  for (const { address, status, reply } of receipt.recipients) {
    const said = reply === undefined ? "" : `  ${reply.code} ${reply.lines.join(" ")}`;
    console.log(`${status.padEnd(9)} ${address}${said}`);
  }
  if (receipt.error !== undefined) console.error(`posthaste: ${receipt.error.message}`);
}
