import { randomBytes } from "node:crypto";
import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { appendFile, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Transport } from "../delivery.ts";
import { DeliveryError, SettingsError } from "../errors.ts";
import { contentOf, deliverEach, type Rendered } from "./rendering.ts";

/** Options of {@link fileTransport}. */
export interface FileOptions {
  /** Where the files go; `EMAIL_FILE_PATH`. Made where it is missing, for nobody but its owner to read (mode 0700). */
  readonly directory: string;
  /**
   * `eml`: each message is a file of its own, as SMTP would carry it. `log`: as Django has it, one file for the
   * transport's life, messages with LF line ends and a line of 79 dashes behind each. Default: `eml`.
   */
  readonly format?: "eml" | "log" | undefined;
}

const RULE = `\n${"-".repeat(79)}\n`;

/**
 * Writes messages to files instead of sending them. Django's `filebased` backend. Names sort by time; no file is ever
 * written over, and none is there before it is complete. A file is for its owner alone (mode 0600).
 *
 * @throws {SettingsError} naming `directory`, when it cannot be made or written to.
 */
export function fileTransport({ directory, format = "eml" }: FileOptions): Transport {
  checkDirectory(directory);
  if (format !== "eml" && format !== "log") throw bad("format", "must be eml or log");
  const write = format === "eml" ? messageFile(directory) : logFile(directory);
  return {
    deliver: (messages, options = {}) =>
      deliverEach(messages, options, async (rendered) => {
        try {
          await write(rendered);
        } catch (cause) {
          throw notWritten(cause);
        }
      }),
    close: async () => undefined,
  };
}

function messageFile(directory: string): (rendered: Rendered) => Promise<void> {
  let count = 0;
  return async ({ content }) => {
    const name = `${timeOf("ms")}-${String(count++).padStart(6, "0")}-${randomBytes(8).toString("hex")}.eml`;
    const temporary = join(directory, `.${name}.part`);
    try {
      // wx: a file or link that somebody put there is not followed.
      await using file = await open(temporary, "wx", 0o600);
      if (content instanceof Uint8Array) await file.writeFile(content);
      else for await (const chunk of content()) await file.writeFile(chunk);
      await rename(temporary, join(directory, name));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  };
}

function logFile(directory: string): (rendered: Rendered) => Promise<void> {
  const path = join(directory, `${timeOf("s")}-${randomBytes(8).toString("hex")}.log`);
  let last = Promise.resolve();
  return async (rendered) => {
    const text = Buffer.from(await contentOf(rendered))
      .toString("latin1")
      .replaceAll("\r\n", "\n");
    const write = (): Promise<void> => appendFile(path, Buffer.from(text + RULE, "latin1"), { mode: 0o600 });
    // One behind the other: two deliveries at once must not write into each other's message.
    const written = last.then(write);
    last = written.catch(() => undefined);
    await written;
  };
}

/** `20261123-065335` in UTC, with milliseconds where asked for. */
function timeOf(unit: "s" | "ms"): string {
  const [date = "", time = ""] = new Date().toISOString().replace(/[-:Z]/g, "").split("T");
  return `${date}-${unit === "ms" ? time : time.slice(0, 6)}`;
}

function checkDirectory(directory: string): void {
  if (typeof directory !== "string" || directory === "" || directory.includes("\0"))
    throw bad("directory", "must be the path of a directory");
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!statSync(directory).isDirectory()) throw bad("directory", "is not a directory");
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (cause instanceof SettingsError) throw cause;
    throw bad("directory", `cannot be made or written to: ${codeOf(cause)}`, cause);
  }
}

function notWritten(cause: unknown): Error {
  if (cause instanceof Error && codeOf(cause) === undefined) return cause;
  const message = `directory: the message could not be written: ${codeOf(cause)}`;
  return new DeliveryError("deferred", message, { setting: "directory", cause });
}

/** Of an error of the system, such as ENOSPC. */
function codeOf(cause: unknown): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.errno === undefined
    ? undefined
    : (cause as NodeJS.ErrnoException).code;
}

function bad(setting: string, reason: string, cause?: unknown): SettingsError {
  return new SettingsError("bad-setting", `${setting}: ${reason}`, { setting, cause });
}
