/**
 * How many connections there may be now: Postfix's rule for its destinations. Each message that is accepted adds 1/N,
 * and a whole one makes room for another connection; each connection that cannot be made, is not greeted, or ends with
 * 421 takes 1/N away. It begins with one.
 *
 * To the letter, a server that bears three connections would turn one away for every three messages (329 of 1000). So
 * after each loss it takes longer to grow again: twice as much each time, up to a hundred whole ones.
 */
const PATIENCE = 100;

export class Concurrency {
  readonly #own: number;
  /** What deliveries that run now want. */
  readonly #wanted: number[] = [];
  #gained = 0;
  #lost = 0;
  #patience = 1;
  /** The most there may ever be. */
  limit: number;
  /** How many there may be now. */
  allowed = 1;

  constructor(limit: number) {
    this.#own = limit;
    this.limit = limit;
  }

  /** Raises the limit until the function that it returns is called. */
  widen(connections: number): () => void {
    this.#wanted.push(connections);
    this.limit = Math.max(this.limit, connections);
    return () => {
      this.#wanted.splice(this.#wanted.indexOf(connections), 1);
      this.limit = Math.max(this.#own, ...this.#wanted);
      this.allowed = Math.min(this.allowed, this.limit);
    };
  }

  gain(): void {
    this.#gained += 1 / this.allowed;
    if (this.#gained < 1 || this.allowed >= this.limit) return;
    this.allowed++;
    this.#gained = 0;
  }

  lose(): void {
    this.#lost -= 1 / this.allowed;
    if (this.#lost >= 0) return;
    this.#lost = 0;
    this.#gained = -this.#patience;
    this.#patience = Math.min(PATIENCE, this.#patience * 2);
    this.allowed = Math.max(1, this.allowed - 1);
  }
}
