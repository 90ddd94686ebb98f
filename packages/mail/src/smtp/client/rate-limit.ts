/**
 * The generic cell rate algorithm (ITU-T I.371) with a burst of one: so many in a second, evenly spaced, and never more
 * than that in any second. A bucket of tokens would let twice as many through at the border of two seconds.
 */
export class RateLimit {
  readonly #interval: number;
  #next = 0;

  constructor(perSecond: number) {
    this.#interval = 1_000 / perSecond;
  }

  /** Takes one and returns 0, or says how many milliseconds are to be waited before asking again. */
  take(now: number): number {
    const wait = this.#next - now;
    if (wait > 0) return wait;
    this.#next = now + this.#interval;
    return 0;
  }
}
