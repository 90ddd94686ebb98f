import type { Readable } from "node:stream";
import type { Transport } from "../delivery.ts";
import { SettingsError } from "../errors.ts";
import { NodemailerDelivery } from "./nodemailer-delivery.ts";
import { senderOf } from "./nodemailer-sender.ts";

/** What a transport of nodemailer is given: the envelope, and the message as octets. */
export interface NodemailerMail {
  // Nodemailer's own types want an array that may be changed.
  /** By whom and to whom it goes; the null reverse-path is an empty text. */
  readonly envelope: { readonly from: string; readonly to: string[] };
  /** With its angle brackets. */
  readonly messageId: string;
  /** Without it there are fields. */
  readonly raw?: Buffer | Readable;
}

/** Options of {@link fromNodemailer}. */
export interface FromNodemailerOptions {
  /**
   * What the transport is given. `octets`: the message as it is, which most send. `fields`: for plugins that make a request
   * of them (Mailgun, Postmark …), so that their service composes the message anew; what it does with header fields and
   * Message-ID is its affair. Default: `octets`.
   */
  readonly content?: "octets" | "fields" | undefined;
}

/** What `nodemailer.createTransport` gives, as far as it is used here. */
export interface NodemailerTransporter {
  /** Sends one mail; what it resolves to is nodemailer's `info`. */
  sendMail(mail: NodemailerMail): Promise<unknown>;
  /** The transport behind it, which may say when it is idle. Default: one message goes after the other. */
  readonly transporter?: { readonly name: string } | undefined;
  /** Takes a plugin of nodemailer's; one of the step `stream` is added, and shows when a message's octets are asked for. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  use?(step: string, plugin: (mail: any, done: (error?: Error | null) => void) => void): unknown;
  /** Called by the transport's `close()`. */
  close?(): unknown;
}

/** A transport plugin of nodemailer, as far as it is used here. */
export interface NodemailerPlugin {
  /** As nodemailer knows it; `SMTP` and `SMTP (pool)` are its own. */
  readonly name?: string | undefined;
  /** Sends one mail; `done` is called with an error or with nodemailer's `info`. */
  // A method, so that a plugin may ask for more of the mail than is known here.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  send(mail: any, done: (error: Error | null, info?: unknown) => void): unknown;
  /** Whether another mail may be handed over now. Default, or without `on`: when the last one has its verdict. */
  isIdle?(): boolean;
  /** Listens to its event `idle`: there is room again. */
  on?(event: "idle", listener: () => void): unknown;
  /** Ends the listening. */
  removeListener?(event: "idle", listener: () => void): unknown;
  /** Called by the transport's `close()`. */
  close?(): unknown;
}

/**
 * Delivers over a transporter of nodemailer, or a transport plugin: as it gets the octets, they leave as they are, but for
 * plugins that want fields instead: these need `content: "fields"`. Messages go one after the other, or so many at once as
 * `connections` of a delivery says; over a transport that says when it is idle (nodemailer's pool), as many as it has room
 * for. 100 at most, with receipts as they come.
 *
 * A receipt says what the transport says: a recipient it does not name as rejected or pending is accepted. Where it fails
 * with a reply or an HTTP status, that decides; where it failed before anything left, the message is deferred; else it is
 * unknown. What was handed over cannot be taken back: an abort waits for its verdict.
 *
 * @throws {SettingsError} when it has neither `sendMail` nor `send`, or an option is not allowed.
 */
export function fromNodemailer(
  transport: NodemailerTransporter | NodemailerPlugin,
  { content = "octets" }: FromNodemailerOptions = {},
): Transport {
  if (content !== "octets" && content !== "fields")
    throw new SettingsError("bad-setting", "content: must be octets or fields", { setting: "content" });
  const sender = senderOf(transport, content);
  return {
    deliver: (messages, options = {}) => new NodemailerDelivery(sender, messages, options).receipts(),
    close: async () => {
      await transport.close?.();
    },
  };
}
