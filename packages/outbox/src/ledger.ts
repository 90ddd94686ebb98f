import type { DatabaseSync } from "node:sqlite";
import { DeliveryError } from "posthaste";
import type { Reply } from "posthaste";
import type { StoredContent } from "./composer.ts";
import { inTransaction } from "./database.ts";
import type { ErrorNote } from "./event.ts";
import { nextState, nextStateAfterDeath } from "./state.ts";
import type { NextState, OutboxPolicy, OutboxState, RecipientState } from "./state.ts";

/** How long a claim holds without renewal, in milliseconds. */
export const LEASE = 30_000;

/** A claim of one message. The attempt is the fencing token: a later claim has a greater one. */
export interface Claim {
  readonly id: number;
  readonly attempt: number;
}

/** A claimed message with what is still to be delivered. */
export interface ClaimedMessage extends StoredContent {
  readonly claim: Claim;
  readonly reversePath: string;
  /** The recipients that have no final verdict, in the message's order. */
  readonly forwardPaths: readonly string[];
}

/** One recipient's part in a verdict; `queued`: the attempt said nothing about it. */
export interface Outcome {
  readonly address: string;
  readonly state: RecipientState;
  readonly reply?: Reply;
}

/** How an attempt ended. */
export interface Verdict {
  readonly claim: Claim;
  readonly messageId: string;
  /** The composer said that the message is not to be sent any more. */
  readonly cancelled?: boolean;
  readonly outcomes: readonly Outcome[];
  readonly error?: ErrorNote;
}

/** A verdict as it was written. */
export interface Settled extends Verdict {
  readonly state: OutboxState;
  readonly due: number | undefined;
}

interface HeldRow {
  readonly id: number;
  readonly state: OutboxState;
  readonly policy: OutboxPolicy;
  readonly tries: number;
}

/** What one worker reads and writes of the outbox's tables. Each method is one transaction; none waits. */
export class Ledger {
  readonly #database: DatabaseSync;
  readonly #worker: string;
  readonly #now: () => number;
  readonly #sql: ReturnType<typeof prepare>;
  /** Whether the next claim may hold the message that killed another worker. */
  #afterDeath = false;

  constructor(database: DatabaseSync, worker: string, now: () => number) {
    this.#database = database;
    this.#worker = worker;
    this.#now = now;
    this.#sql = prepare(database);
  }

  /** Whether a message is due. Only reads, so that polling does not take the write lock. */
  hasDue(): boolean {
    return this.#sql.due.get(this.#now()) !== undefined;
  }

  /**
   * Writes the verdicts and claims up to so many messages that are due, the oldest first. After another worker's death
   * they are shuffled once: were one of them what kills each worker that composes it, those behind it would never leave.
   */
  claim(limit: number, verdicts: readonly Verdict[]): { claims: Claim[]; settled: Settled[] } {
    return inTransaction(this.#database, () => {
      const settled = this.#settleAll(verdicts);
      const now = this.#now();
      const rows = this.#sql.claim.all(this.#worker, now + LEASE, now, limit) as unknown as (Claim & { due: number })[];
      // RETURNING promises no order.
      if (this.#afterDeath) shuffle(rows);
      else rows.sort((a, b) => a.due - b.due || a.id - b.id);
      this.#afterDeath = false;
      return { claims: rows.map(({ id, attempt }) => ({ id, attempt })), settled };
    });
  }

  /** The claimed message's content and remaining recipients; content is read one by one, for it may be large. */
  load(claim: Claim): ClaimedMessage {
    const row = this.#sql.message.get(claim.id);
    const recipients = this.#sql.outstanding.all(claim.id) as unknown as { address: string }[];
    if (row === undefined) throw new DeliveryError("aborted", `message ${claim.id} was removed from the outbox`);
    return {
      claim,
      messageId: row.message_id as string,
      date: new Date(row.date as number),
      content: row.content as Uint8Array | null,
      composer: row.composer as string | null,
      data: row.data as string | null,
      tries: row.tries as number,
      reversePath: row.reverse_path as string,
      forwardPaths: recipients.map(({ address }) => address),
    };
  }

  /**
   * Writes the verdicts, and that the claimed messages are about to leave, in one commit.
   *
   * @throws {DeliveryError} `aborted`, with nothing written, when another worker has taken over one of the messages.
   */
  commit(verdicts: readonly Verdict[], leaving: readonly Claim[] = []): Settled[] {
    return inTransaction(this.#database, () => {
      const settled = this.#settleAll(verdicts);
      for (const { id, attempt } of leaving) {
        const { changes } = this.#sql.committing.run(id, attempt, this.#worker);
        if (changes !== 1) throw new DeliveryError("aborted", `message ${id} was taken over by another worker`);
      }
      return settled;
    });
  }

  /** Extends the lease of everything that this worker holds. */
  renew(): void {
    this.#sql.renew.run(this.#now() + LEASE, this.#worker);
  }

  /** Gives back what this worker still holds: claimed is queued again; of committing nobody knows, so the policy decides. */
  release(): void {
    inTransaction(this.#database, () => {
      for (const row of this.#sql.held.all(this.#worker) as unknown as HeldRow[]) this.#giveBack(row);
    });
  }

  /** Gives back what other workers hold that are dead, or whose lease has lapsed, in the same ways. */
  takeOver(isDead: (worker: string) => boolean): { worker: string; count: number }[] {
    const others = this.#sql.others.all(this.#worker) as unknown as { worker: string; lease: number }[];
    const lapsed = others.filter(({ worker, lease }) => lease <= this.#now() || isDead(worker));
    return lapsed.map(({ worker }) =>
      inTransaction(this.#database, () => {
        const dead = isDead(worker);
        const rows = this.#sql.held.all(worker) as unknown as (HeldRow & { lease: number })[];
        // Renewed since it was read: the worker lives after all.
        const taken = rows.filter((row) => dead || row.lease <= this.#now());
        for (const row of taken) this.#giveBack(row);
        this.#afterDeath ||= taken.some(({ state }) => state === "claimed");
        return { worker, count: taken.length };
      }),
    );
  }

  #giveBack({ id, state, policy, tries }: HeldRow): void {
    if (state === "claimed") {
      this.#sql.unclaim.run(id);
      return;
    }
    this.#sql.doubt.run(id);
    this.#move(id, nextStateAfterDeath(policy, tries));
  }

  #settleAll(verdicts: readonly Verdict[]): Settled[] {
    return verdicts.flatMap((verdict) => this.#settle(verdict) ?? []);
  }

  /** A verdict counts only where id and attempt still match; it then counts even if the lease has lapsed meanwhile. */
  #settle(verdict: Verdict): Settled | undefined {
    const { id, attempt } = verdict.claim;
    const row = this.#sql.settling.get(id, attempt);
    if (row === undefined) return undefined;
    const decided = verdict.outcomes.filter(({ state }) => state !== "queued");
    for (const { address, state, reply } of decided) {
      this.#sql.recipient.run(state, reply === undefined ? null : JSON.stringify(reply), id, address);
    }
    const states = this.#sql.recipientStates.all(id) as unknown as { state: RecipientState }[];
    const next: NextState = verdict.cancelled
      ? { state: "cancelled", tries: row.tries as number, wait: 0 }
      : nextState({
          policy: row.policy as OutboxPolicy,
          recipients: new Set(states.map(({ state }) => state)),
          counted: decided.some(({ state }) => state === "deferred" || state === "unknown"),
          tries: row.tries as number,
          age: this.#now() - (row.earliest as number),
        });
    const due = this.#move(id, next, verdict.error);
    return { ...verdict, state: next.state, due };
  }

  #move(id: number, { state, tries, wait }: NextState, error?: ErrorNote): number | undefined {
    const due = this.#now() + wait;
    this.#sql.move.run(state, due, tries, error === undefined ? null : JSON.stringify(error), id);
    return state === "queued" || state === "deferred" ? due : undefined;
  }
}

/** Fisher and Yates's. */
function shuffle(rows: unknown[]): void {
  for (let last = rows.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [rows[last], rows[other]] = [rows[other], rows[last]];
  }
}

/** A recipient that has no final verdict. After a message of policy `hold` became unknown, that recipient has one. */
const OUTSTANDING = `(r.state in ('queued', 'deferred') or (r.state = 'unknown' and m.policy = 'resend'))`;

/**
 * The statements, each prepared once. Claims are one UPDATE with RETURNING: SQLite has one writer at a time, so no other
 * worker can claim between the inner SELECT and the update.
 */
function prepare(database: DatabaseSync) {
  const due = "state in ('queued', 'deferred') and due <= ?";
  return {
    due: database.prepare(`select 1 from posthaste_state where ${due} limit 1`),
    claim: database.prepare(`update posthaste_state
      set state = 'claimed', attempt = attempt + 1, worker = ?, lease = ?
      where id in (select id from posthaste_state where ${due} order by due, id limit ?)
      returning id, attempt, due`),
    message: database.prepare(
      "select m.*, s.tries from posthaste_message m join posthaste_state s on s.id = m.id where m.id = ?",
    ),
    outstanding:
      database.prepare(`select r.address from posthaste_recipient r join posthaste_message m on m.id = r.message
      where r.message = ? and ${OUTSTANDING} order by r.position`),
    committing: database.prepare(`update posthaste_state set state = 'committing'
      where id = ? and attempt = ? and worker = ? and state in ('claimed', 'committing')`),
    renew: database.prepare("update posthaste_state set lease = ? where worker = ?"),
    // Keeps its due time, and so its place before messages that were tried meanwhile.
    unclaim: database.prepare("update posthaste_state set state = 'queued', worker = null, lease = null where id = ?"),
    held: database.prepare(`select s.id, s.state, s.tries, s.lease, m.policy
      from posthaste_state s join posthaste_message m on m.id = s.id where s.worker = ?`),
    others: database.prepare(
      "select worker, min(lease) as lease from posthaste_state where worker is not null and worker <> ? group by worker",
    ),
    doubt: database.prepare(
      "update posthaste_recipient set state = 'unknown' where message = ? and state in ('queued', 'deferred')",
    ),
    settling: database.prepare(`select s.tries, m.policy, max(m.enqueued, coalesce(m.not_before, 0)) as earliest
      from posthaste_state s join posthaste_message m on m.id = s.id
      where s.id = ? and s.attempt = ? and s.state in ('claimed', 'committing', 'queued', 'unknown')`),
    recipient: database.prepare(
      "update posthaste_recipient set state = ?, reply = ? where message = ? and address = ?",
    ),
    recipientStates: database.prepare("select distinct state from posthaste_recipient where message = ?"),
    move: database.prepare(`update posthaste_state
      set state = ?, due = ?, tries = ?, error = ?, worker = null, lease = null where id = ?`),
  };
}
