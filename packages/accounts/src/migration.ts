import type { DatabaseSync } from "node:sqlite";

/** Each runs once, in this order; what was published is never edited. */
const MIGRATIONS = [
  `
  create table posthaste_user (
    id text primary key,
    email text not null,
    email_key text not null unique,
    password_hash text,
    name text not null,
    locale text not null,
    is_active integer not null default 0 check (is_active in (0, 1)),
    created_at integer not null,
    activated_at integer,
    next_mail_at integer not null default 0,
    check (is_active = 0 or password_hash is not null)
  ) strict, without rowid;

  create table posthaste_token (
    id text primary key,
    purpose text not null,
    user_id text not null references posthaste_user (id) on delete cascade,
    email text not null,
    name text not null,
    locale text not null,
    next text,
    password_hash text,
    browser_hash text not null,
    created_at integer not null,
    expires_at integer,
    used_at integer,
    voided_at integer,
    mails integer not null default 1,
    mailed_at integer not null
  ) strict, without rowid;
  create index posthaste_token_user on posthaste_token (user_id, created_at);

  create table posthaste_session (
    token_hash text primary key,
    user_id text not null references posthaste_user (id) on delete cascade,
    created_at integer not null,
    expires_at integer not null
  ) strict, without rowid;
  create index posthaste_session_user on posthaste_session (user_id);

  create table posthaste_rate_bucket (
    key text primary key,
    full_at integer not null
  ) strict, without rowid;

  create table posthaste_audit (
    id integer primary key,
    at integer not null,
    event text not null,
    user_id text,
    token_id text,
    network text not null
  ) strict;
  create index posthaste_audit_user on posthaste_audit (user_id, at);
  `,
] as const;

/**
 * Creates the tables of accounts, or brings them up to date. Takes the database's write lock first, so that two
 * processes may start at once: the second finds everything done.
 *
 * @throws Error when the database was written by a newer version.
 */
export function migrateAccounts(database: DatabaseSync): void {
  database.exec("begin immediate");
  try {
    database.exec(
      "create table if not exists posthaste_accounts_migration (version integer primary key, at integer not null) strict",
    );
    const row = database.prepare("select coalesce(max(version), 0) as version from posthaste_accounts_migration").get();
    const version = Number(row?.version);
    if (version > MIGRATIONS.length) {
      throw new Error(
        `the accounts tables have version ${version}, this code knows ${MIGRATIONS.length}; start the newer version`,
      );
    }
    MIGRATIONS.forEach((statements, index) => {
      if (index < version) return;
      database.exec(statements);
      database.prepare("insert into posthaste_accounts_migration values (?, unixepoch() * 1000)").run(index + 1);
    });
    database.exec("commit");
  } catch (error) {
    database.exec("rollback");
    throw error;
  }
}
