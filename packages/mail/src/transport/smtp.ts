import type { DeliverableMessage, DeliverOptions, Receipt, Transport } from "../delivery.ts";
import { receiptStatus, replyText } from "../delivery.ts";
import { AuthError, SmtpError } from "../errors.ts";
import { type ResolvedSmtpOptions, resolveOptions, type SmtpOptions } from "../smtp/client/options.ts";
import { SmtpSession } from "../smtp/client/session.ts";
import { deferredReceipt, type Rendered, render, untilAborted } from "./rendering.ts";

/** After so many connections in a row that fail, a delivery ends: what is left would fail alike. */
const FAILURES_IN_A_ROW = 3;

/**
 * Delivers by SMTP over one connection, which is opened when the first message is ready and kept until `close()`.
 *
 * @throws {SettingsError} naming the option that is not allowed.
 */
export function smtpTransport(options: SmtpOptions): Transport {
  return new SmtpTransport(resolveOptions(options));
}

class SmtpTransport implements Transport {
  readonly #options: ResolvedSmtpOptions;
  #session: SmtpSession | undefined;
  #closed = false;
  /** The end of the queue for the one connection: each message waits for the one before it. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ResolvedSmtpOptions) {
    this.#options = options;
  }

  async *deliver(
    messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
    options: DeliverOptions = {},
  ): AsyncGenerator<Receipt> {
    let index = 0;
    let failures = 0;
    for await (const message of untilAborted(messages, options.signal)) {
      const rendered = render(message, index++);
      if ("status" in rendered) {
        yield rendered;
        continue;
      }
      const receipt = await this.#inTurn(rendered, options.signal, () => this.#deliverOne(rendered, options));
      failures = this.#isConnectionFailure(receipt) ? failures + 1 : 0;
      if (failures === FAILURES_IN_A_ROW || receipt.error instanceof AuthError) throw ended(receipt);
      yield receipt;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closing = this.#turn.then(() => this.#session?.quit());
    this.#turn = closing.catch(() => undefined);
    await closing;
  }

  /** Waits for the messages before it; an abort ends the wait, but not what has begun. */
  async #inTurn(
    { index, messageId, envelope }: Rendered,
    signal: AbortSignal | undefined,
    work: () => Promise<Receipt>,
  ): Promise<Receipt> {
    let begun = false;
    const result = this.#turn.then(() => {
      begun = true;
      return work();
    });
    this.#turn = result.catch(() => undefined);
    if (signal === undefined) return await result;
    const aborted = Promise.withResolvers<Receipt>();
    const onAbort = (): void => {
      if (!begun) aborted.resolve(deferredReceipt(index, messageId, envelope, abortError(signal)));
    };
    signal.addEventListener("abort", onAbort);
    try {
      return await Promise.race([result, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /**
   * A kept connection may have been closed by the server, which shows only when it is used. So a message that came to
   * nothing on one, and surely was not sent, is tried once more on a new one.
   */
  async #deliverOne(rendered: Rendered, options: DeliverOptions): Promise<Receipt> {
    const kept = this.#session?.isReady === true && this.#session.transactions > 0;
    const receipt = await this.#attempt(rendered, options);
    const retry = kept && receipt.status === "deferred" && this.#isConnectionFailure(receipt);
    return retry ? await this.#attempt(rendered, options) : receipt;
  }

  async #attempt(
    { index, messageId, envelope, content, size, eightBit, smtpUtf8 }: Rendered,
    options: DeliverOptions,
  ): Promise<Receipt> {
    const { signal } = options;
    try {
      if (signal?.aborted === true) throw abortError(signal);
      if (this.#closed) throw new SmtpError("aborted", "the transport was closed");
      if (this.#session?.isReady !== true) {
        this.#session?.destroy();
        this.#session = await SmtpSession.open(this.#options, signal);
      }
      const outcome = await this.#session.deliver({
        request: { envelope, size, eightBit, smtpUtf8 },
        content,
        signal,
        beforeEndOfData: () => options.beforeEndOfData?.([{ index, messageId }]),
      });
      return { index, messageId, status: receiptStatus(outcome.recipients), ...outcome };
    } catch (error) {
      return deferredReceipt(
        index,
        messageId,
        envelope,
        error instanceof Error ? error : new SmtpError("connect", String(error)),
      );
    }
  }

  /** Nobody took the message, and the connection is gone, for whatever reason but that somebody here gave it up. */
  #isConnectionFailure({ status, error }: Receipt): boolean {
    const wanted = error instanceof SmtpError && error.code === "aborted";
    return this.#session?.isReady !== true && status !== "accepted" && status !== "partial" && !wanted;
  }
}

/** The error that ends a delivery; the message that met it is the first without a receipt. */
function ended({ error, reply, index }: Receipt): Error {
  const failure =
    error instanceof SmtpError
      ? error
      : new SmtpError(
          "connection-lost",
          `${FAILURES_IN_A_ROW} connections in a row came to nothing${reply === undefined ? "" : `: ${replyText(reply)}`}`,
          { reply, cause: error },
        );
  failure.nextIndex = index;
  return failure;
}

function abortError(signal: AbortSignal): SmtpError {
  return new SmtpError("aborted", "the caller aborted", { cause: signal.reason });
}
