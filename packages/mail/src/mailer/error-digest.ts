import type { ErrorRecord } from "./error-record.ts";

interface Line {
  count: number;
  readonly first: Date;
  last: Date;
}

/** So many different errors are listed; of the others, how many there were. */
const LINES = 200;

/** What was not a mail of its own. */
export class Digest {
  #lines = new Map<string, Line>();
  #count = 0;

  add({ subject, time }: ErrorRecord): void {
    this.#count++;
    const line = this.#lines.get(subject);
    if (line !== undefined) {
      line.count++;
      line.last = time;
    } else if (this.#lines.size < LINES) this.#lines.set(subject, { count: 1, first: time, last: time });
  }

  /** The mail about all of them, and none is left; undefined where there are none. */
  take(): { readonly subject: string; readonly text: string } | undefined {
    const [count, lines] = [this.#count, this.#lines];
    this.#count = 0;
    this.#lines = new Map();
    if (count === 0) return undefined;
    const listed = [...lines.values()].reduce((sum, line) => sum + line.count, 0);
    const rest = listed === count ? "" : `\n\nand ${count - listed} others, which are not listed`;
    const errors = count === 1 ? "1 more error" : `${count} more errors`;
    return {
      subject: `${errors} in the last hour`,
      text: `These were not mailed one by one:\n\n${[...lines].map(written).join("\n")}${rest}`,
    };
  }
}

function written([subject, { count, first, last }]: [string, Line]): string {
  const until = count === 1 ? "" : ` to ${last.toISOString()}`;
  return `${String(count).padStart(5)} × ${subject}\n        ${first.toISOString()}${until}`;
}
