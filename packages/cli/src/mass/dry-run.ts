import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type EmailMessage, MessageError, PosthasteError, SettingsError } from "posthaste";
import { badSetting, EXIT } from "../exit.ts";
import type { Composer } from "./composer.ts";
import { faultText } from "./fault.ts";
import type { Row } from "./row.ts";
import { rowsText } from "./summary.ts";

/** Options of {@link dryRun}. */
export interface DryRunOptions {
  /** An empty folder, or one that is to be made. */
  readonly folder: string;
  readonly json: boolean;
  readonly signal: AbortSignal;
}

/**
 * Writes each row's message to a file and sends nothing.
 *
 * @returns the exit code: 0 all rows have a message, 3 some, 1 none, 130 it was stopped.
 * @throws {SettingsError} when the folder is not empty or cannot be written to.
 */
export async function dryRun(
  rows: AsyncIterable<Row>,
  composer: Composer,
  { folder, json, signal }: DryRunOptions,
): Promise<number> {
  await checkFolder(folder);
  let [written, failed] = [0, 0];
  for await (const row of rows) {
    if (signal.aborted) break;
    try {
      await write(join(folder, `${String(row.number).padStart(6, "0")}.eml`), composed(row, composer));
      written++;
    } catch (error) {
      if (!(error instanceof PosthasteError) || error instanceof SettingsError) throw error;
      failed++;
      console.error(`posthaste: row ${row.number} (line ${row.line}): ${faultText(error.message)}`);
    }
  }
  const read = written + failed;
  if (json) console.log(JSON.stringify({ rows: read, written, failed, folder, stopped: signal.aborted }));
  else console.log(`${rowsText(read)}: ${written} messages written to ${folder}, ${failed} without a message`);
  if (signal.aborted) return EXIT.stopped;
  if (failed === 0 && written > 0) return EXIT.ok;
  return written === 0 ? EXIT.failure : EXIT.partial;
}

function composed(row: Row, composer: Composer): EmailMessage {
  if (row.error !== undefined) throw new MessageError("bad-value", row.error);
  const message = composer.compose(row.columns);
  if (message.recipients().length === 0) throw new MessageError("no-recipients", "to: the message has no recipient");
  message.envelope();
  return message;
}

/** Whole, or not at all. */
async function write(path: string, message: EmailMessage): Promise<void> {
  try {
    await pipeline(message.toStream(), createWriteStream(path, { flags: "wx" }));
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    if (reason !== "EEXIST") await rm(path, { force: true });
    if (error instanceof PosthasteError) throw error;
    throw badSetting("--dry-run", `${path} cannot be written: ${reason}`, error);
  }
}

async function checkFolder(folder: string): Promise<void> {
  let present: string[];
  try {
    // Not with the folders above it: Node tries that for ever where a file system has no room for folders.
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    present = await readdir(folder);
  } catch (error) {
    throw badSetting("--dry-run", `${folder} cannot be used: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  if (present.length > 0) throw badSetting("--dry-run", `${folder} is not empty`);
}
