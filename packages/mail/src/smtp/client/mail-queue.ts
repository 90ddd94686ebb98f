import type { MailObject } from "./mail-object.ts";

/** The mail objects that wait for a connection, in the order in which they came. */
export class MailQueue {
  readonly #objects: MailObject[] = [];

  get isEmpty(): boolean {
    return this.#objects.length === 0;
  }

  /** Puts it before all that came later: a new one at the end, and one that waits again to where it stood. */
  add(object: MailObject): void {
    const before = this.#objects.findLastIndex(({ number }) => number < object.number);
    this.#objects.splice(before + 1, 0, object);
  }

  shift(): MailObject | undefined {
    return this.#objects.shift();
  }

  /** @returns whether it waited. */
  remove(object: MailObject): boolean {
    const place = this.#objects.indexOf(object);
    if (place >= 0) this.#objects.splice(place, 1);
    return place >= 0;
  }

  /** Empties it, and gives what waited. */
  clear(): MailObject[] {
    return this.#objects.splice(0);
  }
}
