import type { DeliverableMessage, Receipt, Transport } from "../delivery.ts";
import { DeliveryError, MessageError, PosthasteError } from "../errors.ts";
import { Message, type MessageFields } from "../message/message.ts";
import { type MailSettings, mailSettings } from "../settings/environment.ts";
import { getConnection } from "./connection.ts";
import { createMailer, notAccepted } from "./mailer.ts";

/** Options of {@link sendMassMail}; Django's keyword arguments. */
export interface SendMassMailOptions {
  /** Resolve with the count instead of throwing. Default: false. */
  readonly failSilently?: boolean | undefined;
  /** Instead of `EMAIL_HOST_USER`. */
  readonly authUser?: string | undefined;
  /** Instead of `EMAIL_HOST_PASSWORD`. */
  readonly authPassword?: string | undefined;
  /** The transport to use, which stays open. Default: one that the settings describe, closed before the call resolves. */
  readonly connection?: Transport | undefined;
}

/** Options of {@link sendMail}. */
export interface SendMailOptions extends SendMassMailOptions {
  /** An HTML body beside the text; Django's `html_message`. */
  readonly html?: string | undefined;
}

/** `[subject, message, from, recipients]`, as Django's `send_mass_mail` takes it. */
export type MailTuple = readonly [
  subject: string,
  message: string,
  from: string | null | undefined,
  recipients: readonly string[],
];

/**
 * Sends one message over one connection; Django's `send_mail`.
 *
 * @param from null, undefined or empty is `DEFAULT_FROM_EMAIL`.
 * @returns 1 when at least one recipient's server accepted it, 0 when there is no recipient or a failure was silenced.
 * @throws {DeliveryError} with its `receipt`, when it was accepted for no recipient.
 * @throws {HeaderError | AddressError | MessageError | SettingsError} naming the field or setting.
 * @throws {AuthError} when the credentials are refused.
 */
export async function sendMail(
  subject: string,
  message: string,
  from: string | null | undefined,
  recipients: readonly string[],
  options: SendMailOptions = {},
): Promise<number> {
  const mail = { subject, text: message, html: options.html, from: from ?? undefined, to: recipients };
  if (options.failSilently !== true) return await sendStrictly(mail, options);
  return await sendMassMail([mail], options);
}

async function sendStrictly(fields: MessageFields, options: SendMassMailOptions): Promise<number> {
  const message = toMessage(fields, mailSettings());
  message.toBytes();
  if (message.recipients().length === 0) return 0;
  return await withConnection(options, async (transport) => {
    await createMailer({ transport }).send(message);
    return 1;
  });
}

/**
 * Sends any number of messages over one connection; Django's `send_mass_mail`. Every message is tried.
 *
 * @param messages tuples as in Django, or the fields of messages; the source is read no faster than messages go out.
 * @returns of how many at least one recipient's server accepted.
 * @throws {DeliveryError} with the `count` and the `receipts` of those that failed; where the sending was cut short, also
 * with its `cause` and the `nextIndex` of the first message without a verdict.
 * @throws {AuthError | SmtpError} with `nextIndex` 0, when there is no connection to be had.
 */
export async function sendMassMail(
  messages: Iterable<MailTuple | MessageFields> | AsyncIterable<MailTuple | MessageFields>,
  options: SendMassMailOptions = {},
): Promise<number> {
  const settings = mailSettings();
  const tally: Tally = { count: 0, failed: [] };
  await withConnection(options, async (transport) => {
    try {
      for await (const receipt of transport.deliver(toMessages(messages, settings))) {
        if (receipt.status === "accepted" || receipt.status === "partial") tally.count++;
        else tally.failed.push(receipt);
      }
    } catch (error) {
      if (options.failSilently !== true || !(error instanceof PosthasteError)) throw interrupted(tally, error);
    }
  });
  if (tally.failed.length > 0 && options.failSilently !== true) throw incomplete(tally);
  return tally.count;
}

function byIndex(one: Receipt, other: Receipt): number {
  return one.index - other.index;
}

interface Tally {
  count: number;
  readonly failed: Receipt[];
}

function incomplete({ count, failed: unsorted }: Tally): DeliveryError {
  const failed = unsorted.toSorted(byIndex);
  const [first] = failed;
  const reason = first === undefined ? "" : `; the first, at index ${first.index}: ${notAccepted(first).message}`;
  const message = `${count} accepted, ${failed.length} not${reason}`;
  return new DeliveryError("incomplete", message, { count, receipts: failed, cause: first?.error });
}

/** What ended the sending, with the verdicts that there are: none of them may be lost with it. */
function interrupted({ count, failed: unsorted }: Tally, cause: unknown): unknown {
  const failed = unsorted.toSorted(byIndex);
  if (count === 0 && failed.length === 0) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${count} accepted, ${failed.length} not, and the rest was not tried: ${reason}`;
  const error = new DeliveryError("incomplete", message, { count, receipts: failed, cause });
  if (cause instanceof PosthasteError && cause.nextIndex !== undefined) error.nextIndex = cause.nextIndex;
  return error;
}

async function* toMessages(
  source: Iterable<MailTuple | MessageFields> | AsyncIterable<MailTuple | MessageFields>,
  settings: MailSettings,
): AsyncGenerator<DeliverableMessage> {
  for await (const item of source) {
    try {
      yield toMessage(isTuple(item) ? fieldsOf(item) : item, settings);
    } catch (error) {
      yield unmakable(error);
    }
  }
}

function fieldsOf([subject, text, from, to]: MailTuple): MessageFields {
  return { subject, text, from: from ?? undefined, to };
}

function toMessage(fields: MessageFields, { from, useLocalTime }: MailSettings): Message {
  const needsFrom = fields.from === undefined || fields.from === null || fields.from === "";
  return new Message({ localTime: useLocalTime, ...fields, ...(needsFrom && { from }) });
}

/** One item's fault is that item's verdict, and the others go out. */
function unmakable(error: unknown): DeliverableMessage {
  const fail = (): never => {
    throw error;
  };
  return { messageId: "", envelope: fail, toBytes: fail };
}

function isTuple(item: MailTuple | MessageFields): item is MailTuple {
  return Array.isArray(item);
}

/** Runs on the connection that was given, or on one of its own, which is closed before the result is there. */
async function withConnection<T>(options: SendMassMailOptions, work: (transport: Transport) => Promise<T>): Promise<T> {
  const { connection, authUser, authPassword } = options;
  if (connection !== undefined) {
    if (authUser !== undefined || authPassword !== undefined) throw conflict();
    return await work(connection);
  }
  const transport = getConnection(withCredentials(mailSettings(), authUser, authPassword));
  try {
    return await work(transport);
  } finally {
    await transport.close();
  }
}

function withCredentials(settings: MailSettings, authUser?: string, authPassword?: string): MailSettings {
  if (authUser === undefined && authPassword === undefined) return settings;
  const user = authUser ?? settings.auth?.user;
  const password = authPassword ?? settings.auth?.password;
  if (user !== undefined && password !== undefined) return { ...settings, auth: { user, password } };
  const field = user === undefined ? "authUser" : "authPassword";
  throw new MessageError("bad-value", `${field}: needed beside the other, here or in the settings`, { field });
}

function conflict(): MessageError {
  const message = "connection: it has its own credentials; leave out authUser and authPassword";
  return new MessageError("conflicting-settings", message, { field: "connection" });
}
