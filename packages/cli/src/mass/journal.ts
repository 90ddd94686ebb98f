import { createHash, randomUUID } from "node:crypto";
import { existsSync, unlinkSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import type { ReceiptStatus, RecipientOutcome, RecipientStatus, SettingsError } from "posthaste";
import { badSetting } from "../exit.ts";

/** What a mailing is: it may go on only with the same. */
export interface MailingIdentity {
  /** The SHA-256 of the file, in hexadecimal. */
  readonly file: string;
  readonly rows: number;
  /** What the messages are made of, by flag. */
  readonly templates: Readonly<Record<string, unknown>>;
}

/** A message that is about to leave. */
export interface Leaving {
  readonly row: number;
  readonly line: number;
  readonly messageId: string;
  readonly addresses: readonly string[];
}

/** What is known of a recipient. */
export interface KnownRecipient {
  readonly address: string;
  readonly status: RecipientStatus;
}

/** How many rows came to what; `untried` are those that nothing is known of. */
export type MailingCounts = Readonly<Record<ReceiptStatus | "error" | "untried", number>> & {
  /** The rows that were sent again though the first may have arrived. */
  readonly repeated: number;
};

/** One line of the report. */
export interface ReportEntry {
  readonly row: number;
  readonly line: number;
  readonly messageId: string;
  readonly address: string | null;
  readonly status: RecipientStatus | "error";
  readonly code: number | null;
  readonly enhanced: string | null;
  readonly text: string | null;
  readonly repeated: number;
}

/**
 * What a mailing must not forget: which rows may have left, and the verdicts.
 *
 * It is a database of SQLite and not a file of lines, for that gives what such a file would need code for: a write that is
 * whole or not at all, a lock that a killed process does not leave behind, and the report in the order of the rows in
 * constant memory.
 */
const SCHEMA = `
create table mailing (format integer not null, id text not null, file text not null, rows integer not null, templates text not null) strict;
create table row (number integer primary key, line integer not null, message_id text not null default '', repeated integer not null default 0, error text) strict;
create table recipient (row integer not null, address text not null, place integer not null, status text not null, before text, code integer, enhanced text, text text, primary key (row, address)) strict, without rowid;
`;
const FORMAT = 1;

const MARK_ROW = `insert into row (number, line, message_id) values (?, ?, ?)
  on conflict (number) do update set message_id = excluded.message_id, error = null, repeated = repeated +
    exists (select 1 from recipient where recipient.row = number and status = 'unknown')`;
const MARK_RECIPIENT = `insert into recipient (row, address, place, status) values (?, ?, ?, 'unknown')
  on conflict (row, address) do update set before = status, status = 'unknown', code = null, enhanced = null, text = null`;
const UNMARK = [
  `update row set repeated = repeated - exists (select 1 from recipient where row = number and before = 'unknown') where number = ?`,
  `delete from recipient where row = ? and before is null and status = 'unknown'`,
  `update recipient set status = before, before = null where row = ? and before is not null`,
  `delete from row where number = ? and error is null and not exists (select 1 from recipient where row = number)`,
];
const PUT_ROW = `insert into row (number, line, message_id, error) values (?, ?, ?, ?)
  on conflict (number) do update set message_id = excluded.message_id, error = excluded.error`;
const PUT_RECIPIENT = `insert into recipient (row, address, place, status, code, enhanced, text) values (?, ?, ?, ?, ?, ?, ?)
  on conflict (row, address) do update
  set status = excluded.status, before = null, code = excluded.code, enhanced = excluded.enhanced, text = excluded.text`;
const PUT_FAULT = "update recipient set text = ? where row = ? and status in ('deferred', 'unknown')";
const COUNTS = `select status, count(*) as count from (select case
    when error is not null then 'error'
    when min(status = 'accepted') then 'accepted'
    when max(status = 'accepted') then 'partial'
    when max(status = 'unknown') then 'unknown'
    when max(status = 'deferred') then 'deferred'
    else 'refused' end as status
  from row left join recipient on recipient.row = number group by number) group by status`;
const REPORT = `select number as row, line, message_id as messageId, address, coalesce(status, 'error') as status, code,
    enhanced, coalesce(text, error) as text, repeated
  from row left join recipient on recipient.row = number and row.error is null order by number, place`;

export class Journal implements Disposable {
  /** Of the mailing; Message-IDs begin with it. */
  readonly id: string;
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #rows: number;
  /** No query is made for rows that a first run comes to. */
  readonly #isNew: boolean;

  /**
   * Opens the journal of a mailing, or begins one.
   *
   * @throws {SettingsError} when it is there and not to be resumed, the other way round, another process has it, or it is
   * of another mailing.
   */
  constructor(path: string, identity: MailingIdentity, resume: boolean) {
    checkPresence(path, resume);
    this.#path = path;
    this.#isNew = !resume;
    this.#rows = identity.rows;
    this.#database = openDatabase(path);
    try {
      this.id = this.#begin(identity);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** The same for a row at every attempt. */
  messageId(row: number, domain: string): string {
    return `<${this.id}.${row}@${domain}>`;
  }

  /** What earlier runs know of the row's recipients; empty where nothing is known. */
  recipientsOf(row: number): KnownRecipient[] {
    if (this.#isNew) return [];
    const found = this.#prepared(SELECT_RECIPIENTS).all(row);
    return found.map(({ address, status }) => ({ address: String(address), status: status as RecipientStatus }));
  }

  /** Makes durable that the messages may have left. @throws {SettingsError} when it cannot be, such as on a full disk. */
  mark(batch: readonly Leaving[]): void {
    // In WAL, `normal` survives the death of the process, and `full` that of the machine too.
    this.#transaction("full", () => {
      for (const { row, line, messageId, addresses } of batch) {
        this.#run(MARK_ROW, row, line, messageId);
        addresses.forEach((address, place) => this.#run(MARK_RECIPIENT, row, address, place));
      }
    });
  }

  /** The message surely did not leave, so what was known before holds. */
  unmark(row: number): void {
    this.#transaction("normal", () => {
      for (const statement of UNMARK) this.#run(statement, row);
    });
  }

  /** Keeps the verdict. */
  settle({ row, line, messageId }: Leaving, recipients: readonly RecipientOutcome[], error: Error | undefined): void {
    this.#transaction("normal", () => {
      this.#run(PUT_ROW, row, line, messageId, null);
      recipients.forEach(({ address, status, reply }, place) => {
        const text = reply?.lines.join(" / ") ?? error?.message ?? null;
        this.#run(PUT_RECIPIENT, row, address, place, status, reply?.code ?? null, reply?.enhanced ?? null, text);
      });
    });
  }

  /** Keeps why the row has no message. */
  fail(row: number, line: number, error: string): void {
    this.#transaction("normal", () => {
      // A row that an earlier run sent keeps what is known of its recipients.
      if (this.#run(PUT_FAULT, error, row) === 0) this.#run(PUT_ROW, row, line, "", error);
    });
  }

  counts(): MailingCounts {
    const counts = { accepted: 0, partial: 0, deferred: 0, refused: 0, unknown: 0, error: 0, untried: this.#rows };
    for (const { status, count } of this.#database.prepare(COUNTS).all()) {
      counts[status as keyof typeof counts] = Number(count);
      counts.untried -= Number(count);
    }
    const repeated = this.#database.prepare("select count(*) as count from row where repeated > 0").get();
    return { ...counts, repeated: Number(repeated?.count) };
  }

  /** Every recipient that something is known of, and every row without a message, in the order of the rows. */
  entries(): Iterable<ReportEntry> {
    return this.#database.prepare(REPORT).iterate() as Iterable<unknown> as Iterable<ReportEntry>;
  }

  /**
   * Takes the journal away where nothing is known of anybody, so that what was wrong can be corrected and the mailing
   * begun anew.
   *
   * @returns whether it is gone.
   */
  discard(): boolean {
    if (this.#database.prepare("select 1 from recipient limit 1").get() !== undefined) return false;
    try {
      // Its log is gone before the lock is, and with it all that is open besides the file.
      this.#database.exec("pragma journal_mode = delete");
      unlinkSync(this.#path);
      return true;
    } catch {
      // It stays, and --resume goes on with it.
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #begin({ file, rows, templates }: MailingIdentity): string {
    const digests = Object.fromEntries(Object.entries(templates).map(([flag, value]) => [flag, digest(value)]));
    const kept = this.#isNew ? undefined : this.#kept();
    if (kept === undefined) {
      const id = randomUUID();
      this.#transaction("full", () => {
        this.#database.exec(SCHEMA);
        this.#run("insert into mailing values (?, ?, ?, ?, ?)", FORMAT, id, file, rows, JSON.stringify(digests));
      });
      return id;
    }
    const before = JSON.parse(String(kept.templates)) as Record<string, string>;
    const flag = Object.keys(digests).find((each) => before[each] !== digests[each]);
    const other = kept.file === file ? flag : "the file";
    if (other === undefined) return String(kept.id);
    const remedy = "put it back, or name another --report to begin another mailing";
    throw badSetting("--resume", `${other} is not what ${this.#path} was begun with; ${remedy}`);
  }

  /** What a mailing was begun with; undefined where the process was killed, or the disk full, before it was. */
  #kept(): Record<string, SQLOutputValue> | undefined {
    let kept: Record<string, SQLOutputValue> | undefined;
    try {
      if (this.#database.prepare("select 1 from sqlite_schema").get() === undefined) return undefined;
      kept = this.#database.prepare("select * from mailing").get();
    } catch (error) {
      if (!(error as Error).message.includes("no such table")) throw unusable(this.#path, error);
    }
    if (kept?.format === FORMAT) return kept;
    throw badSetting("--resume", `${this.#path} is not a journal that this version reads`);
  }

  #run(sql: string, ...values: (string | number | null)[]): number {
    return Number(this.#prepared(sql).run(...values).changes);
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#database.prepare(sql)));
    return statement;
  }

  #transaction(synchronous: "full" | "normal", write: () => void): void {
    this.#database.exec(`pragma synchronous = ${synchronous}; begin immediate`);
    try {
      write();
      this.#database.exec("commit");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      throw badSetting("--report", `${this.#path} cannot be written: ${(error as Error).message}`, error);
    }
  }
}

const SELECT_RECIPIENTS = "select address, status from recipient where row = ? order by place";

function checkPresence(path: string, resume: boolean): void {
  if (resume && !existsSync(path))
    throw badSetting("--resume", `there is no ${path}, so there is nothing to go on with`);
  if (!resume && existsSync(path)) {
    throw badSetting("--report", `${path} is of a mailing that was begun: go on with --resume, or name another report`);
  }
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("pragma locking_mode = exclusive; pragma journal_mode = wal; begin exclusive; commit");
    return database;
  } catch (error) {
    database?.close();
    throw unusable(path, error);
  }
}

function unusable(path: string, error: unknown): SettingsError {
  const reason = (error as Error).message;
  if (reason.includes("locked")) return badSetting("--report", `${path} is in use by another posthaste`, error);
  return badSetting("--report", `${path} cannot be used: ${reason}`, error);
}

function digest(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(value ?? null))
    .digest("hex");
}
