import { createWriteStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { MessageError, PosthasteError } from "posthaste";
import { badSetting, EXIT } from "../exit.ts";
import type { Composer } from "./composer.ts";
import type { Row } from "./row.ts";

/**
 * Writes each row's message to a file and sends nothing.
 *
 * @returns the exit code: 0 all rows have a message, 3 some, 1 none.
 * @throws {SettingsError} when the folder is not empty or cannot be written to.
 */
export async function dryRun(
  folder: string,
  rows: AsyncIterable<Row>,
  composer: Composer,
  json: boolean,
): Promise<number> {
  await checkFolder(folder);
  let [written, failed] = [0, 0];
  for await (const row of rows) {
    try {
      await write(join(folder, `${String(row.number).padStart(6, "0")}.eml`), row, composer);
      written++;
    } catch (error) {
      if (!(error instanceof PosthasteError)) throw error;
      failed++;
      console.error(`posthaste: row ${row.number} (line ${row.line}): ${error.message}`);
    }
  }
  if (json) console.log(JSON.stringify({ rows: written + failed, written, failed, folder }));
  else console.log(`${written + failed} rows: ${written} messages written to ${folder}, ${failed} without a message`);
  if (failed === 0 && written > 0) return EXIT.ok;
  return written === 0 ? EXIT.failure : EXIT.partial;
}

async function write(path: string, row: Row, composer: Composer): Promise<void> {
  if (row.error !== undefined) throw new MessageError("bad-value", row.error);
  const message = composer.compose(row.columns);
  if (message.recipients().length === 0) throw new MessageError("no-recipients", "to: the message has no recipient");
  message.envelope();
  await pipeline(message.toStream(), createWriteStream(path, { flags: "wx" }));
}

async function checkFolder(folder: string): Promise<void> {
  let present: string[];
  try {
    await mkdir(folder, { recursive: true });
    present = await readdir(folder);
  } catch (error) {
    throw badSetting("--dry-run", `${folder} cannot be used: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  if (present.length > 0) throw badSetting("--dry-run", `${folder} is not empty`);
}
