import { PosthasteError } from "posthaste";
import type { DeliverableMessage, EndOfData, Receipt, RecipientOutcome, Transport } from "posthaste";
import { ComposeLater, renderContent } from "./composer.ts";
import type { Composers } from "./composer.ts";
import { errorNote } from "./event.ts";
import type { WorkerEvent } from "./event.ts";
import type { Claim, ClaimedMessage, Ledger, Outcome, Settled, Verdict } from "./ledger.ts";
import type { RecipientState } from "./state.ts";

/** What a dead worker leaves behind waits for its lease; a claim is small beside a delivery. */
const CLAIM_BATCH = 100;
/** The longest that a verdict waits for a commit which it can share, in milliseconds. */
const VERDICT_DELAY = 50;

/** What a round needs of its worker. */
export interface RoundContext {
  readonly ledger: Ledger;
  readonly transport: Transport;
  readonly composers: Composers;
  readonly emit: (event: WorkerEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * One call of the transport's `deliver`: feeds it the messages that are due until none is, writes *committing* and the
 * verdicts.
 */
export class Round {
  readonly #context: RoundContext;
  /** Handed to the transport and without a verdict, by their index there. */
  readonly #inFlight = new Map<number, ClaimedMessage>();
  /** Verdicts that wait for the next commit. */
  #verdicts: Verdict[] = [];
  /** Attempts that ended without a word from a server. Another message's success shows that they were to blame. */
  #silent: Verdict[] = [];
  #timer: NodeJS.Timeout | undefined;
  #trouble: unknown;
  #answered = false;

  constructor(context: RoundContext) {
    this.#context = context;
  }

  /** Whether a server answered for a message, so that the next hop is there. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Why the next hop, or the database, cannot be used now; undefined where it can. */
  get trouble(): unknown {
    return this.#trouble;
  }

  /** Delivers what is due. Never throws: what goes wrong is {@link trouble}, and {@link close} is still to be called. */
  async run(): Promise<void> {
    const { transport, signal } = this.#context;
    try {
      const options = { signal, beforeEndOfData: (batch: readonly EndOfData[]) => this.#beforeEndOfData(batch) };
      for await (const receipt of transport.deliver(this.#messages(), options)) this.#receive(receipt);
      if (this.#inFlight.size > 0 && !signal.aborted)
        this.#trouble ??= new Error("the transport gave no receipt for a message");
    } catch (error) {
      this.#trouble = error;
      if (error instanceof PosthasteError && error.nextIndex !== undefined)
        this.#receiveUntried(error.nextIndex, error);
    }
  }

  /** What the transport says it did not try surely did not leave, even where *committing* was written already. */
  #receiveUntried(nextIndex: number, error: Error): void {
    for (const [index, { messageId }] of this.#inFlight) {
      if (index >= nextIndex) this.#receive({ index, messageId, status: "deferred", recipients: [], error });
    }
  }

  /** Writes the verdicts that wait, and gives back what was claimed and has none. */
  close(): void {
    this.#flush();
    this.#context.ledger.release();
  }

  async *#messages(): AsyncGenerator<DeliverableMessage> {
    let index = 0;
    for (let claims = this.#claim(); claims.length > 0; claims = this.#claim()) {
      for (const claim of claims) {
        if (this.#context.signal.aborted) return;
        const message = this.#guard(() => this.#context.ledger.load(claim));
        if (message === undefined) return;
        const deliverable = await this.#prepare(message);
        if (deliverable === undefined) continue;
        this.#inFlight.set(index++, message);
        yield deliverable;
      }
    }
  }

  #claim(): Claim[] {
    if (this.#trouble !== undefined || this.#context.signal.aborted) return [];
    const claimed = this.#guard(() => this.#context.ledger.claim(CLAIM_BATCH, this.#verdicts));
    if (claimed === undefined) return [];
    this.#written(claimed.settled);
    if (claimed.claims.length > 0) this.#context.emit({ type: "claimed", count: claimed.claims.length });
    return claimed.claims;
  }

  /** Trouble with the database ends the source of messages; it is not the transport's to handle. */
  #guard<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#trouble = error;
      return undefined;
    }
  }

  /** Whatever the composer or the message throws lands on this one row. */
  async #prepare(message: ClaimedMessage): Promise<DeliverableMessage | undefined> {
    const { claim, messageId, reversePath, forwardPaths } = message;
    try {
      const bytes = await renderContent(message, this.#context.composers, this.#context.signal);
      if (bytes === undefined) return undefined;
      if (bytes !== null) {
        const envelope = { reversePath, forwardPaths };
        return { messageId, envelope: () => envelope, toBytes: () => bytes };
      }
      this.#verdicts.push({ claim, messageId, cancelled: true, outcomes: [] });
    } catch (error) {
      const state = error instanceof ComposeLater ? "deferred" : "refused";
      const note = errorNote(error instanceof ComposeLater ? error.cause : error);
      this.#verdicts.push({ claim, messageId, outcomes: all(message, state), error: note });
    }
    return undefined;
  }

  #beforeEndOfData(batch: readonly EndOfData[]): void {
    const leaving = batch.map(({ index }) => {
      const message = this.#inFlight.get(index);
      if (message === undefined) throw new Error(`the transport speaks of message ${index}, which it does not have`);
      return message.claim;
    });
    try {
      this.#written(this.#context.ledger.commit(this.#verdicts, leaving));
    } catch (error) {
      this.#trouble = error;
      throw error;
    }
  }

  #receive(receipt: Receipt): void {
    const message = this.#inFlight.get(receipt.index);
    if (message === undefined) return;
    this.#inFlight.delete(receipt.index);
    const outcomes = message.forwardPaths.map((address) => outcomeOf(address, receipt));
    const { claim, messageId } = message;
    const error = receipt.error === undefined ? {} : { error: errorNote(receipt.error) };
    const verdict: Verdict = { claim, messageId, outcomes, ...error };
    this.#verdicts.push(verdict);
    if (outcomes.some(isAnswer)) this.#blameSilent();
    else if (outcomes.some(({ state }) => state === "queued")) {
      // Neither an end of data that the database held back nor an abort is the message's fault.
      if (receipt.error !== this.#trouble && !this.#context.signal.aborted) this.#silent.push(verdict);
      this.#trouble ??= receipt.error ?? new Error("the transport deferred a message without saying why");
    }
    this.#timer ??= setTimeout(() => this.#flushLate(), VERDICT_DELAY).unref();
  }

  /**
   * A server answered, so those before it that ended in silence did so by themselves, like a message at whose content
   * a filter drops the connection. They wait from now on, and do not come first in each round for ever.
   */
  #blameSilent(): void {
    this.#answered = true;
    this.#trouble = undefined;
    for (const verdict of this.#silent) {
      const outcomes = verdict.outcomes.map((outcome) =>
        outcome.state === "queued" ? { ...outcome, state: "deferred" as const } : outcome,
      );
      this.#verdicts.push({ ...verdict, outcomes });
    }
    this.#silent = [];
  }

  #flushLate(): void {
    this.#timer = undefined;
    try {
      this.#flush();
    } catch (error) {
      this.#context.emit({ type: "error", error: errorNote(error) });
    }
  }

  #flush(): void {
    if (this.#verdicts.length > 0) this.#written(this.#context.ledger.commit(this.#verdicts));
  }

  #written(settled: readonly Settled[]): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#verdicts = [];
    for (const verdict of settled) this.#context.emit(verdictEvent(verdict));
  }
}

function all(message: ClaimedMessage, state: RecipientState): Outcome[] {
  return message.forwardPaths.map((address) => ({ address, state }));
}

/** A recipient that the receipt does not name shares the message's verdict; of a partial one nobody knows. */
function outcomeOf(address: string, receipt: Receipt): Outcome {
  const status = receipt.status === "partial" ? "unknown" : receipt.status;
  const named: RecipientOutcome = receipt.recipients.find((recipient) => recipient.address === address) ?? {
    address,
    status,
  };
  const reply = named.reply ?? receipt.reply;
  // Without a negative reply it surely never left, and no server has decided anything about it.
  const silent = named.status === "deferred" && (reply === undefined || reply.code < 400);
  const state = silent ? "queued" : named.status;
  return { address, state, ...(reply === undefined ? {} : { reply }) };
}

/** Whether a server has spoken: it accepted, deferred, or refused by a reply. */
function isAnswer({ state, reply }: Outcome): boolean {
  return state === "accepted" || state === "deferred" || (state === "refused" && reply !== undefined);
}

function verdictEvent({ claim, messageId, state, due, outcomes, error }: Settled): WorkerEvent {
  return {
    type: "verdict",
    id: String(claim.id),
    messageId,
    attempt: claim.attempt,
    state,
    recipients: outcomes,
    ...(due === undefined ? {} : { due: new Date(due) }),
    ...(error === undefined ? {} : { error }),
  };
}
