import { EventEmitter } from "node:events";
import type { Receipt } from "../delivery.ts";
import { replyText } from "../delivery.ts";
import { MessageError } from "../errors.ts";
import type { Message } from "../message/message.ts";
import type { Mailer } from "./mailer.ts";
import { messageOf, type NodemailerMessage } from "./nodemailer-message.ts";

export type { NodemailerMessage } from "./nodemailer-message.ts";

/** What nodemailer's `sendMail` says of a message that was taken. */
export interface NodemailerInfo {
  /** With its angle brackets. */
  readonly messageId: string;
  /** `from` is false where the message named no author: the mailer did. */
  readonly envelope: { readonly from: string | false; readonly to: readonly string[] };
  /** The recipients for whom a server took it. */
  readonly accepted: readonly string[];
  /** Those for whom a server refused it for good. */
  readonly rejected: readonly string[];
  /** Those that may be tried again later, and those of whom nobody knows. */
  readonly pending: readonly string[];
  /** The server's last word, on one line; empty where there is none. */
  readonly response: string;
}

type Done<T> = (error: Error | null, result?: T) => void;

/** A plugin of nodemailer's step `compile`: it may change the data, then calls back. */
type CompilePlugin = (mail: { readonly data: NodemailerMessage }, done: (error?: Error | null) => void) => void;

/** What a package that wants a transporter of nodemailer uses of it. */
export interface NodemailerMailer extends EventEmitter {
  /**
   * Sends nodemailer's data. The promise is rejected, or the callback called, with the errors of {@link Mailer.send}, and
   * with a {@link MessageError} for what cannot be carried over.
   */
  sendMail(data: NodemailerMessage): Promise<NodemailerInfo>;
  sendMail(data: NodemailerMessage, done: Done<NodemailerInfo>): void;
  /** For `nodemailer.createTransport(…)`: sends what nodemailer composed, octet for octet. */
  send(mail: ComposedMail, done: Done<NodemailerInfo>): void;
  /** Always an error: a mailer is tried by sending. */
  verify(): Promise<true>;
  verify(done: Done<true>): void;
  /** Adds a plugin of the step `compile`; its fields of the data are then no errors. */
  use(step: "compile", plugin: CompilePlugin): NodemailerMailer;
  /** Always true: the mailer's transport holds back what it cannot send yet. */
  isIdle(): boolean;
  /** Closes the mailer. */
  close(): Promise<void>;
  /** `posthaste`; nodemailer's logs show it. */
  readonly name: string;
  /** Of Posthaste. */
  readonly version: string;
  /** Empty: packages read it for defaults, and the mailer keeps its own. */
  readonly options: object;
  /** The transport behind a transporter of nodemailer; here the same name and version. */
  readonly transporter: { readonly name: string; readonly version: string };
}

/** What nodemailer hands to a transport. */
export interface ComposedMail {
  /** The message after nodemailer's plugins, and by whom and to whom it goes. */
  readonly message: {
    getEnvelope(): { readonly from: string | false; readonly to: readonly string[] };
    messageId(): string;
    createReadStream(): AsyncIterable<Uint8Array | string>;
  };
}

const VERSION = { name: "posthaste", version: "0.1.0" } as const;

/** Options of {@link toNodemailer}. */
export interface ToNodemailerOptions {
  /**
   * Whether `path` of an attachment may read a local file. Data that came from elsewhere could name any file, so only
   * where all of it is the application's own. Default: false, and such a `path` is an error.
   */
  readonly readFiles?: boolean | undefined;
}

/**
 * The mailer as what expects a transporter of nodemailer wants it. Each field of nodemailer's data is carried over, or
 * is an error that names it; no URL is ever fetched. A message that is given `raw`, or an `envelope` of its own, cannot
 * go through a mailer that adds to messages, and is an error there.
 */
export function toNodemailer(mailer: Mailer, { readFiles = false }: ToNodemailerOptions = {}): NodemailerMailer {
  const plugins: CompilePlugin[] = [];
  const deliver = async (message: Message, signal?: AbortSignal): Promise<NodemailerInfo> =>
    infoOf(await mailer.send(message, { signal }), message);
  const compose = async (given: NodemailerMessage): Promise<NodemailerInfo> => {
    const mail = { data: { ...given } };
    for (const plugin of plugins) await compiled(plugin, mail);
    return deliver(await messageOf(mail.data, plugins.length > 0, readFiles), mail.data.signal ?? undefined);
  };
  const transporter = {
    ...VERSION,
    options: {},
    transporter: VERSION,
    sendMail: (data: NodemailerMessage, done?: Done<NodemailerInfo>) => answered(compose(data), done),
    send: (mail: ComposedMail, done: Done<NodemailerInfo>) => void answered(composed(mail).then(deliver), done),
    verify: (done?: Done<true>) => answered(Promise.reject<true>(unverifiable()), done),
    use: (step: string, plugin: CompilePlugin) => {
      if (step !== "compile") throw bad("use", "there is no step but compile");
      plugins.push(plugin);
      return bridge;
    },
    isIdle: () => true,
    close: () => mailer.close(),
  };
  const bridge = Object.assign(new EventEmitter(), transporter) as unknown as NodemailerMailer;
  return bridge;
}

function answered<T>(result: Promise<T>, done: Done<T> | undefined): Promise<T> | undefined {
  if (done === undefined) return result;
  // Outside the promise, so that what the callback throws is the process's and not a rejection that nobody sees.
  result.then(
    (value) => process.nextTick(done, null, value),
    (error: unknown) => process.nextTick(done, error),
  );
  return undefined;
}

function compiled(plugin: CompilePlugin, mail: { data: NodemailerMessage }): Promise<void> {
  return new Promise((resolve, reject) =>
    plugin(mail, (error) => (error === undefined || error === null ? resolve() : reject(error))),
  );
}

async function composed({ message }: ComposedMail): Promise<Message> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of message.createReadStream()) chunks.push(Buffer.from(chunk as Uint8Array));
  const { from, to } = message.getEnvelope();
  const envelope = { from: from === false ? "" : from, to: [...to] };
  return messageOf({ raw: Buffer.concat(chunks), envelope, messageId: message.messageId() });
}

function infoOf({ messageId, recipients, reply }: Receipt, message: Message): NodemailerInfo {
  const are = (...statuses: string[]): string[] =>
    recipients.filter(({ status }) => statuses.includes(status)).map(({ address }) => address);
  const word = reply ?? recipients.find((recipient) => recipient.reply !== undefined)?.reply;
  return {
    messageId,
    envelope: { from: reversePathOf(message), to: recipients.map(({ address }) => address) },
    accepted: are("accepted"),
    rejected: are("refused"),
    pending: are("deferred", "unknown"),
    response: word === undefined ? "" : replyText(word),
  };
}

/** The message itself was not rendered where the mailer had to add the author to a copy. */
function reversePathOf(message: Message): string | false {
  return (message.from ?? "") === "" ? false : message.envelope().reversePath || false;
}

function unverifiable(): MessageError {
  return bad("verify", "a mailer is tried by sending; for SMTP, posthaste check --connect tries the server");
}

function bad(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
