import { createWriteStream, type Stats } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
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
const HEADER = stringify([COLUMNS]);
/** So many entries are written at once. */
const BLOCK = 500;

/**
 * Refuses a place where the report would take away what is no report, such as the rows themselves, or a device.
 *
 * @param input the file of the rows.
 * @throws {SettingsError}
 */
export async function checkReportPlace(path: string, input: string): Promise<void> {
  if (path === "") throw badSetting("--report", "it must be the path of a file");
  const found = await statOf(path);
  if (found === undefined) return;
  if (!found.isFile()) throw badSetting("--report", `${path} is there, and is no file`);
  const { dev, ino } = await stat(input);
  if (found.dev === dev && found.ino === ino) throw badSetting("--report", `${path} is the file of the rows`);
  if (found.size > 0 && !(await isReport(path))) {
    throw badSetting("--report", `${path} is there, and is no report; name another file`);
  }
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw badSetting("--report", `${path} cannot be used: ${code ?? ""}`, error);
  }
}

async function isReport(path: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER.length), 0, HEADER.length, 0);
    return buffer.subarray(0, bytesRead).toString() === HEADER;
  } catch (error) {
    throw badSetting("--report", `${path} cannot be used: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
}

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
    await rm(unfinished, { force: true }).catch(() => undefined);
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw badSetting("--report", `${path} cannot be written: ${reason}; --resume writes it anew`, error);
  }
}

function* blocks(entries: Iterable<ReportEntry>): Generator<string> {
  let block: unknown[][] = [];
  yield HEADER;
  for (const entry of entries) {
    block.push(fields(entry));
    if (block.length < BLOCK) continue;
    yield stringify(block);
    block = [];
  }
  if (block.length > 0) yield stringify(block);
}

function fields({ row, line, messageId, address, status, code, enhanced, text, repeated }: ReportEntry): unknown[] {
  return [row, line, messageId, address, status, code, enhanced, inert(text), repeated > 0 ? "yes" : ""];
}

/** What a server says is no formula: spreadsheets take a cell that begins so for one. */
function inert(text: string | null): string | null {
  return text !== null && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}
