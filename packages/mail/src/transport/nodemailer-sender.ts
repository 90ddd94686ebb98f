/** What stands between a delivery and nodemailer: how a message is composed for it, sent, and when it has room. */
import { Readable } from "node:stream";
import { MessageError, SettingsError } from "../errors.ts";
import type { NodemailerMail, NodemailerPlugin, NodemailerTransporter } from "./nodemailer.ts";
import { fieldsOf } from "./nodemailer-fields.ts";
import { contentOf, type Rendered } from "./rendering.ts";

export interface NodemailerSender {
  readonly compose: (rendered: Rendered) => ComposedMail | Promise<ComposedMail>;
  readonly send: (mail: ComposedMail) => Promise<unknown>;
  /** Of a transport that says when it has room for more; undefined of one that takes one message after the other. */
  readonly idling: Idling | undefined;
}

/** A message as the transport is given it, and what became of its content. */
export interface ComposedMail {
  readonly data: NodemailerMail;
  /** Why the message cannot be given to this transport at all. */
  readonly failure?: Error;
  /** Set when the content could not be read. */
  contentFailure?: MessageError;
  /** Whether the transport asked for the content; undefined where that does not show. While false, nothing has left. */
  isOpened?: boolean | undefined;
}

interface Idling {
  isIdle(): boolean;
  /** @returns what takes the listener away. */
  onIdle(listener: () => void): () => void;
}

/** @throws {SettingsError} when the transport has neither `sendMail` nor `send`. */
export function senderOf(
  transport: NodemailerTransporter | NodemailerPlugin,
  content: "octets" | "fields",
): NodemailerSender {
  const compose = content === "octets" ? octetsMail : fieldsMail;
  if ("sendMail" in transport && typeof transport.sendMail === "function") {
    const watch = watching(transport);
    const send = async (mail: ComposedMail): Promise<unknown> => {
      watch(mail);
      return transport.sendMail(mail.data);
    };
    // The transporter answers for a transport that knows no idling, with false and a warning in its log.
    return { compose, send, idling: idlingOf(transport.transporter) };
  }
  if (!("send" in transport) || typeof transport.send !== "function")
    throw new SettingsError("bad-setting", "transport: has neither sendMail nor send", { setting: "transport" });
  return { compose, send: (mail) => sentBy(transport, mail), idling: idlingOf(transport) };
}

type Pool = Pick<Required<NodemailerPlugin>, "isIdle" | "on" | "removeListener">;

function idlingOf(transport: object | undefined): Idling | undefined {
  const { isIdle, on, removeListener } = (transport ?? {}) as Partial<Pool>;
  if (isIdle === undefined || on === undefined || removeListener === undefined) return undefined;
  const pool = transport as Pool;
  const listeners = new Set<() => void>();
  const onIdle = (): void => {
    for (const listener of [...listeners]) listener();
  };
  return {
    isIdle: () => pool.isIdle(),
    // One listener for all deliveries: Node warns of more than ten.
    onIdle: (listener) => {
      if (listeners.size === 0) pool.on("idle", onIdle);
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) pool.removeListener("idle", onIdle);
      };
    },
  };
}

/** Nodemailer's own transports that speak SMTP, by their names. */
const SMTP = new Set<unknown>(["SMTP", "SMTP (pool)"]);

/** What nodemailer hands to a plugin of its step `stream`. */
interface PluggedMail {
  readonly data: { readonly raw?: Buffer | Readable };
  readonly message: { processFunc(process: (octets: Readable) => Readable): void };
}

/**
 * They ask a message for its octets when the connection is made and the login done. Their errors do not tell a
 * connection that was never made from one that died behind the content: both are `ECONNECTION` or `ESOCKET`, of `CONN`.
 * So what decides whether anything may have left is whether the octets were asked for.
 */
function watching(transporter: NodemailerTransporter): (mail: ComposedMail) => void {
  if (!SMTP.has(transporter.transporter?.name) || transporter.use === undefined) return () => undefined;
  const mails = new WeakMap<object, ComposedMail>();
  transporter.use("stream", ({ data, message }: PluggedMail, done) => {
    const mail = data.raw === undefined ? undefined : mails.get(data.raw);
    message.processFunc((octets) => {
      if (mail !== undefined) mail.isOpened = true;
      return octets;
    });
    done();
  });
  return (mail) => {
    if (mail.data.raw === undefined) return;
    mail.isOpened = false;
    mails.set(mail.data.raw, mail);
  };
}

function sentBy(plugin: NodemailerPlugin, mail: ComposedMail): Promise<unknown> {
  if (SMTP.has(plugin.name)) mail.isOpened = false;
  return new Promise((resolve, reject) => {
    const answer = plugin.send(mailMessage(mail), (error, info) => {
      if (error === null || error === undefined) resolve(info);
      else reject(error);
    });
    // Only the callback says that it is done: an async function may be so much earlier.
    if (answer instanceof Promise) answer.catch(reject);
  });
}

const WANTS_OCTETS = "content: this plugin sends octets, so it must not be fields";

/** What nodemailer makes of a mail before its transport gets it, as far as one that sends octets uses it. */
function mailMessage(mail: ComposedMail): object {
  const { envelope, messageId, raw } = mail.data;
  const data = { headers: {}, ...mail.data };
  return {
    data,
    message: {
      getEnvelope: () => envelope,
      messageId: () => messageId,
      createReadStream: () => {
        if (raw === undefined) throw new SettingsError("bad-setting", WANTS_OCTETS, { setting: "content" });
        mail.isOpened = true;
        return raw instanceof Readable ? raw : Readable.from([raw]);
      },
      getHeader: () => "",
      _headers: [],
    },
    normalize: (done: (error: null, data: object) => void) => done(null, data),
  };
}

function addressed({ messageId, envelope }: Rendered): NodemailerMail {
  const { reversePath: from, forwardPaths } = envelope;
  return { envelope: { from, to: [...forwardPaths] }, messageId };
}

function octetsMail(rendered: Rendered): ComposedMail {
  const { content } = rendered;
  if (content instanceof Uint8Array) {
    const raw = Buffer.from(content.buffer, content.byteOffset, content.length);
    return { data: { ...addressed(rendered), raw } };
  }
  async function* read(open: () => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      yield* open();
    } catch (cause) {
      mail.contentFailure = unread(cause);
      throw cause;
    }
  }
  const raw = Readable.from(read(content), { objectMode: false });
  const mail: ComposedMail = { data: { ...addressed(rendered), raw } };
  return mail;
}

async function fieldsMail(rendered: Rendered): Promise<ComposedMail> {
  let octets: Uint8Array;
  try {
    octets = await contentOf(rendered);
  } catch (cause) {
    throw unread(cause);
  }
  try {
    return { data: { ...addressed(rendered), ...fieldsOf(octets, rendered.envelope) } };
  } catch (failure) {
    return { data: addressed(rendered), failure: failure as Error };
  }
}

function unread(cause: unknown): MessageError {
  return cause instanceof MessageError
    ? cause
    : new MessageError("aborted", "the content could not be read", { cause });
}
