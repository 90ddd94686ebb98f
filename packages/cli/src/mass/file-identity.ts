import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, constants, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { badSetting } from "../exit.ts";
import { type Row, type RowFile, rowsOf } from "./row.ts";

/** Which file a mailing was begun with. */
export interface FileIdentity {
  /** Its SHA-256, in hexadecimal. */
  readonly digest: string;
  readonly rows: number;
  /** Device and inode: a file that took its place is another, and who reads the old one goes on reading it. */
  readonly place: string;
  /** Length and time of its last change. */
  readonly state: string;
}

/** @throws {SettingsError} where it is no file, or cannot be read. */
export async function checkReadable(name: string): Promise<void> {
  try {
    await access(name, constants.R_OK);
    if ((await stat(name)).isFile()) return;
  } catch (error) {
    throw badSetting(name, `the file cannot be read: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  throw badSetting(name, "it is no file");
}

/**
 * Reads the file twice.
 *
 * @returns undefined when the signal aborts.
 * @throws {SettingsError} when it changed meanwhile, as one does that is not complete yet.
 */
export async function identify(file: RowFile, signal: AbortSignal): Promise<FileIdentity | undefined> {
  const before = await placeAndState(file.path);
  const digest = await digestOf(file.path);
  let rows = 0;
  for await (const row of rowsOf(file)) {
    if (signal.aborted) return undefined;
    rows = row.number;
  }
  const after = await placeAndState(file.path);
  if (before.place !== after.place || before.state !== after.state) throw changed(file);
  return signal.aborted ? undefined : { digest, rows, ...after };
}

/** The rows of that file, and of no other. @throws {SettingsError} where it was changed, as far as that shows. */
export async function* sameRows(file: RowFile, identity: FileIdentity): AsyncGenerator<Row> {
  for await (const row of rowsOf(file)) {
    if (row.number > identity.rows) throw changed(file);
    yield row;
  }
  const { place, state } = await placeAndState(file.path);
  if (place !== identity.place || state === identity.state) return;
  if ((await digestOf(file.path)) !== identity.digest) throw changed(file);
}

async function placeAndState(path: string): Promise<Pick<FileIdentity, "place" | "state">> {
  const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
  return { place: `${dev}:${ino}`, state: `${size}:${mtimeNs}` };
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

function changed({ name }: RowFile): Error {
  return badSetting(name, "the file was changed while it was read; a mailing needs one that stays as it is");
}
