import { EmailMessage, MessageError, SettingsError, TimeoutError } from "posthaste";
import type { MessageFields, PosthasteError } from "posthaste";
import type { JsonValue } from "./json.ts";

/**
 * Makes a message's fields from a row's data, when the message is about to be sent. The same data must give the same
 * fields each time, so that a message that is sent twice is the same message; Message-ID and Date are fixed in the row.
 * The envelope is the row's: recipients in the fields only fill the header.
 *
 * `tries` counts the attempts so far that were the message's own trouble. While it is 0 no server has spoken of the
 * message, so none has it, whatever was composed before. The fields must not depend on it.
 *
 * `null`: the message is not to be sent any more; its row becomes `cancelled`. If it throws, the row becomes `refused`
 * and the error's code and message are stored, so they must not hold a secret.
 */
export type Composer = (
  data: JsonValue,
  fixed: { readonly messageId: string; readonly date: Date; readonly tries: number },
) => MessageFields | null | Promise<MessageFields | null>;

/** Composers by the name that rows call them by. */
export type Composers = Readonly<Record<string, Composer>>;

/** What a row says about its content. */
export interface StoredContent {
  readonly messageId: string;
  readonly date: Date;
  readonly content: Uint8Array | null;
  readonly composer: string | null;
  readonly data: string | null;
  /** The counted tries so far. */
  readonly tries: number;
}

/** A composer waits for a database, not for a person. In milliseconds. */
export const COMPOSE_TIMEOUT = 30_000;

/** The composer did not answer in time, or there is none of this name yet: a later attempt may succeed. */
export class ComposeLater extends Error {
  override readonly cause: PosthasteError;

  constructor(cause: PosthasteError) {
    super(cause.message);
    this.cause = cause;
  }
}

/**
 * The message's bytes; null where the composer says that it is not to be sent any more; undefined where the signal was
 * aborted first, so that nobody who stops has to wait for a slow composer.
 *
 * @throws {ComposeLater} and whatever the composer and the message throw.
 */
export async function renderContent(
  stored: StoredContent,
  composers: Composers,
  signal: AbortSignal,
): Promise<Uint8Array | null | undefined> {
  if (stored.content !== null) return stored.content;
  const name = stored.composer ?? "";
  const composer = Object.hasOwn(composers, name) ? composers[name] : undefined;
  if (composer === undefined) {
    const message = `no composer named ${JSON.stringify(name)}: pass it to createWorker in composers`;
    throw new ComposeLater(new SettingsError("missing-setting", message, { setting: "composers" }));
  }
  const fixed = { messageId: stored.messageId, date: stored.date };
  const compose = async (): Promise<MessageFields | null> => {
    const fields = await composer(JSON.parse(stored.data ?? "null") as JsonValue, { ...fixed, tries: stored.tries });
    if (typeof fields === "object") return fields;
    throw new MessageError("bad-value", `the composer ${name} gave no fields of a message`);
  };
  const fields = await inTime(compose, name, signal);
  return fields ? new EmailMessage({ ...fields, ...fixed }).toBytes() : fields;
}

async function inTime<T>(run: () => Promise<T>, name: string, signal: AbortSignal): Promise<T | undefined> {
  const ended = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => {
    const message = `the composer ${name} did not answer in ${COMPOSE_TIMEOUT / 1000} seconds`;
    ended.reject(new ComposeLater(new TimeoutError("timeout", message)));
  }, COMPOSE_TIMEOUT);
  const onAbort = (): void => ended.resolve(undefined);
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([run(), ended.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
