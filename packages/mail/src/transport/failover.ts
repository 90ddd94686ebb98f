import type { DeliverableMessage, DeliverOptions, Receipt, Transport } from "../delivery.ts";
import { PosthasteError } from "../errors.ts";
import { Lane } from "./lane.ts";
import { closeAll, type Member, type MembersAndOptions, membersOf } from "./member.ts";
import { MessageSource } from "./source.ts";

/**
 * Delivers over the first transport that is well; where it fails, the next takes over what surely was not sent. A
 * message whose verdict is refused or unknown is never sent again. A transport that failed rests for `retryAfter`
 * milliseconds (default: a minute) and is then tried again, in the middle of a delivery too; where all rest, they are
 * tried all the same. Closing it closes them all.
 *
 * @param given the transports, the best first; behind them options.
 * @throws {SettingsError} when there is no transport, or an option is not allowed.
 */
export function failover(...given: MembersAndOptions): Transport {
  const over = overOf(given);
  return {
    deliver: (messages, options = {}) => deliverOver(over, over.members, 1, messages, options),
    close: () => close(over),
  };
}

/**
 * Delivers over all transports, a message each in turn; where one fails, the next takes over as in {@link failover}.
 * Each delivery begins with the transport behind that with which the last began. The slowest sets the pace.
 *
 * @throws {SettingsError} when there is no transport, or an option is not allowed.
 */
export function roundRobin(...given: MembersAndOptions): Transport {
  const over = overOf(given);
  const { members } = over;
  let start = 0;
  return {
    deliver: (messages, options = {}) => {
      const ordered = [...members.slice(start), ...members.slice(0, start)];
      start = (start + 1) % members.length;
      return deliverOver(over, ordered, members.length, messages, options);
    },
    close: () => close(over),
  };
}

/** What the deliveries of one transport share. */
interface Over extends ReturnType<typeof membersOf> {
  readonly closing: AbortController;
}

function overOf(given: MembersAndOptions): Over {
  return { ...membersOf(given), closing: new AbortController() };
}

/** What the members have under way is theirs to finish; nothing else is read for them. */
function close({ members, closing }: Over): Promise<void> {
  closing.abort();
  return closeAll(members);
}

/** Messages go to so many lanes in turn, and their receipts come back as they come. */
async function* deliverOver(
  { retryAfter, closing }: Over,
  members: readonly Member[],
  count: number,
  messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>,
  { signal, beforeEndOfData, connections }: DeliverOptions,
): AsyncGenerator<Receipt> {
  const source = new MessageSource(messages, count);
  const over = new AbortController();
  let ending: Error | undefined;
  const stop = (): void => {
    over.abort();
    source.close();
  };
  const end = (error: Error): void => {
    ending ??= error;
    stop();
  };
  const own = { source, members, retryAfter, signal: over.signal, beforeEndOfData, connections, end };
  const lanes = Array.from({ length: count }, (_, number) => new Lane(own, number).receipts());
  let highest = -1;
  const untried: Receipt[] = [];
  if (signal?.aborted === true) stop();
  signal?.addEventListener("abort", stop);
  const onClosing = (): void => source.close();
  closing.signal.addEventListener("abort", onClosing);
  try {
    for await (const receipt of merged(lanes, stop)) {
      if (ending !== undefined && isUntried(receipt)) untried.push(receipt);
      else {
        highest = Math.max(highest, receipt.index);
        yield receipt;
      }
    }
    for (const receipt of untried) if (receipt.index < highest) yield receipt;
  } finally {
    signal?.removeEventListener("abort", stop);
    closing.signal.removeEventListener("abort", onClosing);
    stop();
  }
  if (source.failure !== undefined) throw source.failure.error;
  if (ending instanceof PosthasteError) ending.nextIndex = highest + 1;
  if (ending !== undefined) throw ending;
}

function isUntried({ status, reply }: Receipt): boolean {
  return status === "deferred" && reply === undefined;
}

/** What comes of each, as it comes. Whoever leaves it ends them all. */
async function* merged(lanes: readonly AsyncGenerator<Receipt>[], stop: () => void): AsyncGenerator<Receipt> {
  const next = async (lane: AsyncGenerator<Receipt>): Promise<Came> => ({ lane, result: await lane.next() });
  const coming = new Map(lanes.map((lane) => [lane, next(lane)]));
  try {
    while (coming.size > 0) {
      const { lane, result } = await Promise.race(coming.values());
      coming.delete(lane);
      if (result.done === true) continue;
      yield result.value;
      coming.set(lane, next(lane));
    }
  } finally {
    stop();
    await Promise.allSettled([...coming.values(), ...lanes.map((lane) => lane.return(undefined))]);
  }
}

interface Came {
  readonly lane: AsyncGenerator<Receipt>;
  readonly result: IteratorResult<Receipt>;
}
