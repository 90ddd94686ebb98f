import { DatabaseSync } from "node:sqlite";
import { CompiledQuery } from "kysely";
import type { QueryResult } from "kysely";
import { EmailMessage, MessageError, makeMessageId } from "posthaste";
import type { DeliverableMessage, Envelope } from "posthaste";
import { jsonText } from "./json.ts";
import type { JsonValue } from "./json.ts";
import type { OutboxPolicy } from "./state.ts";

/**
 * What to send: a message, which is rendered now, or the name of a composer and the data from which it makes the message
 * when it is about to be sent. Data is JSON of at most 64 KiB.
 */
export type OutboxMessage =
  | DeliverableMessage
  | {
      /** The composer's name: letters, digits, `.`, `-` and `_`, at most 100. */
      readonly composer: string;
      /** What the composer is given; at most 64 KiB of JSON. */
      readonly data: JsonValue;
      /** To whom the message will go: fixed now, whatever the composer writes into its header. */
      readonly envelope: Envelope;
      /** The domain of the Message-ID that is made now. Default: the reverse-path's. */
      readonly messageIdDomain?: string;
    };

/** Options of {@link enqueue}. */
export interface EnqueueOptions {
  /** Not to be sent earlier than this. Default: at once. */
  readonly notBefore?: Date;
  /** What to do if nobody can know whether the message was accepted. Default: `resend`, with the same bytes and Message-ID. */
  readonly policy?: OutboxPolicy;
}

/** A message in the outbox. */
export interface Enqueued {
  /** Names the message in the outbox, and in the worker's events. */
  readonly id: string;
  /** The Message-ID with its angle brackets, the same on every attempt. */
  readonly messageId: string;
}

/** What {@link enqueue} needs of Kysely: a `Kysely` or `Transaction` of any schema is one. */
export interface KyselyExecutor {
  /** Whether it is a `Transaction`; else {@link enqueue} opens one. */
  readonly isTransaction: boolean;
  /** Kysely's own, for SQL that is written out. */
  executeQuery<R>(query: CompiledQuery<R>): Promise<QueryResult<R>>;
  /** Kysely's own; never called of a `Transaction`. */
  transaction(): { execute<T>(run: (transaction: KyselyExecutor) => Promise<T>): Promise<T> };
}

/** Postfix's `smtpd_recipient_limit`: more in one transaction is refused by most servers. */
const MAX_RECIPIENTS = 1000;
/** More than the large providers take: 25 to 35 MB, encoded. */
const MAX_CONTENT_OCTETS = 50 * 1024 * 1024;
const COMPOSER_NAME = /^[A-Za-z0-9._-]{1,100}$/;

const INSERT_MESSAGE = `insert into posthaste_message
  (message_id, date, enqueued, not_before, reverse_path, policy, content, composer, data)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?) returning id`;
const INSERT_RECIPIENTS = `insert into posthaste_recipient (message, address, position, state)
  select ?, value, key, 'queued' from json_each(?)`;
/** Last, so that a message is never claimed before it is whole. */
const INSERT_STATE = "insert into posthaste_state (id, state, due) values (?, 'queued', ?)";

interface EnqueuedRow {
  readonly messageId: string;
  readonly message: readonly (string | number | Buffer | null)[];
  readonly recipients: string;
  readonly due: number;
}

/**
 * Puts a message into the outbox, inside the caller's transaction: it will be sent if that commits, and never existed if
 * it rolls back.
 *
 * With a `DatabaseSync` everything has happened when the call returns, and an error is thrown at once rather than by the
 * promise, so that a transaction without any `await` rolls back. With Kysely outside a transaction it opens one.
 *
 * @param tx a Kysely transaction, or a `DatabaseSync` on which the caller has begun one.
 * @throws {MessageError} when a field is wrong, too large, or there is no recipient.
 * @throws {AddressError} when an address of the envelope is not one.
 */
export function enqueue(
  tx: DatabaseSync | KyselyExecutor,
  message: OutboxMessage,
  options: EnqueueOptions = {},
): Promise<Enqueued> {
  if (tx instanceof DatabaseSync) return Promise.resolve(insertNow(tx, toRow(message, options)));
  return insertLater(tx, message, options);
}

function insertNow(database: DatabaseSync, row: EnqueuedRow): Enqueued {
  // A savepoint is a transaction where none is open, and keeps a half-written message out of one that is.
  database.exec("savepoint posthaste_enqueue");
  try {
    const id = Number(database.prepare(INSERT_MESSAGE).get(...row.message)?.id);
    database.prepare(INSERT_RECIPIENTS).run(id, row.recipients);
    database.prepare(INSERT_STATE).run(id, row.due);
    database.exec("release posthaste_enqueue");
    return { id: String(id), messageId: row.messageId };
  } catch (error) {
    if (database.isTransaction) database.exec("rollback to posthaste_enqueue; release posthaste_enqueue");
    throw error;
  }
}

async function insertLater(tx: KyselyExecutor, message: OutboxMessage, options: EnqueueOptions): Promise<Enqueued> {
  const row = toRow(message, options);
  if (!tx.isTransaction) return tx.transaction().execute((transaction) => insertWith(transaction, row));
  return insertWith(tx, row);
}

async function insertWith(tx: KyselyExecutor, row: EnqueuedRow): Promise<Enqueued> {
  const { rows } = await tx.executeQuery<{ id: number }>(CompiledQuery.raw(INSERT_MESSAGE, [...row.message]));
  const id = Number(rows[0]?.id);
  await tx.executeQuery(CompiledQuery.raw(INSERT_RECIPIENTS, [id, row.recipients]));
  await tx.executeQuery(CompiledQuery.raw(INSERT_STATE, [id, row.due]));
  return { id: String(id), messageId: row.messageId };
}

function toRow(message: OutboxMessage, options: EnqueueOptions): EnqueuedRow {
  const now = Date.now();
  const notBefore = options.notBefore === undefined ? null : checkTime(options.notBefore);
  const body = "composer" in message ? composed(message) : rendered(message);
  const { messageId, envelope, content, composer, data } = body;
  return {
    messageId,
    message: [
      messageId,
      now,
      now,
      notBefore,
      envelope.reversePath,
      checkPolicy(options.policy ?? "resend"),
      content,
      composer,
      data,
    ],
    recipients: JSON.stringify(envelope.forwardPaths),
    due: Math.max(now, notBefore ?? 0),
  };
}

interface Body {
  readonly messageId: string;
  readonly envelope: Envelope;
  readonly content: Buffer | null;
  readonly composer: string | null;
  readonly data: string | null;
}

function rendered(message: DeliverableMessage): Body {
  const bytes = message.toBytes();
  if (bytes.length > MAX_CONTENT_OCTETS) {
    throw new MessageError("too-large", `the message has more than ${MAX_CONTENT_OCTETS} octets: make it smaller`);
  }
  const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return { ...checkRoute(message.envelope(), message.messageId), content, composer: null, data: null };
}

function composed(message: Exclude<OutboxMessage, DeliverableMessage>): Body {
  const { composer, data, envelope, messageIdDomain } = message;
  if (typeof composer !== "string" || !COMPOSER_NAME.test(composer)) {
    throw badValue("composer", "is not a name of 1 to 100 letters, digits, '.', '-' and '_'");
  }
  if (envelope.reversePath === "" && messageIdDomain === undefined) {
    throw badValue("messageIdDomain", "is needed where the reverse-path is empty");
  }
  const messageId = messageIdDomain === undefined ? undefined : makeMessageId(messageIdDomain);
  return { ...checkRoute(envelope, messageId), content: null, composer, data: jsonText(data) };
}

/**
 * The envelope in canonical form, by the same rules as those of a message, which the transport will hold it to. A
 * Message-ID is made where none is given.
 */
function checkRoute(
  { reversePath, forwardPaths, dsn }: Envelope,
  messageId?: string,
): Pick<Body, "messageId" | "envelope"> {
  if (dsn !== undefined) throw badValue("dsn", "is not kept by the outbox: leave it out, or send without the outbox");
  if (forwardPaths.length === 0) {
    const message = "the message has no recipient: fill to, cc or bcc, or forwardPaths";
    throw new MessageError("no-recipients", message, { field: "forwardPaths" });
  }
  if (forwardPaths.length > MAX_RECIPIENTS)
    throw badValue("forwardPaths", `holds more than ${MAX_RECIPIENTS} recipients`);
  const bounce = reversePath === ""; // RFC 5321 section 4.5.5: the null reverse-path, which is no author
  const probe = new EmailMessage({ from: bounce ? "postmaster@localhost" : reversePath, to: forwardPaths, messageId });
  const envelope = probe.envelope();
  return { messageId: probe.messageId, envelope: { ...envelope, reversePath: bounce ? "" : envelope.reversePath } };
}

function checkTime(time: Date): number {
  if (time instanceof Date && !Number.isNaN(time.getTime())) return time.getTime();
  throw badValue("notBefore", "is not a valid Date");
}

function checkPolicy(policy: OutboxPolicy): OutboxPolicy {
  const known: readonly string[] = ["resend", "hold"];
  if (known.includes(policy)) return policy;
  throw badValue("policy", "is neither 'resend' nor 'hold'");
}

function badValue(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
