import { type DeliverOptions, type Receipt, replyText, type Transport } from "../delivery.ts";
import { AddressError, DeliveryError, HeaderError, MessageError } from "../errors.ts";
import { Message } from "../message/message.ts";
import {
  knownOptions,
  type MailerOptions,
  resolveMailerOptions,
  type ResolvedMailerOptions,
} from "./mailer-options.ts";
import { noted, prepared } from "./preparation.ts";
import { type Progress, progressOf, watch, type Watcher, watcher } from "./watching.ts";

/** Options of {@link Mailer.sendAll}. */
export interface SendAllOptions {
  /** Ends the sending: what is past its end of data is finished, all else is `deferred`. */
  readonly signal?: AbortSignal | undefined;
  /** Up to so many connections at once, 1 to 1000. Default: what the transport was made with. */
  readonly connections?: number | undefined;
  /** Called after each receipt. What it throws is a warning of the process, once, and nothing else. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

/** Options of {@link Mailer.mailAdmins} and {@link Mailer.mailManagers}. */
export interface MailPeopleOptions {
  /** An HTML body beside the text; Django's `html_message`. */
  readonly html?: string | undefined;
}

/** Sends messages over one transport, for code without globals. */
export interface Mailer extends AsyncDisposable {
  /**
   * Sends one message.
   *
   * @throws {DeliveryError} with its `receipt`, when it was accepted for no recipient.
   * @throws {HeaderError | AddressError | MessageError} naming the field, when it cannot be rendered.
   * @throws {AuthError} when the credentials are refused.
   */
  send(message: Message, options?: Pick<SendAllOptions, "signal">): Promise<Receipt>;
  /**
   * Sends any number of messages and yields their receipts as the verdicts come. It never throws for one message, and
   * reads the source no faster than messages go out. Leaving the loop finishes what is past its end of data.
   *
   * @throws {SettingsError} at once, naming the option.
   * @throws {AuthError} when the credentials are refused, {SmtpError} when three connections in a row fail; `nextIndex`
   * says which message was not tried.
   */
  sendAll(messages: Iterable<Message> | AsyncIterable<Message>, options?: SendAllOptions): AsyncIterable<Receipt>;
  /**
   * Sends one message to the admins; Django's `mail_admins`. Without any it resolves, and nothing is sent.
   *
   * @throws as {@link send}.
   */
  mailAdmins(subject: string, message: string, options?: MailPeopleOptions): Promise<void>;
  /** The same to the managers; Django's `mail_managers`. */
  mailManagers(subject: string, message: string, options?: MailPeopleOptions): Promise<void>;
  /** Ends the transport's connections. */
  close(): Promise<void>;
}

const SEND_ALL_NAMES = { signal: true, connections: true, onProgress: true } as const;
const CONNECTION_LIMIT = 1000;

/**
 * A mailer on a transport, which it closes with itself.
 *
 * @throws {SettingsError | AddressError | HeaderError} naming the option.
 */
export function createMailer(given: MailerOptions): Mailer {
  const options = resolveMailerOptions(given);
  const { transport, serverEmail, subjectPrefix, admins, managers } = options;
  const watchers = options.observers.map(watcher);
  const series: Mailer["sendAll"] = (messages, { signal, connections, onProgress } = {}) =>
    deliver(transport, messages, options, { signal, connections }, withProgress(watchers, messages, onProgress));
  const send: Mailer["send"] = async (message, { signal } = {}) => accepted(await first(series([message], { signal })));
  const mailTo =
    (to: readonly string[]): Mailer["mailAdmins"] =>
    async (subject, text, { html } = {}) => {
      if (to.length === 0) return;
      await send(new Message({ subject: `${subjectPrefix}${subject}`, text, html, from: serverEmail, to }));
    };
  const close = (): Promise<void> => transport.close();
  return {
    send,
    sendAll: (messages, options = {}) => {
      checkSendAll(options);
      return series(messages, options);
    },
    mailAdmins: mailTo(admins),
    mailManagers: mailTo(managers),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function checkSendAll(options: SendAllOptions): void {
  knownOptions(options, SEND_ALL_NAMES);
  checkConnections(options.connections);
}

/** @throws {MessageError} naming `connections`. */
export function checkConnections(connections: number | undefined): void {
  if (connections === undefined) return;
  if (Number.isInteger(connections) && connections >= 1 && connections <= CONNECTION_LIMIT) return;
  const message = `connections: must be a whole number from 1 to ${CONNECTION_LIMIT}`;
  throw new MessageError("bad-value", message, { field: "connections" });
}

function withProgress(
  watchers: readonly Watcher[],
  messages: Iterable<Message> | AsyncIterable<Message>,
  onProgress: SendAllOptions["onProgress"],
): readonly Watcher[] {
  return onProgress === undefined ? watchers : [...watchers, watcher(progressOf(messages, onProgress))];
}

/** What nobody watches and nothing is noted on goes past without another generator. */
function deliver(
  transport: Transport,
  source: Iterable<Message> | AsyncIterable<Message>,
  options: ResolvedMailerOptions,
  deliverOptions: DeliverOptions,
  watchers: readonly Watcher[],
): AsyncIterable<Receipt> {
  const { messages, notes } = prepared(source, options);
  const receipts = transport.deliver(messages, deliverOptions);
  const mayNote = options.interceptors.length > 0 || options.suppression !== undefined;
  return watchers.length === 0 && !mayNote ? receipts : completed(receipts, notes, watchers);
}

async function* completed(
  receipts: AsyncIterable<Receipt>,
  notes: ReturnType<typeof prepared>["notes"],
  watchers: readonly Watcher[],
): AsyncGenerator<Receipt> {
  for await (const given of receipts) {
    const note = notes.get(given.index);
    const receipt = note === undefined ? given : noted(given, note);
    notes.delete(given.index);
    for (const each of watchers) await watch(each, receipt);
    yield receipt;
  }
}

async function first(receipts: AsyncIterable<Receipt>): Promise<Receipt> {
  for await (const receipt of receipts) return receipt;
  throw new DeliveryError("deferred", "the transport gave no receipt");
}

/** @throws what {@link Mailer.send} throws. */
export function accepted(receipt: Receipt): Receipt {
  const { status, recipients, error } = receipt;
  if (status === "accepted" || status === "partial") return receipt;
  const isOfMessage = error instanceof HeaderError || error instanceof AddressError || error instanceof MessageError;
  // An error in a field comes as itself; one that has recipients' verdicts beside it is a refusal.
  if (status === "refused" && isOfMessage && recipients.length === 0) throw error;
  throw notAccepted(receipt);
}

/** The error for a message that no recipient's server accepted. */
export function notAccepted(receipt: Receipt): DeliveryError {
  const { status, error } = receipt;
  // Where all recipients were refused the whole message's reply is that to DATA, which follows from theirs.
  const reply = receipt.recipients.find((recipient) => recipient.reply !== undefined)?.reply ?? receipt.reply;
  const reason = error?.message ?? (reply === undefined ? "no recipient" : replyText(reply));
  const code = status === "refused" || status === "unknown" ? status : "deferred";
  const ofError = error instanceof DeliveryError && error.code === "suppressed" ? error.code : code;
  return new DeliveryError(ofError, `the message is ${code}: ${reason}`, { receipt, cause: error });
}
