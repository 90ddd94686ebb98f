import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { migrateAccounts } from "@posthaste/accounts";
import { migrateOutbox, openDatabase } from "@posthaste/outbox";
import { PosthasteError } from "posthaste";
import { badSetting } from "./exit.ts";

/** The file that `DATABASE_URL` names. @throws {SettingsError} when it is none. */
export function databasePath(url: string): string {
  const path = /^sqlite:(.+)$/.exec(url)?.[1];
  if (path === undefined || path === ":memory:" || path.includes("\0")) {
    throw badSetting("DATABASE_URL", "not allowed; it must be sqlite:PATH, with the path of a file");
  }
  return resolve(path);
}

/** Opens the database, its folder and tables made where they are missing. @throws {SettingsError} naming DATABASE_URL. */
export function openMigrated(path: string): DatabaseSync {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const database = openDatabase(path);
    migrateOutbox(database);
    migrateAccounts(database);
    return database;
  } catch (error) {
    if (error instanceof PosthasteError) throw error;
    throw badSetting("DATABASE_URL", `${path} cannot be opened for writing: ${(error as Error).message}`, error);
  }
}

/**
 * The key ring of a developer: made once and kept beside the database, readable by its owner alone.
 *
 * @throws {SettingsError} naming POSTHASTE_KEYS, when the file cannot be read or made.
 */
export function developmentKeys(databasePath: string): string {
  const file = join(dirname(databasePath), "keys");
  try {
    // "wx" fails where the file is there, so that of two processes that start at once one makes it and both read it.
    writeFileSync(file, `dev:${randomBytes(32).toString("base64")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST")
      throw badSetting("POSTHASTE_KEYS", `not set, and ${file} cannot be made: ${(error as Error).message}`, error);
  }
  return readFileSync(file, "utf8");
}
