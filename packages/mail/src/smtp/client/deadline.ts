import { TIMEOUT_MS, type Verb } from "../protocol/timeout.ts";
import type { SmtpTimeouts } from "./options.ts";

/**
 * The time that the peer has for what it owes. It starts anew with each reply and each block of content, not with each
 * octet. One timer looks now and then whether the deadline has passed, since setting one for each reply took 2 µs a
 * message.
 */
export class Deadline {
  readonly #timeoutOf: (verb: Verb) => number;
  readonly #onExpired: (verb: Verb) => void;
  #verb: Verb | undefined;
  #progress = -1;
  #expires = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #rings = Number.POSITIVE_INFINITY;

  constructor(timeoutOf: (verb: Verb) => number, onExpired: (verb: Verb) => void) {
    this.#timeoutOf = timeoutOf;
    this.#onExpired = onExpired;
  }

  /** What is owed now, undefined for nothing, and how far the conversation is. */
  watch(verb: Verb | undefined, progress: number): void {
    if (verb === this.#verb && progress === this.#progress) return;
    this.#verb = verb;
    this.#progress = progress;
    if (verb === undefined) {
      this.#expires = Number.POSITIVE_INFINITY;
      return;
    }
    const timeout = this.#timeoutOf(verb);
    this.#expires = performance.now() + timeout;
    if (this.#expires < this.#rings) this.#set(timeout);
  }

  clear(): void {
    this.watch(undefined, -1);
    clearTimeout(this.#timer);
  }

  #set(delay: number): void {
    clearTimeout(this.#timer);
    this.#rings = performance.now() + delay;
    // The connection keeps the process alive where something is owed; a timer that outlived it must not.
    this.#timer = setTimeout(() => this.#ring(), delay).unref();
  }

  #ring(): void {
    this.#rings = Number.POSITIVE_INFINITY;
    const left = this.#expires - performance.now();
    if (left === Number.POSITIVE_INFINITY || this.#verb === undefined) return;
    if (left > 0) this.#set(left);
    else this.#onExpired(this.#verb);
  }
}

/** `command` stands for all but the end of data, whose own is long for a reason. */
export function timeoutFor(verb: Verb, timeouts: SmtpTimeouts): number {
  if (verb === "end-of-data" || verb === "BDAT") return timeouts.endOfData ?? TIMEOUT_MS[verb];
  const own = { greeting: timeouts.greeting, DATA: timeouts.data, content: timeouts.content };
  const given = verb in own ? own[verb as keyof typeof own] : undefined;
  return given ?? timeouts.command ?? TIMEOUT_MS[verb];
}
