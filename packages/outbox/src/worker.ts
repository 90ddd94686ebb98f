import type { DatabaseSync } from "node:sqlite";
import type { Transport } from "posthaste";
import { createAlarm } from "./alarm.ts";
import type { Alarm } from "./alarm.ts";
import type { Composers } from "./composer.ts";
import { errorNote } from "./event.ts";
import type { WorkerEvent } from "./event.ts";
import { LEASE, Ledger } from "./ledger.ts";
import { Round } from "./round.ts";
import type { RoundContext } from "./round.ts";
import { isDead, ownIdentity } from "./worker-identity.ts";

/** Catches what no wake() announced: another process's messages, and those that become due. In milliseconds. */
const POLL_INTERVAL = 1000;
const RENEW_INTERVAL = LEASE / 3;
const FIRST_PAUSE = 1000;
const LAST_PAUSE = 60_000;

/** Options of {@link createWorker}. */
export interface WorkerOptions {
  /** A connection of the worker's own, such as {@link openDatabase} opens, after migrateOutbox. The caller closes it. */
  readonly database: DatabaseSync;
  /** The next hop. The caller closes it. */
  readonly transport: Transport;
  /** By the names under which messages were enqueued. Default: none; a message that needs one waits for it. */
  readonly composers?: Composers;
  /** Told what happens; what it throws is ignored. */
  readonly onEvent?: (event: WorkerEvent) => void;
  /** The time in milliseconds since 1970. Default: Date.now. */
  readonly now?: () => number;
}

/** Takes messages from the outbox to the transport. */
export interface Worker extends AsyncDisposable {
  /** Works until {@link stop}; resolves when what is in flight is finished and the rest given back. */
  run(): Promise<void>;
  /** Looks for messages now rather than at the next poll. While the next hop is down it does not shorten the pause. */
  wake(): void;
  /** Claims no more, finishes what is past DATA, gives back the rest; resolves when that is done. Never rejects. */
  stop(): Promise<void>;
}

/**
 * A worker on the outbox. Any number of them may run, in any threads and processes of one machine.
 *
 * A message that a server refuses for good is `refused`; one that it defers is tried again for 5 days, only for those
 * recipients. While no server can be reached nothing counts as an attempt: the worker pauses, 1 second doubling to 60.
 */
export function createWorker(options: WorkerOptions): Worker {
  const { database, transport, composers = {}, onEvent, now = Date.now } = options;
  const emit = (event: WorkerEvent): void => {
    try {
      onEvent?.(event);
    } catch {
      // A fault in a log must not stop the mail.
    }
  };
  database.exec("pragma synchronous = full"); // what the states promise must outlive a loss of power
  const stopping = new AbortController();
  const alarm = createAlarm(stopping.signal);
  const ledger = new Ledger(database, JSON.stringify(ownIdentity()), now);
  const context = { ledger, transport, composers, emit, signal: stopping.signal };
  let running: Promise<void> | undefined;

  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
  };
  return {
    run: () => (running ??= work(context, alarm)),
    wake: () => alarm.wake(),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

async function work(context: RoundContext, alarm: Alarm): Promise<void> {
  const renewal = setInterval(() => renew(context), RENEW_INTERVAL).unref();
  let pause = 0;
  while (!context.signal.aborted) {
    const { round, trouble } = await workOnce(context, alarm);
    if (round?.answered) pause = 0;
    if (trouble === undefined) {
      if (round === undefined) await alarm.sleep(POLL_INTERVAL);
      continue;
    }
    if (context.signal.aborted) break;
    pause = Math.min(LAST_PAUSE, pause === 0 ? FIRST_PAUSE : pause * 2);
    context.emit({ type: "paused", milliseconds: pause, error: errorNote(trouble) });
    await alarm.pause(pause);
  }
  clearInterval(renewal);
}

async function workOnce(context: RoundContext, alarm: Alarm): Promise<{ round?: Round; trouble?: unknown }> {
  try {
    for (const taken of context.ledger.takeOver(isDead)) context.emit({ type: "taken-over", ...taken });
    if (!context.ledger.hasDue()) return {};
  } catch (error) {
    return { trouble: error };
  }
  const round = new Round(context);
  await round.run();
  await close(round, context, alarm);
  return { round, trouble: round.trouble };
}

/** Verdicts are not let go of while the database cannot be written to. */
async function close(round: Round, context: RoundContext, alarm: Alarm): Promise<void> {
  for (;;) {
    try {
      round.close();
      return;
    } catch (error) {
      context.emit({ type: "error", error: errorNote(error) });
    }
    if (context.signal.aborted) return;
    await alarm.pause(FIRST_PAUSE);
  }
}

/** By a timer, and so whatever the send is waiting for. A renewal that fails is made up for by the next. */
function renew(context: RoundContext): void {
  try {
    context.ledger.renew();
  } catch (error) {
    context.emit({ type: "error", error: errorNote(error) });
  }
}
