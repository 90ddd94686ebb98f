/**
 * Errors of a pino log as mail to those who run the place; Django's `AdminEmailHandler`.
 *
 * It is a stream of lines of JSON. So many errors an hour are mails of their own; what comes beyond is collected, and
 * goes out as one mail when the hour ends. The hour begins with its first error. An error in here must not reach the
 * logger: it would be logged, and mailed, and fail again. It goes to standard error, once.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { Writable } from "node:stream";
import { SettingsError } from "../errors.ts";
import { Digest } from "./error-digest.ts";
import { type ErrorRecord, LEVELS, levelOf, recordOf, recordOfStart } from "./error-record.ts";
import { knownOptions } from "./mailer-options.ts";
import type { Mailer } from "./mailer.ts";
import { mailAdmins } from "./send-mail.ts";

/** Options of {@link ErrorMailHandler}. */
export interface ErrorMailOptions {
  /** What sends. Default: `mailAdmins` on the settings of the environment, over a connection for each mail. */
  readonly mailer?: Pick<Mailer, "mailAdmins"> | undefined;
  /** The lowest level that is mailed, by pino's name or its number. Default: `error`, 50. */
  readonly level?: keyof typeof LEVELS | number | undefined;
  /** So many errors an hour are mails of their own, 0 to 1000. Default: 10. */
  readonly perHour?: number | undefined;
}

const NAMES: Readonly<Record<keyof ErrorMailOptions, true>> = { mailer: true, level: true, perHour: true };
const HOUR = 3_600_000;
const PER_HOUR_LIMIT = 1000;
/** In characters. Of a longer line only its level is read. */
const LINE_LIMIT = 1_048_576;

/** What is logged while one of its own mails is under way, by whoever watches the sending, is not mailed. */
const sending = new AsyncLocalStorage<true>();

/** A destination for pino: `pino({}, pino.multistream([{ stream: process.stdout }, { level: "error", stream }]))`. */
export class ErrorMailHandler extends Writable implements AsyncDisposable {
  readonly #mailer: Pick<Mailer, "mailAdmins">;
  readonly #level: number;
  readonly #perHour: number;
  readonly #digest = new Digest();
  #rest = "";
  #mails = 0;
  #hour: NodeJS.Timeout | undefined;
  #queue: Promise<void> = Promise.resolve();
  #hasFailed = false;

  /** @throws {SettingsError} naming the option. */
  constructor(options: ErrorMailOptions = {}) {
    super({ decodeStrings: false });
    knownOptions(options, NAMES);
    const { mailer = { mailAdmins }, level = "error", perHour = 10 } = options;
    if (typeof mailer.mailAdmins !== "function") throw bad("mailer", "a mailer, such as createMailer() makes");
    if (!Number.isInteger(perHour) || perHour < 0 || perHour > PER_HOUR_LIMIT)
      throw bad("perHour", `a whole number from 0 to ${PER_HOUR_LIMIT}`);
    this.#level = levelOf(level) ?? 0;
    if (!(this.#level > 0)) throw bad("level", `a number above 0, or one of ${Object.keys(LEVELS).join(", ")}`);
    this.#mailer = mailer;
    this.#perHour = perHour;
    // A line that comes after the end is lost, and must not end the process.
    this.on("error", (error) => {
      if (sending.getStore() !== true) this.#complain(error);
    });
  }

  /** Takes what the logger writes, whole lines or not; Node calls it. It never fails. */
  override _write(chunk: string | Buffer, _encoding: BufferEncoding, callback: () => void): void {
    try {
      if (sending.getStore() !== true) this.#read(chunk.toString());
    } catch (error) {
      this.#complain(error);
    }
    callback();
  }

  /** Sends what was collected, before the stream has finished. */
  override _final(callback: () => void): void {
    this.#endHour();
    void this.#queue.then(() => callback());
  }

  /** Sends what was collected, and resolves when every mail has its verdict. */
  async close(): Promise<void> {
    if (this.writableFinished || this.destroyed) return;
    const finished = new Promise<void>((resolve) => this.once("close", resolve));
    this.end();
    await finished;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A line for each write is what pino does; whoever stands in between may cut them elsewhere. */
  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const record = line.length > LINE_LIMIT ? recordOfStart(line) : recordOf(line);
      if (record !== undefined && record.level >= this.#level) this.#take(record);
    }
    this.#rest = this.#rest.slice(0, LINE_LIMIT + 1);
  }

  #take(record: ErrorRecord): void {
    this.#hour ??= setTimeout(() => this.#endHour(), HOUR).unref();
    if (this.#mails++ < this.#perHour) this.#mail(record.subject, record.text);
    else this.#digest.add(record);
  }

  #endHour(): void {
    clearTimeout(this.#hour);
    this.#hour = undefined;
    this.#mails = 0;
    const collected = this.#digest.take();
    if (collected !== undefined) this.#mail(collected.subject, collected.text);
  }

  /** One behind the other: an avalanche of errors must not become one of connections. */
  #mail(subject: string, text: string): void {
    this.#queue = this.#queue.then(async () => {
      try {
        await sending.run(true, () => this.#mailer.mailAdmins(subject, text));
      } catch (error) {
        this.#complain(error);
      }
    });
  }

  #complain(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`posthaste: errors cannot be mailed, which is said this once: ${reason}\n`);
  }
}

function bad(setting: string, allowed: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}
