import { DatabaseSync } from "node:sqlite";
import { SettingsError } from "posthaste";

/** How long a statement waits for another connection's write, in milliseconds. */
const BUSY_TIMEOUT = 5000;

/**
 * Opens an SQLite file as the outbox needs it, and makes it if it is not there: write-ahead log, each commit durable
 * against power loss (`synchronous=FULL`), 5 seconds of patience with other writers, foreign keys enforced.
 *
 * @param path the file, or `":memory:"`.
 * @throws {SettingsError} naming DATABASE_URL and the path, when the file cannot be opened.
 */
export function openDatabase(path: string): DatabaseSync {
  const database = openFile(path);
  try {
    database.exec("pragma journal_mode = wal; pragma synchronous = full;");
    return database;
  } catch (error) {
    database.close();
    throw openError(path, error);
  }
}

function openFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout: BUSY_TIMEOUT, enableForeignKeyConstraints: true });
  } catch (error) {
    throw openError(path, error);
  }
}

function openError(path: string, cause: unknown): SettingsError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `DATABASE_URL: the database ${JSON.stringify(path)} cannot be opened (${reason}): check that its folder exists, can be written to, and that the file is an SQLite database`;
  return new SettingsError("bad-setting", message, { setting: "DATABASE_URL", cause });
}

/**
 * Runs the function in a transaction that takes the write lock at once: one that reads first and writes later fails with
 * SQLITE_BUSY, without any wait, when another connection has written in between.
 */
export function inTransaction<T>(database: DatabaseSync, run: () => T): T {
  database.exec("begin immediate");
  try {
    const result = run();
    database.exec("commit");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("rollback");
    throw error;
  }
}
