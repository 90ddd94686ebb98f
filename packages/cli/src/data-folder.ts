import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { migrateAccounts, parseKeyRing } from "@posthaste/accounts";
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
    // This thread answers requests, so it does not wait as long for a lock as the worker may.
    database.exec("pragma busy_timeout = 1000");
    migrateOutbox(database);
    migrateAccounts(database);
    return database;
  } catch (error) {
    if (error instanceof PosthasteError) throw error;
    throw badSetting("DATABASE_URL", `${path} cannot be opened for writing: ${(error as Error).message}`, error);
  }
}

/** Where a developer's keys are kept. */
const KEY_FILE = resolve(".posthaste/keys");

/**
 * The key ring of a developer: made once and kept in `.posthaste/keys`, readable by its owner alone.
 *
 * @throws {SettingsError} naming POSTHASTE_KEYS and the file, when it cannot be read or made.
 */
export function developmentKeys(): string {
  try {
    mkdirSync(dirname(KEY_FILE), { recursive: true, mode: 0o700 });
    if (!existsSync(KEY_FILE)) makeKeys();
    const keys = readFileSync(KEY_FILE, "utf8");
    parseKeyRing(keys);
    return keys;
  } catch (error) {
    const reason = (error as Error).message;
    throw badSetting("POSTHASTE_KEYS", `not set, and ${KEY_FILE} cannot be used: ${reason}`, error);
  }
}

/** Whole or not at all: of two processes that start at once one's file is linked, and both read that. */
function makeKeys(): void {
  const draft = `${KEY_FILE}.${randomUUID()}`;
  writeFileSync(draft, `dev:${randomBytes(32).toString("base64")}\n`, { mode: 0o600, flag: "wx" });
  try {
    linkSync(draft, KEY_FILE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(draft);
  }
}
