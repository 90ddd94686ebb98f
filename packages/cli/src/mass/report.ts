import { createWriteStream } from "node:fs";
import { rename } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { stringify } from "csv-stringify/sync";
import { badSetting } from "../exit.ts";
import type { Journal, ReportEntry } from "./journal.ts";

const COLUMNS = [
  "row",
  "line",
  "message_id",
  "address",
  "status",
  "code",
  "enhanced",
  "text",
  "may_have_arrived_twice",
];
/** So many entries are written at once. */
const BLOCK = 500;

/**
 * Writes the verdict of every recipient, in the order of the rows; whole, or the report that was there stays.
 *
 * @throws {SettingsError} when it cannot be written; the journal still has the verdicts.
 */
export async function writeReport(path: string, journal: Journal): Promise<void> {
  const unfinished = `${path}.unfinished`;
  try {
    await pipeline(Readable.from(blocks(journal.entries())), createWriteStream(unfinished));
    await rename(unfinished, path);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw badSetting("--report", `${path} cannot be written: ${reason}; --resume writes it anew`, error);
  }
}

function* blocks(entries: Iterable<ReportEntry>): Generator<string> {
  let block: unknown[][] = [COLUMNS];
  for (const entry of entries) {
    block.push(fields(entry));
    if (block.length < BLOCK) continue;
    yield stringify(block);
    block = [];
  }
  yield stringify(block);
}

function fields({ row, line, messageId, address, status, code, enhanced, text, repeated }: ReportEntry): unknown[] {
  return [row, line, messageId, address, status, code, enhanced, inert(text), repeated > 0 ? "yes" : ""];
}

/** What a server says is no formula: spreadsheets take a cell that begins so for one. */
function inert(text: string | null): string | null {
  return text !== null && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}
