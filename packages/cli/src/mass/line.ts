import { createReadStream } from "node:fs";

/** One line of a file. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Its octets, without the line feed. */
  readonly bytes: Buffer;
  /** It is longer than {@link LINE_LIMIT}; `bytes` is empty. */
  readonly isTooLong: boolean;
}

/** In octets, of a line and of a record of several: a cell of Excel has at most 32 767 characters, and a page of HTML fits. */
export const LINE_LIMIT = 1024 * 1024;

const LINE_FEED = 0x0a;

/** The lines of a file, read as they are asked for; some may be put back, to be read once more. */
export class LineReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #place = 0;
  #number = 0;
  #isEnded = false;
  /** The next one last. */
  readonly #putBack: Line[] = [];

  constructor(path: string) {
    this.#chunks = (createReadStream(path) as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** The next line; undefined at the end of the file, which ends the last line too. */
  async next(): Promise<Line | undefined> {
    const again = this.#putBack.pop();
    if (again !== undefined) return again;
    const parts: Buffer[] = [];
    let length = 0;
    for (;;) {
      const end = this.#chunk.indexOf(LINE_FEED, this.#place);
      const part = this.#chunk.subarray(this.#place, end === -1 ? undefined : end);
      length += part.length;
      if (length <= LINE_LIMIT) parts.push(part);
      this.#place += part.length + 1;
      if (end !== -1) break;
      if (!(await this.#read())) {
        if (length === 0) return undefined;
        break;
      }
    }
    const isTooLong = length > LINE_LIMIT;
    const bytes = isTooLong
      ? Buffer.alloc(0)
      : parts.length === 1
        ? (parts[0] ?? Buffer.alloc(0))
        : Buffer.concat(parts);
    return { number: ++this.#number, bytes, isTooLong };
  }

  /** Lets the lines be read again, in their order. */
  putBack(lines: readonly Line[]): void {
    for (const line of lines.toReversed()) this.#putBack.push(line);
  }

  /** Closes the file before its end. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  async #read(): Promise<boolean> {
    if (this.#isEnded) return false;
    const chunk = await this.#chunks.next();
    this.#isEnded = chunk.done === true;
    this.#chunk = chunk.done === true ? Buffer.alloc(0) : chunk.value;
    this.#place = 0;
    return !this.#isEnded;
  }
}
