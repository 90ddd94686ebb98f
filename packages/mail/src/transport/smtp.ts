import type { DeliverableMessage, DeliverOptions, Receipt, Transport } from "../delivery.ts";
import { resolveOptions, type SmtpOptions } from "../smtp/client/options.ts";
import { SmtpPool } from "../smtp/client/pool.ts";
import { SmtpDelivery } from "./smtp-delivery.ts";

/**
 * Delivers by SMTP, or LMTP, over connections that are opened when messages are ready and kept until `close()`. With one
 * connection, which is the default, receipts come in the order of the messages. `await using` closes it.
 *
 * @throws {SettingsError} naming the option that is not allowed.
 */
export function smtpTransport(options: SmtpOptions): Transport & AsyncDisposable {
  const pool = new SmtpPool(resolveOptions(options));
  const close = (): Promise<void> => pool.close();
  return {
    deliver: (
      messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
      options: DeliverOptions = {},
    ): AsyncIterable<Receipt> => new SmtpDelivery(pool, messages, options).receipts(),
    close,
    [Symbol.asyncDispose]: close,
  };
}
