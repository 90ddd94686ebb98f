import type { Receipt, Transport } from "../delivery.ts";
import { PosthasteError, SettingsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import type { MailSettings } from "../settings/mail-settings.ts";
import { chosen, type SendOptions } from "./choice.ts";
import { configured, mailerDefaults } from "./configuration.ts";
import { createMailer } from "./mailer.ts";

const SEND_NAMES: Readonly<Record<keyof SendOptions, true>> = { connection: true, using: true, failSilently: true };

/** A message that can send itself. Django's `EmailMessage` and `EmailMultiAlternatives`. */
export class EmailMessage extends Message {
  /**
   * Sends it over one connection, which is opened for it and closed before the promise resolves, as in Django. With
   * `failSilently` it resolves with the receipt, whatever that says.
   *
   * @throws {DeliveryError} with its `receipt`, when it was accepted for no recipient; {PosthasteError} as `Mailer.send`.
   * @throws {SettingsError | MessageError} naming the setting or option.
   */
  async send(options: SendOptions = {}): Promise<Receipt> {
    const settings = configured();
    const { isSilent, use } = chosen(options, settings, SEND_NAMES);
    return await use((transport) => sendOver(transport, this, settings, isSilent));
  }
}

async function sendOver(
  transport: Transport,
  message: Message,
  settings: MailSettings,
  isSilent: boolean,
): Promise<Receipt> {
  const mailer = createMailer({ transport, ...mailerDefaults(settings) });
  if (!isSilent) return await mailer.send(message);
  try {
    for await (const receipt of mailer.sendAll([message])) return receipt;
  } catch (error) {
    if (!(error instanceof PosthasteError) || error instanceof SettingsError) throw error;
    return untried(message, settings.from, error);
  }
  throw new Error("the transport gave no receipt");
}

/** The verdict where there was no connection to be had. */
function untried(message: Message, from: string, error: Error): Receipt {
  const hasAuthor = message.from !== undefined && message.from !== "";
  const { forwardPaths } = (hasAuthor ? message : message.withFrom(from)).envelope();
  const recipients = forwardPaths.map((address) => ({ address, status: "deferred" as const }));
  return { index: 0, messageId: message.messageId, status: "deferred", recipients, error };
}
