import type { DeliverableMessage, DeliverOptions, Receipt } from "../delivery.ts";
import { DeliveryError, PosthasteError, SettingsError } from "../errors.ts";
import { Message, type MessageFields } from "../message/message.ts";
import type { MailSettings } from "../settings/mail-settings.ts";
import { type Choice, chosen, type CredentialOptions, type SendOptions } from "./choice.ts";
import { configured } from "./configuration.ts";
import { checkConnections, createMailer, notAccepted } from "./mailer.ts";
import { unmakable } from "./preparation.ts";

/** Options of {@link sendMassMail}; Django's keyword arguments, and `connections`. */
export interface SendMassMailOptions extends SendOptions, CredentialOptions {
  /** Up to so many connections at once, 1 to 1000; receipts then come in any order. Default: one, as in Django. */
  readonly connections?: number | undefined;
}

/** Options of {@link sendMail}; Django's keyword arguments. */
export interface SendMailOptions extends SendOptions, CredentialOptions {
  /** An HTML body beside the text; Django's `html_message`. Empty is as none. */
  readonly html?: string | undefined;
}

/** Options of {@link mailAdmins} and {@link mailManagers}; Django's keyword arguments. */
export type MailAdminsOptions = Omit<SendMailOptions, keyof CredentialOptions>;

const PEOPLE_NAMES: Readonly<Record<keyof MailAdminsOptions, true>> = {
  connection: true,
  using: true,
  failSilently: true,
  html: true,
};
const CREDENTIAL_NAMES: Readonly<Record<keyof CredentialOptions, true>> = { authUser: true, authPassword: true };
const MAIL_NAMES: Readonly<Record<keyof SendMailOptions, true>> = { ...PEOPLE_NAMES, ...CREDENTIAL_NAMES };
const MASS_NAMES: Readonly<Record<keyof SendMassMailOptions, true>> = {
  connection: true,
  using: true,
  failSilently: true,
  connections: true,
  ...CREDENTIAL_NAMES,
};

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
 * @throws {HeaderError | AddressError | MessageError | SettingsError} naming the field, option or setting.
 * @throws {AuthError} when the credentials are refused.
 */
export async function sendMail(
  subject: string,
  message: string,
  from: string | null | undefined,
  recipients: readonly string[],
  options: SendMailOptions = {},
): Promise<number> {
  const settings = configured();
  const choice = chosen(options, settings, MAIL_NAMES);
  const fields = { subject, text: message, html: options.html, from: from ?? undefined, to: recipients };
  return await sendFields(fields, choice, settings);
}

/**
 * Sends one message to `ADMINS`, from `SERVER_EMAIL`, with `EMAIL_SUBJECT_PREFIX` before its subject; Django's
 * `mail_admins`. Without any admin it resolves, and no connection is opened.
 *
 * @throws as {@link sendMail}.
 */
export async function mailAdmins(subject: string, message: string, options: MailAdminsOptions = {}): Promise<void> {
  await mailPeople("admins", subject, message, options);
}

/** The same to `MANAGERS`; Django's `mail_managers`. @throws as {@link sendMail}. */
export async function mailManagers(subject: string, message: string, options: MailAdminsOptions = {}): Promise<void> {
  await mailPeople("managers", subject, message, options);
}

async function mailPeople(
  people: "admins" | "managers",
  subject: string,
  text: string,
  options: MailAdminsOptions,
): Promise<void> {
  const settings = configured();
  const { serverEmail, subjectPrefix, [people]: to } = settings;
  if (to.length === 0) return;
  const choice = chosen(options, settings, PEOPLE_NAMES);
  const fields = { subject: `${subjectPrefix}${subject}`, text, html: options.html, from: serverEmail, to };
  await sendFields(fields, choice, settings);
}

async function sendFields(fields: MessageFields, choice: Choice, settings: MailSettings): Promise<number> {
  if (choice.isSilent) return await sendSeries([fields], choice, settings, {});
  const message = toMessage(fields, settings);
  message.toBytes();
  if (message.recipients().length === 0) return 0;
  return await choice.use(async (transport) => {
    await createMailer({ transport }).send(message);
    return 1;
  });
}

/** The messages of {@link sendMassMail}. */
type Source = Iterable<MailTuple | MessageFields> | AsyncIterable<MailTuple | MessageFields>;

/**
 * Sends any number of messages over one connection; Django's `send_mass_mail`. Every message is tried.
 *
 * @param messages tuples as in Django, or the fields of messages; the source is read no faster than messages go out.
 * @returns of how many at least one recipient's server accepted.
 * @throws {DeliveryError} with the `count` and the `receipts` of those that failed; where the sending was cut short, also
 * with its `cause` and the `nextIndex` of the first message without a verdict.
 * @throws {SettingsError | MessageError} naming the setting or option.
 * @throws {AuthError | SmtpError} with `nextIndex` 0, when there is no connection to be had.
 */
export async function sendMassMail(messages: Source, options: SendMassMailOptions = {}): Promise<number> {
  const settings = configured();
  const choice = chosen(options, settings, MASS_NAMES);
  checkConnections(options.connections);
  return await sendSeries(messages, choice, settings, { connections: options.connections });
}

async function sendSeries(
  messages: Source,
  { isSilent, use }: Choice,
  settings: MailSettings,
  options: DeliverOptions,
): Promise<number> {
  const tally: Tally = { count: 0, failed: [] };
  await use(async (transport) => {
    try {
      for await (const receipt of transport.deliver(toMessages(messages, settings), options)) {
        if (receipt.status === "accepted" || receipt.status === "partial") tally.count++;
        else if (!isSilent) tally.failed.push(receipt);
      }
    } catch (error) {
      const isSilenced = isSilent && error instanceof PosthasteError && !(error instanceof SettingsError);
      if (!isSilenced) throw interrupted(tally, error);
    }
  });
  if (tally.failed.length > 0) throw incomplete(tally);
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

/** A source that is synchronous stays so: an asynchronous generator in between would cost 2 µs a message. */
function toMessages(
  source: Source,
  settings: MailSettings,
): Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage> {
  return Symbol.iterator in source ? makeEach(source, settings) : makeEachLater(source, settings);
}

function* makeEach(source: Iterable<MailTuple | MessageFields>, settings: MailSettings): Generator<DeliverableMessage> {
  for (const item of source) yield toDeliverable(item, settings);
}

async function* makeEachLater(
  source: AsyncIterable<MailTuple | MessageFields>,
  settings: MailSettings,
): AsyncGenerator<DeliverableMessage> {
  for await (const item of source) yield toDeliverable(item, settings);
}

function toDeliverable(item: MailTuple | MessageFields, settings: MailSettings): DeliverableMessage {
  try {
    return toMessage(isTuple(item) ? fieldsOf(item) : item, settings);
  } catch (error) {
    return unmakable(error);
  }
}

function fieldsOf([subject, text, from, to]: MailTuple): MessageFields {
  return { subject, text, from: from ?? undefined, to };
}

function toMessage(fields: MessageFields, { from, useLocalTime }: MailSettings): Message {
  const needsFrom = fields.from === undefined || fields.from === null || fields.from === "";
  return new Message({ localTime: useLocalTime, ...fields, ...(needsFrom && { from }) });
}

function isTuple(item: MailTuple | MessageFields): item is MailTuple {
  return Array.isArray(item);
}
