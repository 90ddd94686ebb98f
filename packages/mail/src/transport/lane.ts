/**
 * One delivery, or one lane of several, over transports that stand in for each other.
 *
 * It is a series of runs. A run hands messages to one transport until that fails, or until a better one is well again;
 * what the transport did not take goes to the next, each message once to each. Only what surely did not leave is handed
 * on: a receipt that is `deferred` without a server's word, or what a transport had not tried when it threw. A message
 * that is `unknown` may have been accepted, and one that is refused has its verdict.
 */
import type { DeliverableMessage, DeliverOptions, EndOfData, Receipt } from "../delivery.ts";
import { DeliveryError, PosthasteError } from "../errors.ts";
import { Feed } from "./feed.ts";
import { hasFailed, type Member, preferred } from "./member.ts";
import { unsentReceipt, render } from "./rendering.ts";
import type { Entry, MessageSource } from "./source.ts";

/** A message on its way through the transports. */
interface Attempt {
  readonly entry: Entry;
  readonly tried: Set<Member>;
  /** What the last one said. */
  receipt: Receipt | undefined;
}

/** What the lanes of a delivery share. */
export interface LaneContext {
  readonly source: MessageSource;
  readonly members: readonly Member[];
  readonly retryAfter: number;
  /** Aborted by the caller, or because the delivery is over before its time. */
  readonly signal: AbortSignal;
  readonly beforeEndOfData: DeliverOptions["beforeEndOfData"];
  readonly connections: DeliverOptions["connections"];
  /** Called with what ends all lanes. */
  readonly end: (error: Error) => void;
}

/** After so many rounds in a row in which every transport failed, a delivery ends: what is left would fail alike. */
const ROUNDS = 3;

export class Lane {
  readonly #context: LaneContext;
  readonly #number: number;
  /** Its own transport first. */
  readonly #members: readonly Member[];
  /** Those that go to another transport. */
  readonly #again: Attempt[] = [];
  #failedRuns = 0;

  constructor(context: LaneContext, number: number) {
    this.#context = context;
    this.#number = number;
    this.#members = [...context.members.slice(number), ...context.members.slice(0, number)];
  }

  async *receipts(): AsyncGenerator<Receipt> {
    const { source, signal } = this.#context;
    while (!signal.aborted && !(source.isOver && this.#again.length === 0)) {
      const [first] = this.#again;
      const member = preferred(this.#members).find((each) => first?.tried.has(each) !== true);
      if (member !== undefined) yield* this.#run(member);
      else yield* this.#givenUp(1);
    }
    yield* this.#givenUp(this.#again.length);
  }

  *#givenUp(count: number): Generator<Receipt> {
    for (const { receipt } of this.#again.splice(0, count)) if (receipt !== undefined) yield receipt;
  }

  async *#run(member: Member): AsyncGenerator<Receipt> {
    const { signal, beforeEndOfData, connections } = this.#context;
    const handed = new Map<number, Attempt>();
    const held = new Set<Attempt>();
    const failure = new AbortController();
    const feed = this.#feed(member, handed);
    const onAbort = (): void => feed.stop();
    signal.addEventListener("abort", onAbort);
    try {
      const receipts = member.transport.deliver(feed, {
        signal: AbortSignal.any([signal, failure.signal]),
        connections,
        ...(beforeEndOfData && { beforeEndOfData: translated(beforeEndOfData, handed, held) }),
      });
      for await (const given of receipts) {
        const attempt = handed.get(given.index);
        if (attempt === undefined) continue;
        handed.delete(given.index);
        attempt.receipt = { ...given, index: attempt.entry.index };
        const isWithdrawn = failure.signal.aborted && given.status === "deferred" && !isWord(given);
        if (isWithdrawn) this.#again.push(attempt);
        else if (!hasFailed(given) || held.has(attempt) || signal.aborted) yield this.#verdict(member, attempt.receipt);
        else {
          this.#failed(member, attempt);
          // What is under way comes back at once, and does not wait for the transport to fail again.
          failure.abort();
          feed.stop();
        }
      }
      if (failure.signal.aborted) this.#endIfBarren(this.#again[0]?.receipt?.error);
      if (!signal.aborted) yield* [...handed.values()].map(withoutReceipt);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      yield* this.#threw(member, error, [...handed.values()]);
    } finally {
      feed.stop();
      signal.removeEventListener("abort", onAbort);
    }
  }

  #feed(member: Member, handed: Map<number, Attempt>): Feed {
    const { source } = this.#context;
    let count = 0;
    const hand = (attempt: Attempt): DeliverableMessage => {
      handed.set(count++, attempt);
      return attempt.entry.message;
    };
    return new Feed(async () => {
      const again = this.#again.findIndex(({ tried }) => !tried.has(member));
      if (again !== -1) return () => hand(this.#again.splice(again, 1)[0]!);
      if (this.#again.length > 0 || preferred(this.#members)[0] !== member) return undefined;
      const entry = await source.peek(this.#number);
      if (entry === undefined) return undefined;
      return () => {
        source.take();
        return hand({ entry, tried: new Set(), receipt: undefined });
      };
    });
  }

  #verdict(member: Member, receipt: Receipt): Receipt {
    if (isWord(receipt)) {
      member.restsUntil = 0;
      this.#failedRuns = 0;
    }
    return receipt;
  }

  #failed(member: Member, attempt: Attempt): void {
    member.restsUntil = performance.now() + this.#context.retryAfter;
    attempt.tried.add(member);
    this.#again.push(attempt);
  }

  /** The transport ended before its time: what has no receipt was not tried, if it says where it stopped. */
  *#threw(member: Member, error: Error, left: readonly Attempt[]): Generator<Receipt> {
    const { end, members } = this.#context;
    if (!(error instanceof PosthasteError) || error.nextIndex === undefined) {
      yield* left.map(withoutReceipt);
      return end(error);
    }
    for (const attempt of left) {
      attempt.receipt = untried(attempt.entry, error);
      this.#failed(member, attempt);
    }
    member.restsUntil = performance.now() + this.#context.retryAfter;
    if (this.#again.some(({ tried }) => tried.size === members.length)) end(error);
    else this.#endIfBarren(error);
  }

  #endIfBarren(error: Error | undefined): void {
    if (++this.#failedRuns < ROUNDS * this.#members.length) return;
    this.#context.end(
      error ?? new DeliveryError("deferred", `every transport failed ${ROUNDS} times in a row; try again later`),
    );
  }
}

/** Whether somebody took or judged the message; one that could not be rendered says nothing of the transport. */
function isWord({ status, reply, recipients }: Receipt): boolean {
  if (status === "accepted" || status === "partial") return true;
  return reply !== undefined || recipients.some((recipient) => recipient.reply !== undefined);
}

type BeforeEndOfData = NonNullable<DeliverOptions["beforeEndOfData"]>;

/** Told under the caller's indexes. What the caller holds back is no failure of the transport. */
function translated(
  beforeEndOfData: BeforeEndOfData,
  handed: ReadonlyMap<number, Attempt>,
  held: Set<Attempt>,
): BeforeEndOfData {
  return async (batch) => {
    const attempts = batch.map(({ index }) => handed.get(index));
    const told = batch.map(({ index, messageId }): EndOfData => ({
      index: handed.get(index)?.entry.index ?? index,
      messageId,
    }));
    try {
      await beforeEndOfData(told);
    } catch (error) {
      for (const attempt of attempts) if (attempt !== undefined) held.add(attempt);
      throw error;
    }
  };
}

function untried({ index, message }: Entry, error: Error): Receipt {
  const rendered = render(message, index);
  return "status" in rendered ? rendered : unsentReceipt(index, rendered.messageId, rendered.envelope, error);
}

/** Nobody knows whether it left. */
function withoutReceipt({ entry: { index, message } }: Attempt): Receipt {
  const rendered = render(message, index);
  if ("status" in rendered) return rendered;
  const { messageId, envelope } = rendered;
  const recipients = envelope.forwardPaths.map((address) => ({ address, status: "unknown" as const }));
  const error = new DeliveryError("unknown", "the transport gave no receipt for the message");
  return { index, messageId, status: "unknown", recipients, error };
}
