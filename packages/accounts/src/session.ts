import { sql } from "kysely";
import { audit, newSecret, secretHash, type AccountsContext } from "./context.ts";
import { databaseNow } from "./database.ts";

/** How long a log-in lasts: two weeks, as in Django; milliseconds. */
export const SESSION_LIFETIME = 14 * 86_400_000;

/** The user of a session. */
export interface SessionUser {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly locale: string;
}

/**
 * Begins a session and ends the one that the browser had before, so that nobody can prepare a session for somebody else.
 *
 * @returns the session's token, of which the database keeps a hash only; undefined when the user is gone by now.
 */
export function beginSession(
  context: AccountsContext,
  login: { readonly userId: string; readonly previous: string | undefined; readonly network: string },
): Promise<string | undefined> {
  const secret = newSecret();
  return context.db.transaction().execute(async (tx) => {
    await tx
      .deleteFrom("posthaste_session")
      .where((where) =>
        where.or([
          where("token_hash", "=", secretHash(login.previous ?? "")),
          where.and([where("user_id", "=", login.userId), where("expires_at", "<=", databaseNow)]),
        ]),
      )
      .execute();
    const session = await tx
      .insertInto("posthaste_session")
      .columns(["token_hash", "user_id", "created_at", "expires_at"])
      .expression((insert) =>
        insert
          .selectFrom("posthaste_user")
          .where("id", "=", login.userId)
          .where("is_active", "=", 1)
          .select([
            sql<string>`${secretHash(secret)}`.as("token_hash"),
            "id as user_id",
            databaseNow.as("created_at"),
            sql<number>`${databaseNow} + ${SESSION_LIFETIME}`.as("expires_at"),
          ]),
      )
      .returning("user_id")
      .executeTakeFirst();
    if (session === undefined) return undefined;
    await audit(tx, "login", { userId: login.userId, network: login.network });
    return secret;
  });
}

/** The user whose session this is, if it is one. */
export function sessionUser(context: AccountsContext, secret: string): Promise<SessionUser | undefined> {
  return context.db
    .selectFrom("posthaste_session as session")
    .innerJoin("posthaste_user as user", "user.id", "session.user_id")
    .where("session.token_hash", "=", secretHash(secret))
    .where("session.expires_at", ">", databaseNow)
    .where("user.is_active", "=", 1)
    .select(["user.id", "user.email", "user.name", "user.locale"])
    .executeTakeFirst();
}

/** Ends the session, if it is one. */
export async function endSession(context: AccountsContext, secret: string): Promise<void> {
  await context.db.deleteFrom("posthaste_session").where("token_hash", "=", secretHash(secret)).execute();
}
