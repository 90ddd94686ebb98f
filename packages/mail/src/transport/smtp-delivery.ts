/**
 * One call of `deliver`: messages in, receipts out.
 *
 * The source is read as far ahead as the connections can use, and no further: what was read and has no receipt that was
 * taken is bounded. So a source of a million messages needs the memory of a few, and a consumer that stops stops it.
 */
import type { DeliverableMessage, DeliverOptions, EndOfData, Receipt, Reply } from "../delivery.ts";
import { receiptStatus, replyText } from "../delivery.ts";
import { AuthError, SmtpError } from "../errors.ts";
import { publishVerdict } from "../smtp/client/diagnostics.ts";
import { MailObject, type MailObjectOutcome, type MailObjectOwner } from "../smtp/client/mail-object.ts";
import type { SmtpPool } from "../smtp/client/pool.ts";
import { aborted } from "../smtp/client/socket.ts";
import { type Rendered, render } from "./rendering.ts";
import { SourceIterator } from "./source-iterator.ts";

/** After so many connections in a row that fail, a delivery ends: what is left would fail alike. */
const FAILURES_IN_A_ROW = 3;
/** So many messages may be told to `beforeEndOfData` at once. */
const BATCH = 16;

export class SmtpDelivery implements MailObjectOwner {
  readonly #pool: SmtpPool;
  readonly #options: DeliverOptions;
  readonly #iterator: SourceIterator<DeliverableMessage>;
  /**
   * In the order of their index. No Set: where members come and go it leaves behind tables that each hold the next, and
   * one that has survived a full collection kept all later messages until the next: 2 kB each, 20 µs of collection.
   */
  readonly #underWay: MailObject[] = [];
  readonly #receipts: Receipt[] = [];
  /** How many messages are needed now. */
  #lookAhead = 0;
  #read = 0;
  /** Whether the message that was read last was needed. */
  #wasNeeded = false;
  #isReading = false;
  #sourceEnded = false;
  #sourceError: { readonly error: unknown } | undefined;
  #failures = 0;
  #lastFailure: object | undefined;
  /** The highest index that has a receipt. */
  #highest = -1;
  /** What ended it before its time, and the messages that were not tried because of it. */
  #ending: SmtpError | undefined;
  /** Why nothing more may leave. */
  #withdrawn: SmtpError | undefined;
  readonly #untried: Receipt[] = [];
  #wake = (): void => undefined;

  constructor(
    pool: SmtpPool,
    messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
    options: DeliverOptions,
  ) {
    this.#pool = pool;
    this.#options = options;
    this.#iterator = new SourceIterator(messages);
  }

  async *receipts(): AsyncGenerator<Receipt> {
    const { signal, connections, beforeEndOfData } = this.#options;
    const narrow = connections === undefined ? undefined : this.#pool.widen(connections);
    this.#lookAhead = Math.max(this.#pool.lookAhead, beforeEndOfData === undefined ? 0 : BATCH + 2);
    const onAbort = (): void => this.#withdraw(aborted(signal));
    const onClosing = (): void => this.#stopReading();
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#pool.closing.addEventListener("abort", onClosing, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      for (;;) {
        this.#fill();
        const receipt = this.#receipts.shift();
        if (receipt !== undefined) yield receipt;
        else if (this.#isOver) break;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      yield* this.#skipped();
      this.#throwEnding();
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#pool.closing.removeEventListener("abort", onClosing);
      await this.#leave();
      narrow?.();
    }
  }

  get #isOver(): boolean {
    return this.#sourceEnded && this.#underWay.length === 0;
  }

  /** Reads the source as far as there is use for it. A verdict that comes at once is heeded by the loop that runs. */
  #fill(): void {
    while (this.#wantsMore()) {
      this.#isReading = true;
      try {
        const next = this.#iterator.next();
        if (this.#iterator.isAsync) return void this.#await(next);
        this.#take(next as IteratorResult<DeliverableMessage>);
      } catch (error) {
        this.#endSource({ error });
      }
      this.#isReading = false;
    }
  }

  /**
   * What is needed now, and one beyond it, so that two are composed in a row: between two waits the processor's caches are
   * cold. More would be cheaper still where they are small, but what is ready survives each scavenge, and with 16 the
   * young generation grew by 48 MB over a million messages.
   */
  #wantsMore(): boolean {
    if (this.#isReading || this.#sourceEnded) return false;
    const isNeeded = this.#underWay.length + this.#receipts.length < this.#lookAhead;
    const isWanted = isNeeded || this.#wasNeeded;
    this.#wasNeeded = isNeeded;
    return isWanted;
  }

  async #await(next: ReturnType<SourceIterator<DeliverableMessage>["next"]>): Promise<void> {
    try {
      this.#take(await next);
    } catch (error) {
      this.#endSource({ error });
    }
    this.#isReading = false;
    this.#fill();
    this.#wake();
  }

  #endSource(error?: { readonly error: unknown }): void {
    this.#sourceEnded = true;
    this.#sourceError ??= error;
  }

  #take(next: IteratorResult<DeliverableMessage>): void {
    if (this.#sourceEnded) return;
    if (next.done === true) return this.#endSource();
    const rendered = render(next.value, this.#read++);
    if ("status" in rendered) this.#give(rendered);
    else this.#submit(rendered);
    // One that begins when the pool is closed says so by the receipt of its first message.
    if (this.#pool.closing.aborted) this.#stopReading();
  }

  #submit(rendered: Rendered): void {
    const object = new MailObject(rendered, this);
    if (this.#options.beforeEndOfData === undefined) object.leave = null;
    this.#underWay.push(object);
    // A message may abort the delivery while it is rendered.
    if (this.#withdrawn === undefined) this.#pool.submit(object);
    else object.fail(this.#withdrawn);
  }

  /** Asks whether the end of data may leave: of this message and of those behind it that are ready, at once. */
  mark(object: MailObject): Promise<void> | undefined {
    const { beforeEndOfData } = this.#options;
    if (object.leave !== undefined || beforeEndOfData === undefined) return object.leave ?? undefined;
    const others = this.#underWay.filter((other) => other !== object && other.leave === undefined);
    const batch = [object, ...others.slice(0, BATCH - 1)];
    const told: EndOfData[] = batch.map(({ source: { index, messageId } }) => ({ index, messageId }));
    // Set before the call: what is settled meanwhile waits for it too.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    for (const each of batch) each.leave = promise;
    const refuse = (error: unknown): void => {
      reject(error);
      this.#holdBack(batch, error);
    };
    promise.catch(() => undefined);
    try {
      const given = beforeEndOfData(told);
      if (given === undefined) resolve(allow(batch));
      else void Promise.resolve(given).then(() => resolve(allow(batch)), refuse);
    } catch (error) {
      refuse(error);
    }
    return object.leave ?? undefined;
  }

  /** None of the batch may leave. */
  #holdBack(batch: readonly MailObject[], cause: unknown): void {
    const error = new SmtpError("aborted", "the end of data was held back", { cause });
    for (const object of batch) this.#pool.withdraw(object, error);
  }

  onSettled(object: MailObject, outcome: MailObjectOutcome, failure: object | undefined): void {
    const { leave } = object;
    // Whoever writes down in beforeEndOfData what is about to leave must not do so after the verdict.
    if (leave instanceof Promise) {
      const settle = (): void => this.#settle(object, outcome, failure);
      void leave.then(settle, settle);
    } else this.#settle(object, outcome, failure);
  }

  #settle(object: MailObject, outcome: MailObjectOutcome, failure: object | undefined): void {
    if (this.#underWay[0] === object) this.#underWay.shift();
    else this.#underWay.splice(this.#underWay.indexOf(object), 1);
    const receipt = receiptOf(object, outcome);
    const wasEnding = this.#ending !== undefined;
    this.#count(receipt, failure);
    const isUntouched = receipt.status === "deferred" && (receipt.reply === undefined || !wasEnding);
    if (this.#ending !== undefined && isUntouched) this.#untried.push(receipt);
    else this.#give(receipt);
    this.#fill();
    this.#wake();
  }

  #give(receipt: Receipt): void {
    this.#receipts.push(receipt);
    this.#highest = Math.max(this.#highest, receipt.index);
    publishVerdict(this.#pool.host, receipt);
  }

  /** Counts the connections that failed in a row; one that several messages met counts once. */
  #count({ status, reply, error }: Receipt, failure: object | undefined): void {
    if (this.#ending !== undefined) return;
    if (failure === undefined) {
      if (status !== "deferred" || reply !== undefined) this.#failures = 0;
      return;
    }
    if (failure !== this.#lastFailure) this.#failures++;
    this.#lastFailure = failure;
    if (error instanceof AuthError) this.#end(error);
    else if (this.#failures === FAILURES_IN_A_ROW) this.#end(inARow(error, reply));
  }

  #end(error: SmtpError): void {
    this.#ending = error;
    this.#withdraw(error);
  }

  /** Nobody wants it to go on: what is past its end of data is finished, all else is deferred. */
  #withdraw(error: SmtpError): void {
    this.#withdrawn ??= error;
    this.#stopReading();
    for (const object of [...this.#underWay]) this.#pool.withdraw(object, error);
  }

  #stopReading(): void {
    if (this.#sourceEnded) return;
    this.#sourceEnded = true;
    this.#iterator.leave();
    this.#wake();
  }

  /** What was not tried has no receipt from the first message on behind which none has one. */
  *#skipped(): Generator<Receipt> {
    for (const receipt of this.#untried) if (receipt.index < this.#highest) yield receipt;
  }

  #throwEnding(): void {
    if (this.#sourceError !== undefined) throw this.#sourceError.error;
    if (this.#ending === undefined) return;
    this.#ending.nextIndex = this.#highest + 1;
    throw this.#ending;
  }

  /** The consumer is gone: what is past its end of data is finished, and nothing more. */
  async #leave(): Promise<void> {
    this.#withdraw(new SmtpError("aborted", "the receipts are no longer read"));
    while (this.#underWay.length > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

function allow(batch: readonly MailObject[]): void {
  for (const object of batch) object.leave = null;
}

function receiptOf({ source }: MailObject, { recipients, reply, error }: MailObjectOutcome): Receipt {
  const { index, messageId } = source;
  const status = receiptStatus(recipients);
  if (error !== undefined) return { index, messageId, status, recipients, ...(reply && { reply }), error };
  return reply === undefined
    ? { index, messageId, status, recipients }
    : { index, messageId, status, recipients, reply };
}

/** The error that ends a delivery after connections that came to nothing. */
function inARow(error: Error | undefined, reply: Reply | undefined): SmtpError {
  if (error instanceof SmtpError) return error;
  const said = reply === undefined ? "" : `: ${replyText(reply)}`;
  const message = `${FAILURES_IN_A_ROW} connections in a row came to nothing${said}`;
  return new SmtpError("connection-lost", message, { reply, cause: error });
}
