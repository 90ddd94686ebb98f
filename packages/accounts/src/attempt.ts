/**
 * Attempts: what lies between somebody's sign-up and the click in the mail.
 *
 * Whoever signs up chooses a password, a name and a language; none of it is the user's until the mail is clicked, for
 * anybody can sign up with anybody's address. Each sign-up is an attempt of its own. The attempt whose mail is clicked
 * gives the user its password and voids all others, so neither the first nor the last to use an address gets in, but
 * the one who reads its mail.
 *
 * A sign-up writes the same rows, whether the address is new, waiting or active, with the same statements; only the
 * purpose that the database gives the row differs, and the composer reads it later. So no answer, and no time that an
 * answer takes, tells a stranger which it was.
 *
 * An attempt is open until it is used (used_at), voided (voided_at) or expired. expires_at is set when the mail is first
 * composed, and anew while no server has spoken of it: an outage of the mail server takes nothing from the 24 hours.
 */
import { randomUUID } from "node:crypto";
import { enqueue } from "@posthaste/outbox";
import { sql, type Selectable, type SqlBool, type Expression, type Transaction } from "kysely";
import { audit, type AccountsContext } from "./context.ts";
import { databaseNow, type AccountsDatabase, type TokenTable } from "./database.ts";
import { parseEmail, type EmailAddress } from "./email-key.ts";
import type { Locale } from "./locale.ts";
import { newTokenId } from "./token.ts";

/** The composer of the activation mail; a row of the outbox says which attempt it is for. */
export const ACTIVATION_COMPOSER = "accounts.activation";

/** How long a link works after its first mail was composed: 24 hours, in milliseconds. */
export const TOKEN_LIFETIME = 86_400_000;
/** Mails to one address are at least this far apart, over all attempts; milliseconds. */
const MAIL_INTERVAL = 60_000;
/** The first mail and five more. An attempt lives a day, so that is five a day. */
const MAILS_PER_ATTEMPT = 6;

export interface SignUp {
  readonly email: EmailAddress;
  readonly passwordHash: string;
  readonly browserHash: string;
  readonly name: string;
  readonly locale: Locale;
  readonly next: string | null;
  readonly network: string;
}

/** User, attempt, mail and audit row, all or none. */
export async function signUp(context: AccountsContext, fields: SignUp): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    await tx
      .insertInto("posthaste_user")
      .values({
        id: randomUUID(),
        email: fields.email.typed,
        email_key: fields.email.key,
        name: "",
        locale: fields.locale,
        created_at: databaseNow,
      })
      .onConflict((conflict) => conflict.column("email_key").doNothing())
      .execute();
    const attempt = await insertAttempt(tx, fields);
    await mail(tx, context, attempt);
    await audit(tx, "signup", { userId: attempt.user_id, tokenId: attempt.id, network: fields.network });
  });
  context.onEnqueued();
}

type MailedAttempt = Pick<Selectable<TokenTable>, "id" | "user_id" | "email">;

/** The mail about an active user goes to that user's address, not to what a stranger typed. */
function insertAttempt(tx: Transaction<AccountsDatabase>, fields: SignUp): Promise<MailedAttempt> {
  const { name, locale, next, passwordHash, browserHash } = fields;
  const columns = [
    ...["id", "purpose", "user_id", "email", "name", "locale", "next", "password_hash", "browser_hash"],
    ...["created_at", "mails", "mailed_at"],
  ] as (keyof TokenTable)[];
  return tx
    .insertInto("posthaste_token")
    .columns(columns)
    .expression((insert) =>
      insert
        .selectFrom("posthaste_user")
        .where("email_key", "=", fields.email.key)
        .select([
          sql<string>`${newTokenId()}`.as("id"),
          sql<string>`case is_active when 1 then 'notice' else 'activation' end`.as("purpose"),
          "id as user_id",
          sql<string>`case is_active when 1 then email else ${fields.email.typed} end`.as("email"),
          sql<string>`${name}`.as("name"),
          sql<string>`${locale}`.as("locale"),
          sql<string | null>`${next}`.as("next"),
          sql<string>`${passwordHash}`.as("password_hash"),
          sql<string>`${browserHash}`.as("browser_hash"),
          databaseNow.as("created_at"),
          sql<number>`1`.as("mails"),
          databaseNow.as("mailed_at"),
        ]),
    )
    .returning(["id", "user_id", "email"])
    .executeTakeFirstOrThrow();
}

/** Queues the attempt's mail, a minute after the last one to this address at the earliest. None is dropped. */
async function mail(
  tx: Transaction<AccountsDatabase>,
  context: AccountsContext,
  attempt: MailedAttempt,
): Promise<void> {
  const { slot, now } = await tx
    .updateTable("posthaste_user")
    .set({ next_mail_at: sql<number>`max(next_mail_at, ${databaseNow}) + ${MAIL_INTERVAL}` })
    .where("id", "=", attempt.user_id)
    .returning([sql<number>`next_mail_at - ${MAIL_INTERVAL}`.as("slot"), databaseNow.as("now")])
    .executeTakeFirstOrThrow();
  const message = {
    composer: ACTIVATION_COMPOSER,
    data: { attempt: attempt.id },
    envelope: { reversePath: context.reversePath, forwardPaths: [parseEmail(attempt.email).addrSpec] },
  };
  await enqueue(tx, message, slot > now ? { notBefore: new Date(slot) } : {});
}

/** An attempt as the routes see it. */
export type Attempt = Pick<
  Selectable<TokenTable>,
  "id" | "email" | "locale" | "next" | "password_hash" | "browser_hash" | "user_id"
> & { readonly state: "open" | "active" | "expired" | "void" };

/** The attempt with this id, and what has become of it: `active` means that its user is, by whichever attempt. */
export async function findAttempt(context: AccountsContext, id: string): Promise<Attempt | undefined> {
  return context.db
    .selectFrom("posthaste_token as token")
    .innerJoin("posthaste_user as user", "user.id", "token.user_id")
    .where("token.id", "=", id)
    .where("token.purpose", "=", "activation")
    .select(["token.id", "token.email", "token.locale", "token.next", "token.password_hash", "token.browser_hash"])
    .select(["token.user_id", attemptState.as("state")])
    .executeTakeFirst();
}

const attemptState = sql<Attempt["state"]>`case
  when user.is_active = 1 then 'active'
  when token.voided_at is not null or token.used_at is not null then 'void'
  when token.expires_at <= ${databaseNow} then 'expired'
  else 'open' end`;

/** Still to be used: by the database's clock, in the statement that uses it. */
export const isOpen: Expression<SqlBool> = sql<SqlBool>`
  used_at is null and voided_at is null and coalesce(expires_at > ${databaseNow}, 1)`;

/**
 * Uses the attempt up and makes its password, name and language the user's. The conditional UPDATE decides: of twenty
 * clicks at once it matches for one.
 *
 * @returns whether this call was the one that activated.
 */
export function activate(context: AccountsContext, id: string, network: string): Promise<boolean> {
  return context.db.transaction().execute(async (tx) => {
    const attempt = await tx
      .updateTable("posthaste_token")
      .set({ used_at: databaseNow })
      .where("id", "=", id)
      .where("purpose", "=", "activation")
      .where(isOpen)
      .returning(["user_id", "email", "name", "locale", "password_hash"])
      .executeTakeFirst();
    if (attempt === undefined) return false;
    const { user_id: userId, ...given } = attempt;
    await tx
      .updateTable("posthaste_user")
      .set({ ...given, is_active: 1, activated_at: databaseNow })
      .where("id", "=", userId)
      .where("is_active", "=", 0)
      .execute();
    await closeAttempts(tx, userId, id);
    await audit(tx, "activated", { userId, tokenId: id, network });
    return true;
  });
}

/**
 * Voids the user's other attempts. They keep their password until they expire, for login.ts, which would else betray to
 * a stranger that the owner has activated; for the same reason they must expire even where no mail was composed.
 */
async function closeAttempts(tx: Transaction<AccountsDatabase>, userId: string, usedId: string): Promise<void> {
  await tx.updateTable("posthaste_token").set({ password_hash: null }).where("id", "=", usedId).execute();
  await tx.updateTable("posthaste_token").set(VOIDED).where("user_id", "=", userId).where("id", "!=", usedId).execute();
}

const VOIDED = {
  voided_at: sql<number>`coalesce(voided_at, ${databaseNow})`,
  expires_at: sql<number>`coalesce(expires_at, ${databaseNow} + ${TOKEN_LIFETIME})`,
};

/** "This was not me": the attempt can never be used; its record stays. */
export function decline(context: AccountsContext, id: string, network: string): Promise<void> {
  return context.db.transaction().execute(async (tx) => {
    const attempt = await tx
      .updateTable("posthaste_token")
      .set(VOIDED)
      .where("id", "=", id)
      .where("purpose", "=", "activation")
      .where("used_at", "is", null)
      .where("voided_at", "is", null)
      .returning("user_id")
      .executeTakeFirst();
    if (attempt !== undefined) await audit(tx, "declined", { userId: attempt.user_id, tokenId: id, network });
  });
}

/**
 * Sends the mail of an attempt again: of the one that this browser made, else of the latest that waits. One that has
 * expired is renewed, since its link is dead. A mail that was never composed is still on its way and will do.
 *
 * The browser's own attempt is treated alike whatever became of it, a notice and a voided attempt (of whose mail the
 * composer makes nothing) included: were only open ones renewed, login.ts would betray to a stranger which they are.
 */
export async function resend(
  context: AccountsContext,
  request: { readonly email: EmailAddress; readonly browserHash: string; readonly network: string },
): Promise<void> {
  const own = sql<SqlBool>`token.browser_hash = ${request.browserHash}`;
  const queued = await context.db.transaction().execute(async (tx) => {
    const attempt = await tx
      .selectFrom("posthaste_token as token")
      .innerJoin("posthaste_user as user", "user.id", "token.user_id")
      .where("user.email_key", "=", request.email.key)
      .where("token.password_hash", "is not", null)
      .where(sql<SqlBool>`${own} or (user.is_active = 0 and token.voided_at is null)`)
      .orderBy(own, "desc")
      .orderBy("token.created_at", "desc")
      .selectAll("token")
      .select(sql<0 | 1>`coalesce(token.expires_at <= ${databaseNow}, 0)`.as("expired"))
      .executeTakeFirst();
    const chosen = attempt === undefined ? undefined : await anotherMail(tx, attempt);
    if (chosen !== undefined) await mail(tx, context, chosen);
    // Written for every address alike, so that each request costs one durable commit.
    await audit(tx, "resend", { userId: chosen?.user_id, tokenId: chosen?.id, network: request.network });
    return chosen !== undefined;
  });
  if (queued) context.onEnqueued();
}

type ResendableAttempt = Selectable<TokenTable> & { readonly expired: 0 | 1 };

/** The attempt whose mail may be queued now, counted; undefined where it had one less than a minute ago, or six. */
async function anotherMail(
  tx: Transaction<AccountsDatabase>,
  attempt: ResendableAttempt,
): Promise<MailedAttempt | undefined> {
  const { expired, ...row } = attempt;
  const counted = await tx
    .updateTable("posthaste_token")
    .set({ mails: sql<number>`mails + 1`, mailed_at: databaseNow })
    .where("id", "=", row.id)
    .where("mailed_at", "<=", sql<number>`${databaseNow} - ${MAIL_INTERVAL}`)
    .where("expires_at", "is not", null)
    .$if(expired === 0, (update) => update.where("mails", "<", MAILS_PER_ATTEMPT))
    .returning(["id", "user_id", "email"])
    .executeTakeFirst();
  if (counted === undefined || expired === 0) return counted;
  const id = newTokenId();
  // A voided attempt's mail is never composed, which would set it.
  const expiry = row.voided_at === null ? null : sql<number>`${databaseNow} + ${TOKEN_LIFETIME}`;
  const renewed = { ...row, id, created_at: databaseNow, expires_at: expiry, mails: 1, mailed_at: databaseNow };
  await tx.insertInto("posthaste_token").values(renewed).execute();
  await tx.updateTable("posthaste_token").set({ password_hash: null }).where("id", "=", row.id).execute();
  return { ...counted, id };
}
