import type { DeliverableMessage } from "../delivery.ts";
import { SourceIterator } from "./source-iterator.ts";

/** A message of the caller's, with its place there. */
export interface Entry {
  readonly index: number;
  readonly message: DeliverableMessage;
}

/**
 * The caller's messages, read by several lanes turn by turn. One that was looked for and not taken, because its reader
 * went away meanwhile, is there for the next.
 */
export class MessageSource {
  readonly #iterator: SourceIterator<DeliverableMessage>;
  readonly #lanes: number;
  #next: Promise<Entry | undefined> | undefined;
  #taken = 0;
  #isOver = false;
  #waiting: (() => void)[] = [];
  /** What the source threw, after which it has no more. */
  failure: { readonly error: unknown } | undefined;

  constructor(messages: Iterable<DeliverableMessage> | AsyncIterable<DeliverableMessage>, lanes: number) {
    this.#iterator = new SourceIterator(messages);
    this.#lanes = lanes;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The next message when it is the lane's turn; it stays the next until it is taken. Undefined at the end. */
  async peek(lane: number): Promise<Entry | undefined> {
    while (!this.#isOver && this.#taken % this.#lanes !== lane)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#isOver ? undefined : (this.#next ??= this.#read());
  }

  take(): void {
    this.#taken++;
    this.#next = undefined;
    this.#wake();
  }

  async #read(): Promise<Entry | undefined> {
    try {
      const next = await this.#iterator.next();
      if (next.done !== true) return { index: this.#taken, message: next.value };
    } catch (error) {
      this.failure = { error };
    }
    this.#end();
    return undefined;
  }

  /** Reads no further. */
  close(): void {
    if (this.#isOver) return;
    this.#end();
    this.#iterator.leave();
  }

  #end(): void {
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
