import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { SqliteDialect } from "kysely";
import type { Dialect } from "kysely";

/**
 * Kysely's own SQLite dialect over a `node:sqlite` connection. Kysely runs one transaction at a time on it, so a
 * statement of another request cannot join an open one, as long as all statements go through the same Kysely instance.
 *
 * Transactions take the write lock at once (`begin immediate`): one that reads first and writes later fails with
 * SQLITE_BUSY, without any wait, when another connection has written in between. `destroy()` closes the connection.
 */
export function sqliteDialect(database: DatabaseSync): Dialect {
  return new SqliteDialect({
    database: {
      close: () => database.close(),
      prepare(sql) {
        const statement = database.prepare(sql === "begin" ? "begin immediate" : sql);
        return {
          reader: statement.columns().length > 0,
          all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
          run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
          iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
        };
      },
    },
  });
}
