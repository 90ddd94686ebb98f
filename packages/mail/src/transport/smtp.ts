import type { DeliverableMessage, DeliverOptions, Receipt, Transport } from "../delivery.ts";
import { receiptStatus } from "../delivery.ts";
import { AuthError, SmtpError } from "../errors.ts";
import { type ResolvedSmtpOptions, resolveOptions, type SmtpOptions } from "../smtp/client/options.ts";
import { SmtpSession } from "../smtp/client/session.ts";
import { deferredReceipt, type Rendered, render } from "./rendering.ts";

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
    for await (const message of messages) {
      const rendered = render(message, index);
      if ("status" in rendered) yield rendered;
      else {
        const receipt = await this.#inTurn(() => this.#deliverOne(rendered, options));
        failures = isConnectionFailure(receipt) ? failures + 1 : 0;
        if (failures === FAILURES_IN_A_ROW || receipt.error instanceof AuthError) throw ended(receipt);
        yield receipt;
      }
      index++;
    }
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#session?.quit();
      this.#session = undefined;
    });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /**
   * A kept connection may have been closed by the server, which shows only when it is used. So a message that came to
   * nothing on one, and surely was not sent, is tried once more on a new one.
   */
  async #deliverOne(rendered: Rendered, options: DeliverOptions): Promise<Receipt> {
    const kept = this.#session?.isReady === true && this.#session.transactions > 0;
    const receipt = await this.#attempt(rendered, options);
    return kept && isStale(receipt) && this.#session?.isReady !== true ? this.#attempt(rendered, options) : receipt;
  }

  async #attempt(
    { index, messageId, envelope, content, eightBit }: Rendered,
    options: DeliverOptions,
  ): Promise<Receipt> {
    const { signal } = options;
    try {
      signal?.throwIfAborted();
      if (this.#session?.isReady !== true) this.#session = await SmtpSession.open(this.#options, signal);
      const outcome = await this.#session.deliver({
        request: { envelope, size: content.length, eightBit },
        content,
        signal,
        beforeEndOfData: () => options.beforeEndOfData?.([{ index, messageId }]),
      });
      return receiptOf(outcome, index, messageId);
    } catch (error) {
      return deferredReceipt(index, messageId, envelope, asError(error, signal));
    }
  }
}

function receiptOf(
  outcome: Pick<Receipt, "recipients" | "reply" | "error">,
  index: number,
  messageId: string,
): Receipt {
  return { index, messageId, status: receiptStatus(outcome.recipients), ...outcome };
}

/** No connection, or one that ended before the message left: all recipients are deferred without a reply of their own. */
function isConnectionFailure(receipt: Receipt): boolean {
  return receipt.status === "deferred" && receipt.error instanceof SmtpError && receipt.error.code !== "aborted";
}

function isStale(receipt: Receipt): boolean {
  return isConnectionFailure(receipt) || (receipt.status === "deferred" && receipt.reply?.code === 421);
}

/** The error that ends a delivery; the message it met is the first that was not tried. */
function ended(receipt: Receipt): Error {
  const error = receipt.error as SmtpError;
  error.nextIndex = receipt.index;
  return error;
}

function asError(error: unknown, signal: AbortSignal | undefined): Error {
  if (signal?.aborted === true) return new SmtpError("aborted", "the caller aborted", { cause: signal.reason });
  return error instanceof Error ? error : new SmtpError("connect", String(error));
}
