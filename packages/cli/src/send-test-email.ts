import { hostname } from "node:os";
import { createMailer, EmailMessage, type MailSettings } from "posthaste";
import { EXIT, missingSetting, report } from "./exit.ts";
import { mailTransport } from "./mail-transport.ts";
import { printReceipt } from "./receipt-output.ts";
import { checkedMail } from "./checked-mail.ts";

/** The flags of `posthaste sendtestemail`. */
export interface SendTestEmailFlags {
  readonly admins?: boolean | undefined;
  readonly managers?: boolean | undefined;
  readonly using?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `posthaste sendtestemail`, as Django's: a message to the addresses, one to the managers and one to the admins where they
 * were asked for, to see whether the settings work.
 *
 * @returns the exit code: that of `posthaste send` for the first message that was not accepted by all, else 0.
 * @throws {SettingsError} when there is nobody to send to.
 */
export async function sendTestEmail(to: readonly string[], flags: SendTestEmailFlags): Promise<number> {
  const settings = checkedMail();
  const messages = testMessages(to, flags, settings);
  // A mistake in a field is one of the command, before anything is sent.
  for (const message of messages) message.toBytes();
  await using mailer = createMailer({ transport: mailTransport(flags.using) });
  let code: number = EXIT.ok;
  try {
    for await (const receipt of mailer.sendAll(messages)) {
      const own = printReceipt(receipt, flags.json === true);
      if (code === EXIT.ok) code = own;
    }
    return code;
  } catch (error) {
    report(error);
    return EXIT.trouble;
  }
}

function testMessages(to: readonly string[], flags: SendTestEmailFlags, settings: MailSettings): EmailMessage[] {
  const { from, serverEmail, subjectPrefix, admins, managers } = settings;
  const subject = `Test email from ${hostname()} on ${new Date().toISOString()}`;
  const make = (author: string, recipients: readonly string[], prefix = ""): EmailMessage =>
    new EmailMessage({
      subject: prefix + subject,
      text: "If you're reading this, it was successful.",
      from: author,
      to: recipients,
      localTime: settings.useLocalTime,
    });
  const messages = to.length === 0 ? [] : [make(from, to)];
  if (flags.managers === true) messages.push(make(serverEmail, people("MANAGERS", managers), subjectPrefix));
  if (flags.admins === true) messages.push(make(serverEmail, people("ADMINS", admins), subjectPrefix));
  if (messages.length > 0) return messages;
  throw missingSetting("email", "not given; name an address, --managers or --admins");
}

/** Django sends nothing then, and says nothing of it. */
function people(setting: string, list: readonly string[]): readonly string[] {
  if (list.length === 0) throw missingSetting(setting, "not set, so there is nobody to send to");
  return list;
}
