import type { DeliverableMessage } from "../delivery.ts";

const DONE = { done: true, value: undefined } as const;

/** What a transport is given to deliver: it can be stopped while the transport waits for the next message. */
export class Feed implements AsyncIterableIterator<DeliverableMessage> {
  readonly #next: () => Promise<(() => DeliverableMessage) | undefined>;
  #isStopped = false;
  #wake: () => void = () => undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param next resolves to what takes the next message, which is called only if the feed was not stopped meanwhile. */
  constructor(next: () => Promise<(() => DeliverableMessage) | undefined>) {
    this.#next = next;
  }

  next(): Promise<IteratorResult<DeliverableMessage, undefined>> {
    // One behind the other, so that no two take the same message.
    const result = this.#last.then(() => this.#step());
    this.#last = result.catch(() => undefined);
    return result;
  }

  #step(): Promise<IteratorResult<DeliverableMessage, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) return resolve(DONE);
      this.#wake = () => resolve(DONE);
      this.#next().then((take) => {
        if (take === undefined || this.#isStopped) resolve(DONE);
        else resolve({ done: false, value: take() });
      }, reject);
    });
  }

  async return(): Promise<IteratorResult<DeliverableMessage, undefined>> {
    this.stop();
    return DONE;
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
