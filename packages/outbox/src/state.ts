/** What is to become of a message whose fate is unknown: sent again as it is, or held until somebody decides. */
export type OutboxPolicy = "resend" | "hold";

/** The states of a message. `accepted`: at least one recipient's server took it, and nothing is left to try. */
export const OUTBOX_STATES = [
  "queued",
  "claimed",
  "committing",
  "accepted",
  "refused",
  "deferred",
  "unknown",
  "cancelled",
  "expired",
] as const;

/** A state of {@link OUTBOX_STATES}. */
export type OutboxState = (typeof OUTBOX_STATES)[number];

/** The states of one recipient of a message. `queued`: no server has spoken about it yet. */
export type RecipientState = "queued" | "accepted" | "refused" | "deferred" | "unknown";

/** RFC 5321 section 4.5.4.1: the time before giving up is at least 4 to 5 days. */
export const GIVE_UP_AFTER = 5 * 24 * 3600_000;

const FIRST_BACKOFF = 60_000;
const LAST_BACKOFF = 4 * 3600_000;

/** Milliseconds until the next attempt, after so many tries: a minute, doubling to 4 hours, 10 % more or less. */
export function backoff(tries: number, random: number = Math.random()): number {
  const exact = Math.min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** Math.max(0, tries - 1));
  return Math.round(exact * (0.9 + 0.2 * random));
}

/** What a message's next state follows from, once an attempt has ended. */
export interface AttemptEnd {
  readonly policy: OutboxPolicy;
  /** The states of all recipients, after the attempt. */
  readonly recipients: ReadonlySet<RecipientState>;
  /** Whether the attempt was the message's own trouble, and so makes the next one wait. */
  readonly counted: boolean;
  /** The counted attempts before this one. */
  readonly tries: number;
  /** Milliseconds since the message might first have been sent. */
  readonly age: number;
}

/** Where a message goes from here; `wait` in milliseconds, 0 where there is no next attempt. */
export interface NextState {
  readonly state: OutboxState;
  readonly tries: number;
  readonly wait: number;
}

/** The message's state follows from its recipients'. */
export function nextState(end: AttemptEnd): NextState {
  const tries = end.tries + (end.counted ? 1 : 0);
  const { recipients } = end;
  const resend = recipients.has("unknown") && end.policy === "resend";
  if (!recipients.has("queued") && !recipients.has("deferred") && !resend) {
    return { state: finalState(recipients), tries, wait: 0 };
  }
  if (!end.counted) return { state: "queued", tries, wait: 0 };
  if (end.age > GIVE_UP_AFTER) return { state: recipients.has("unknown") ? "unknown" : "expired", tries, wait: 0 };
  return { state: recipients.has("deferred") ? "deferred" : "queued", tries, wait: backoff(tries) };
}

function finalState(recipients: ReadonlySet<RecipientState>): OutboxState {
  if (recipients.has("unknown")) return "unknown";
  return recipients.has("accepted") ? "accepted" : "refused";
}

/**
 * The message's next state when its worker died while it was *committing*, and may have left. The first time it is due
 * at once, after that it waits: it may be the message that kills the worker.
 */
export function nextStateAfterDeath(policy: OutboxPolicy, tries: number): NextState {
  if (policy === "hold") return { state: "unknown", tries, wait: 0 };
  return { state: "queued", tries: tries + 1, wait: tries === 0 ? 0 : backoff(tries) };
}
