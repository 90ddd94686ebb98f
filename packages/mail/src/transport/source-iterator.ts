/**
 * The iterator of a source that may be left at any moment, by what the source itself does too: a generator can abort the
 * delivery that reads it, and it can throw when it is ended. Neither keeps whoever leaves it from going.
 */
export class SourceIterator<T> {
  readonly isAsync: boolean;
  readonly #iterator: Iterator<T> | AsyncIterator<T>;
  #isRunning = false;
  #isLeft = false;

  constructor(source: Iterable<T> | AsyncIterable<T>) {
    this.isAsync = Symbol.asyncIterator in source;
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** A promise where the source is asynchronous. @throws what the source throws. */
  next(): IteratorResult<T> | Promise<IteratorResult<T>> {
    this.#isRunning = true;
    try {
      return this.#iterator.next();
    } finally {
      this.#isRunning = false;
      if (this.#isLeft) this.#return();
    }
  }

  /** Reads no further. Not awaited: a source that is waiting for something would keep the caller. */
  leave(): void {
    if (this.#isLeft) return;
    this.#isLeft = true;
    // A generator cannot be ended while it runs: that waits until it is back.
    if (!this.#isRunning) this.#return();
  }

  #return(): void {
    void Promise.try(() => this.#iterator.return?.()).catch(() => undefined);
  }
}
