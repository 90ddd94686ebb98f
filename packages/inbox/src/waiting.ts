import { TimeoutError } from "posthaste";
import type { InboxMessage } from "./message.ts";
import { matcher } from "./search.ts";
import type { Store } from "./store.ts";

/** Options of {@link Inbox.waitFor}. */
export interface WaitOptions {
  /** Milliseconds until it rejects, from 0 to 2147483647. Default 10000. */
  readonly timeout?: number;
  /** Ends the wait; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_TIMEOUT = 10_000;
/** The longest that setTimeout takes; it makes 1 of more. */
const MAX_TIMEOUT = 2 ** 31 - 1;

/** Resolves with the newest message that matches, or the first that comes. `closed` ends the wait as `signal` does. */
export async function waitFor(
  store: Store,
  closed: AbortSignal,
  wanted: string | ((message: InboxMessage) => boolean) = "",
  { timeout = DEFAULT_TIMEOUT, signal }: WaitOptions = {},
): Promise<InboxMessage> {
  if (!(timeout >= 0 && timeout <= MAX_TIMEOUT))
    throw new RangeError(`timeout must be 0 to ${MAX_TIMEOUT} milliseconds`);
  const ended = signal === undefined ? closed : AbortSignal.any([signal, closed]);
  ended.throwIfAborted();
  const matches = typeof wanted === "string" ? matcher(wanted) : wanted;
  const present = store.all().find(matches);
  if (present !== undefined) return present;

  const { promise, resolve, reject } = Promise.withResolvers<InboxMessage>();
  const timer = setTimeout(() => reject(timeoutError(store, wanted, timeout)), timeout);
  const onAbort = (): void => reject(ended.reason);
  ended.addEventListener("abort", onAbort, { once: true });
  const unsubscribe = store.subscribe((message) => {
    try {
      if (matches(message)) resolve(message);
    } catch (error) {
      // The caller's predicate threw: that is the caller's to hear of, not the SMTP client's.
      reject(error);
    }
  });
  return promise.finally(() => {
    clearTimeout(timer);
    ended.removeEventListener("abort", onAbort);
    unsubscribe();
  });
}

const SUBJECTS_SHOWN = 10;
const SUBJECT_LENGTH = 80;

/** Says what was waited for and what is there: subjects only, since texts hold links and codes. */
function timeoutError(store: Store, wanted: string | ((message: InboxMessage) => boolean), timeout: number): Error {
  const what =
    typeof wanted === "function"
      ? "for which the predicate holds"
      : wanted.trim() === ""
        ? "at all"
        : `that matches ${JSON.stringify(wanted)}`;
  const subjects = store.all().map(({ subject }) => JSON.stringify(subject.slice(0, SUBJECT_LENGTH)));
  const shown = subjects.slice(0, SUBJECTS_SHOWN).join(", ");
  const inbox =
    subjects.length === 0
      ? "the inbox is empty"
      : `the inbox holds ${subjects.length}, newest first: ${shown}${subjects.length > SUBJECTS_SHOWN ? ", …" : ""}`;
  return new TimeoutError("timeout", `no message ${what} came within ${timeout} ms; ${inbox}`);
}
