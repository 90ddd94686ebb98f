import type { Receipt, Transport } from "../delivery.ts";
import { Message } from "../message/message.ts";
import { mailSettings } from "../settings/environment.ts";
import { getConnection } from "./connection.ts";
import { createMailer } from "./mailer.ts";

/** Options of {@link EmailMessage.send}. */
export interface SendOptions {
  /** The transport to use, which stays open. Default: one that the settings describe, for this message alone. */
  readonly connection?: Transport | undefined;
}

/** A message that can send itself. Django's `EmailMessage` and `EmailMultiAlternatives`. */
export class EmailMessage extends Message {
  /**
   * Sends it over one connection, which is opened for it and closed before the promise resolves, as in Django.
   *
   * @throws {DeliveryError} with its `receipt`, when it was accepted for no recipient; {PosthasteError} as `Mailer.send`.
   */
  async send({ connection }: SendOptions = {}): Promise<Receipt> {
    const { from, useLocalTime } = mailSettings();
    if (useLocalTime && !Object.isFrozen(this)) this.localTime = true;
    if (connection !== undefined) return createMailer({ transport: connection, from }).send(this);
    await using mailer = createMailer({ transport: getConnection(), from });
    return await mailer.send(this);
  }
}
