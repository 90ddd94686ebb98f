/**
 * One call of `deliver` over nodemailer: messages are handed over for as long as the transport says that it is idle, or
 * one after the other where it says nothing of the kind, or as many at once as the caller has connections for.
 *
 * What was handed over cannot be taken back, so an abort, an error that ends the delivery and a consumer that leaves
 * stop what is read, and wait for the verdicts of what is under way. Until a server has spoken of a message, and again
 * after a connection that could not be made, each goes alone: a pool would otherwise present wrong credentials as many
 * times as it has connections and places in its queue.
 */
import type { DeliverableMessage, DeliverOptions, Receipt } from "../delivery.ts";
import { AuthError, type PosthasteError, SmtpError } from "../errors.ts";
import type { ComposedMail, NodemailerSender } from "./nodemailer-sender.ts";
import { failureOf, outcomesOf } from "./nodemailer-outcome.ts";
import { unsentReceipt, render, type Rendered, untilAborted } from "./rendering.ts";

/**
 * So many messages may be under way, or have a receipt that was not taken. A pool of nodemailer's has twice its
 * connections at once; a transport without such a limit (SES before nodemailer 7) is always idle.
 */
const UNDER_WAY = 100;
/** After so many connections in a row that fail, a delivery ends: what is left would fail alike. */
const FAILURES_IN_A_ROW = 3;

export class NodemailerDelivery {
  readonly #sender: NodemailerSender;
  readonly #messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>;
  readonly #options: DeliverOptions;
  readonly #over = new AbortController();
  readonly #receipts: Receipt[] = [];
  /** What was not tried because of what ended the delivery. */
  readonly #untried: Receipt[] = [];
  #isReading = true;
  #underWay = 0;
  /** Whether a server spoke of the last message. */
  #isTrusted = false;
  #failures = 0;
  #highest = -1;
  #sourceError: { readonly error: unknown } | undefined;
  #ending: PosthasteError | undefined;
  #waiting: (() => void)[] = [];

  constructor(
    sender: NodemailerSender,
    messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
    options: DeliverOptions,
  ) {
    this.#sender = sender;
    this.#messages = messages;
    this.#options = options;
  }

  async *receipts(): AsyncGenerator<Receipt> {
    const { signal } = this.#options;
    const stop = (): void => this.#stop();
    signal?.addEventListener("abort", stop);
    if (signal?.aborted === true) stop();
    const reading = this.#read();
    try {
      for (;;) {
        const [receipt] = this.#receipts;
        if (receipt !== undefined) {
          yield receipt;
          this.#receipts.shift();
          this.#changed();
        } else if (this.#isReading || this.#underWay > 0) await this.#change();
        else break;
      }
      yield* this.#untried.filter(({ index }) => index < this.#highest);
      this.#throwEnding();
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#stop();
      await reading;
      while (this.#underWay > 0) await this.#change();
    }
  }

  async #read(): Promise<void> {
    let index = 0;
    try {
      for await (const message of untilAborted(this.#messages, this.#over.signal)) {
        const rendered = render(message, index++);
        if ("status" in rendered) this.#give(rendered);
        else await this.#handOver(rendered);
        await this.#room();
      }
    } catch (error) {
      this.#sourceError = { error };
    }
    this.#isReading = false;
    this.#changed();
  }

  async #handOver(rendered: Rendered): Promise<void> {
    const { index, messageId, envelope } = rendered;
    const { beforeEndOfData } = this.#options;
    try {
      const mail = await this.#sender.compose(rendered);
      if (mail.failure !== undefined)
        return this.#give({ index, messageId, status: "refused", recipients: [], error: mail.failure });
      await beforeEndOfData?.([{ index, messageId }]);
      this.#over.signal.throwIfAborted();
      void this.#send(rendered, mail);
    } catch (cause) {
      const error = cause instanceof Error ? cause : aborted(cause);
      this.#give(unsentReceipt(index, messageId, envelope, error));
    }
  }

  async #send(rendered: Rendered, mail: ComposedMail): Promise<void> {
    this.#underWay++;
    const receipt = await this.#receipt(rendered, mail);
    this.#underWay--;
    this.#count(receipt);
    this.#give(receipt);
  }

  async #receipt({ index, messageId, envelope }: Rendered, mail: ComposedMail): Promise<Receipt> {
    try {
      return { index, messageId, ...outcomesOf(envelope, await this.#sender.send(mail)) };
    } catch (cause) {
      if (mail.contentFailure !== undefined) return unsentReceipt(index, messageId, envelope, mail.contentFailure);
      return { index, messageId, ...failureOf(envelope, cause, mail.isOpened === false) };
    }
  }

  #count(receipt: Receipt): void {
    const { error } = receipt;
    const isFailure = error instanceof SmtpError && error.code === "connect";
    const isSaid = isWord(receipt);
    if (isSaid) this.#failures = 0;
    if (isFailure) this.#failures++;
    if (isSaid || isFailure) this.#isTrusted = isSaid;
    if (this.#ending !== undefined) return;
    if (error instanceof AuthError || (isFailure && this.#failures >= FAILURES_IN_A_ROW)) {
      this.#ending = error;
      this.#stop();
    }
  }

  #give(receipt: Receipt): void {
    if (this.#ending !== undefined && receipt.status === "deferred" && !isWord(receipt)) this.#untried.push(receipt);
    else {
      this.#receipts.push(receipt);
      this.#highest = Math.max(this.#highest, receipt.index);
    }
    this.#changed();
  }

  /** Resolves when another message may be read. */
  async #room(): Promise<void> {
    const { idling } = this.#sender;
    while (!this.#over.signal.aborted && !this.#hasRoom) {
      const change = this.#change();
      const forget = idling?.onIdle(() => this.#changed());
      await change;
      forget?.();
    }
  }

  get #hasRoom(): boolean {
    const { idling } = this.#sender;
    const count = this.#underWay + this.#receipts.length;
    if (!this.#isTrusted) return count === 0;
    if (idling === undefined) return count < Math.min(this.#options.connections ?? 1, UNDER_WAY);
    // One that is kept busy by others, or never says that it is idle, is not waited for with nothing under way.
    return count < UNDER_WAY && (this.#underWay === 0 || idling.isIdle());
  }

  #stop(): void {
    this.#over.abort(aborted(this.#options.signal?.reason));
    this.#changed();
  }

  #throwEnding(): void {
    if (this.#sourceError !== undefined) throw this.#sourceError.error;
    if (this.#ending === undefined) return;
    this.#ending.nextIndex = this.#highest + 1;
    throw this.#ending;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Whether a server spoke of the message. */
function isWord({ status, reply, recipients }: Receipt): boolean {
  if (status === "accepted" || status === "partial" || status === "refused") return true;
  return reply !== undefined || recipients.some((recipient) => recipient.reply !== undefined);
}

function aborted(cause: unknown): SmtpError {
  return new SmtpError("aborted", "the delivery was given up", { cause });
}
