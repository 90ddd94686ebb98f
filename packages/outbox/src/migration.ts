import type { DatabaseSync } from "node:sqlite";
import { SettingsError } from "posthaste";
import { inTransaction } from "./database.ts";

/**
 * Times are milliseconds since 1970 in UTC. `attempt` is the fencing token: it grows with each claim. `tries` counts
 * the attempts that were the message's own trouble (deferred by a reply, unknown, its worker died while committing), for
 * the backoff.
 */
const TABLES = `
create table posthaste_message (
  id integer primary key autoincrement,
  message_id text not null,
  date integer not null,
  enqueued integer not null,
  not_before integer,
  reverse_path text not null,
  policy text not null check (policy in ('resend', 'hold')),
  content blob,
  composer text,
  data text check (json_valid(data)),
  check ((content is null) <> (composer is null)),
  check ((composer is null) = (data is null))
) strict;

create table posthaste_recipient (
  message integer not null references posthaste_message (id) on delete cascade,
  address text not null,
  position integer not null,
  state text not null check (state in ('queued', 'accepted', 'refused', 'deferred', 'unknown')),
  reply text check (json_valid(reply)),
  primary key (message, address)
) strict, without rowid;

create table posthaste_state (
  id integer primary key references posthaste_message (id) on delete cascade,
  state text not null check (state in
    ('queued', 'claimed', 'committing', 'accepted', 'refused', 'deferred', 'unknown', 'cancelled', 'expired')),
  due integer not null,
  attempt integer not null default 0 check (attempt >= 0),
  tries integer not null default 0 check (tries >= 0),
  worker text,
  lease integer,
  error text check (json_valid(error)),
  check ((state in ('claimed', 'committing')) = (worker is not null)),
  check ((worker is null) = (lease is null))
) strict;

create index posthaste_state_due on posthaste_state (due, id) where state in ('queued', 'deferred');
create index posthaste_state_worker on posthaste_state (worker) where worker is not null;
`;

/** The migration that leads to version 1, 2 … Never edited once released; a change is a new one. */
const MIGRATIONS: readonly string[] = [TABLES];

/**
 * Creates the outbox's tables, or brings them up to date. Safe when several processes start at once: whoever comes
 * second waits for the write lock and finds the work done.
 *
 * @throws {SettingsError} when a newer version of this package has been at work in the database.
 */
export function migrateOutbox(database: DatabaseSync): void {
  if (currentVersion(database) === MIGRATIONS.length) return;
  inTransaction(database, () => {
    database.exec(
      "create table if not exists posthaste_outbox_migration (version integer primary key, applied integer not null) strict",
    );
    const record = database.prepare("insert into posthaste_outbox_migration (version, applied) values (?, ?)");
    for (let version = currentVersion(database); version < MIGRATIONS.length; version++) {
      record.run(version + 1, Date.now());
      database.exec(MIGRATIONS[version] ?? "");
    }
  });
}

function currentVersion(database: DatabaseSync): number {
  const table = database.prepare("select 1 from sqlite_schema where name = 'posthaste_outbox_migration'").get();
  if (table === undefined) return 0;
  const row = database.prepare("select max(version) as version from posthaste_outbox_migration").get();
  const version = Number(row?.version ?? 0);
  if (version <= MIGRATIONS.length) return version;
  const message = `the outbox in this database is of version ${version}, and this program knows versions up to ${MIGRATIONS.length}: update @posthaste/outbox, or use another database`;
  throw new SettingsError("bad-setting", message, { setting: "DATABASE_URL" });
}
