import { createMailer, EmailMessage, MessageError } from "posthaste";
import { badSetting, EXIT, report } from "./exit.ts";
import { mailTransport } from "./mail-transport.ts";
import { headerFields } from "./mass/composer.ts";
import { checkBodyFiles, checkRecipients, headerFlag, type MessageFlags, textOfFile } from "./message-flags.ts";
import { printReceipt } from "./receipt-output.ts";
import { checkedMail } from "./checked-mail.ts";

/** The flags of `posthaste send`. */
export interface SendFlags extends MessageFlags {
  readonly text?: string | undefined;
  readonly html?: string | undefined;
}

/**
 * `posthaste send`: one message from flags, files and standard input.
 *
 * @returns the exit code: 0 accepted for all recipients, 3 for some, 1 refused, 4 trouble.
 * @throws {SettingsError | AddressError | HeaderError | MessageError} naming the flag or field.
 */
export async function sendOne(flags: SendFlags): Promise<number> {
  const settings = checkedMail();
  checkRecipients(flags);
  const message = new EmailMessage({
    from: flags.from ?? settings.from,
    to: flags.to,
    cc: flags.cc,
    bcc: flags.bcc,
    replyTo: flags.replyTo,
    subject: flags.subject,
    ...(await bodies(flags)),
    headers: headerFields(flags.header.map(headerFlag)),
    localTime: settings.useLocalTime,
  });
  for (const path of flags.attach) attach(message, path);
  if (message.recipients().length === 0) throw badSetting("--to", "empty; a message needs a recipient");
  // A mistake in a field is one of the command, not the server's verdict.
  if (message.streaming === undefined) message.toBytes();
  await using mailer = createMailer({ transport: mailTransport(flags.using) });
  try {
    for await (const receipt of mailer.sendAll([message])) return printReceipt(receipt, flags.json === true);
  } catch (error) {
    report(error);
  }
  return EXIT.trouble;
}

async function bodies(flags: SendFlags): Promise<{ text: string | undefined; html: string | undefined }> {
  checkBodyFiles(flags);
  const text = await body("--text", flags.text, flags.textFile);
  const html = await body("--html", flags.html, flags.htmlFile);
  if (text !== undefined || html !== undefined) return { text, html };
  throw badSetting("--text", "not given; a message needs --text, --text-file, --html or --html-file");
}

async function body(flag: string, given: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (given !== undefined && file !== undefined) throw badSetting(flag, `given twice: also as ${flag}-file`);
  return file === undefined ? given : await textOfFile(`${flag}-file`, file);
}

function attach(message: EmailMessage, path: string): void {
  try {
    message.attachFile(path);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    throw badSetting("--attach", `${path}: ${error.message.replace(/^attachFile: /, "")}`, error);
  }
}
