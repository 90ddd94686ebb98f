import { Readable } from "node:stream";
import type { DeliverableMessage, DeliverOptions, Receipt, Transport } from "../delivery.ts";
import { AuthError, MessageError, SettingsError } from "../errors.ts";
import { fieldsOf } from "./nodemailer-fields.ts";
import { failureOf, outcomesOf } from "./nodemailer-outcome.ts";
import { contentOf, deferredReceipt, render, type Rendered, untilAborted } from "./rendering.ts";

/** What a transport of nodemailer is given: the envelope, and the message as octets. */
export interface NodemailerMail {
  // Nodemailer's own types want an array that may be changed.
  readonly envelope: { readonly from: string; readonly to: string[] };
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
  sendMail(mail: NodemailerMail): Promise<unknown>;
  close?(): unknown;
}

/** A transport plugin of nodemailer, as far as it is used here. */
export interface NodemailerPlugin {
  // A method, so that a plugin may ask for more of the mail than is known here.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  send(mail: any, done: (error: Error | null, info?: unknown) => void): unknown;
  close?(): unknown;
}

/**
 * Delivers over a transporter of nodemailer, or a transport plugin, one message after the other: as it gets the octets,
 * they leave as they are, but for plugins that want fields instead: these need `content: "fields"`.
 *
 * A receipt says what the transport says: a recipient it does not name as rejected or pending is accepted. Where it fails
 * with a reply or an HTTP status, that decides; where it failed before anything left, the message is deferred; else it is
 * unknown.
 *
 * @throws {SettingsError} when it has neither `sendMail` nor `send`, or an option is not allowed.
 */
export function fromNodemailer(
  transport: NodemailerTransporter | NodemailerPlugin,
  { content = "octets" }: FromNodemailerOptions = {},
): Transport {
  if (content !== "octets" && content !== "fields")
    throw new SettingsError("bad-setting", "content: must be octets or fields", { setting: "content" });
  const send = senderOf(transport);
  const mailOf = content === "octets" ? octetsMail : fieldsMail;
  return {
    deliver: (messages, options = {}) => deliver(send, mailOf, messages, options),
    close: async () => {
      await transport.close?.();
    },
  };
}

type Send = (mail: NodemailerMail) => Promise<unknown>;

function senderOf(transport: NodemailerTransporter | NodemailerPlugin): Send {
  if ("sendMail" in transport && typeof transport.sendMail === "function") return (mail) => transport.sendMail(mail);
  if (!("send" in transport) || typeof transport.send !== "function")
    throw new SettingsError("bad-setting", "transport: has neither sendMail nor send", { setting: "transport" });
  return (mail) =>
    new Promise((resolve, reject) => {
      const answer = transport.send(mailMessage(mail), (error, info) => {
        if (error === null || error === undefined) resolve(info);
        else reject(error);
      });
      // Only the callback says that it is done: an async function may be so much earlier.
      if (answer instanceof Promise) answer.catch(reject);
    });
}

const WANTS_OCTETS = "content: this plugin sends octets, so it must not be fields";

/** What nodemailer makes of a mail before its transport gets it, as far as one that sends octets uses it. */
function mailMessage(mail: NodemailerMail): object {
  const { envelope, messageId, raw } = mail;
  const data = { headers: {}, ...mail };
  return {
    data,
    message: {
      getEnvelope: () => envelope,
      messageId: () => messageId,
      createReadStream: () => {
        if (raw === undefined) throw new SettingsError("bad-setting", WANTS_OCTETS, { setting: "content" });
        return raw instanceof Readable ? raw : Readable.from([raw]);
      },
      getHeader: () => "",
      _headers: [],
    },
    normalize: (done: (error: null, data: object) => void) => done(null, data),
  };
}

async function* deliver(
  send: Send,
  mailOf: MailOf,
  messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
  options: DeliverOptions,
): AsyncGenerator<Receipt> {
  let index = 0;
  for await (const message of untilAborted(messages, options.signal)) {
    const rendered = render(message, index++);
    yield "status" in rendered ? rendered : await sent(send, mailOf, rendered, options);
  }
}

async function sent(
  send: Send,
  mailOf: MailOf,
  rendered: Rendered,
  { signal, beforeEndOfData }: DeliverOptions,
): Promise<Receipt> {
  const { index, messageId, envelope } = rendered;
  let mail: Composed;
  try {
    signal?.throwIfAborted();
    mail = await mailOf(rendered);
    if (mail.failure instanceof Error)
      return { index, messageId, status: "refused", recipients: [], error: mail.failure };
    await beforeEndOfData?.([{ index, messageId }]);
  } catch (cause) {
    const error = cause instanceof Error ? cause : new MessageError("aborted", "the delivery was given up", { cause });
    return deferredReceipt(index, messageId, envelope, error);
  }
  try {
    const info = await send(mail.mail);
    return { index, messageId, ...outcomesOf(envelope, info) };
  } catch (cause) {
    if (mail.contentFailure !== undefined) return deferredReceipt(index, messageId, envelope, mail.contentFailure);
    const failure = failureOf(envelope, cause);
    if (failure.error instanceof AuthError) throw Object.assign(failure.error, { nextIndex: index });
    return { index, messageId, ...failure };
  }
}

interface Composed {
  readonly mail: NodemailerMail;
  /** Why the message cannot be given to this transport at all. */
  readonly failure?: Error;
  /** Set when the content could not be read. */
  contentFailure?: MessageError;
}

type MailOf = (rendered: Rendered) => Composed | Promise<Composed>;

function addressed({ messageId, envelope }: Rendered): NodemailerMail {
  const { reversePath: from, forwardPaths } = envelope;
  return { envelope: { from, to: [...forwardPaths] }, messageId };
}

function octetsMail(rendered: Rendered): Composed {
  const { content } = rendered;
  if (content instanceof Uint8Array) {
    const raw = Buffer.from(content.buffer, content.byteOffset, content.length);
    return { mail: { ...addressed(rendered), raw } };
  }
  async function* read(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* open();
    } catch (cause) {
      composed.contentFailure = unread(cause);
      throw cause;
    }
  }
  const raw = Readable.from(read(content), { objectMode: false });
  const composed: Composed = { mail: { ...addressed(rendered), raw } };
  return composed;
}

async function fieldsMail(rendered: Rendered): Promise<Composed> {
  let octets: Uint8Array;
  try {
    octets = await contentOf(rendered);
  } catch (cause) {
    throw unread(cause);
  }
  try {
    return { mail: { ...addressed(rendered), ...fieldsOf(octets, rendered.envelope) } };
  } catch (failure) {
    return { mail: addressed(rendered), failure: failure as Error };
  }
}

function unread(cause: unknown): MessageError {
  return cause instanceof MessageError
    ? cause
    : new MessageError("aborted", "the content could not be read", { cause });
}
