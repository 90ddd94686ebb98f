import { sql, type Kysely } from "kysely";
import { databaseNow, type AccountsDatabase } from "./database.ts";

/** So many requests in so many seconds. A flood is stopped after `requests`; then one more every seconds / requests. */
export interface Limit {
  /** How many may come at once: a whole number from 1 on. */
  readonly requests: number;
  /** In which so many more may come: above 0, and at most one request a millisecond. */
  readonly seconds: number;
}

/** What is limited. A network is an IPv4 address or an IPv6 /64; an address is an e-mail address, known or not. */
export interface Limits {
  /** Sign-ups from one network. Default 20 an hour. */
  readonly signupPerNetwork: Limit;
  /** Sign-ups from one network with one address. Default 10 an hour. */
  readonly signup: Limit;
  /** Sign-ups with one address, from wherever: so many that no single network uses them up. Default 100 an hour. */
  readonly signupPerAddress: Limit;
  /** Requests for another mail from one network. Default 20 an hour. */
  readonly resendPerNetwork: Limit;
  /** Requests for another mail to one address. Default 10 an hour. */
  readonly resendPerAddress: Limit;
  /** Log-ins from one network: each costs a password hash, for which everybody else waits. Default 60 a minute. */
  readonly loginPerNetwork: Limit;
  /** Log-ins from one network with one address. Default 10 a minute. */
  readonly login: Limit;
  /** Passwords tried for one activation link. Default 10 a minute. */
  readonly activationPassword: Limit;
}

export const DEFAULT_LIMITS: Limits = Object.freeze({
  signupPerNetwork: { requests: 20, seconds: 3600 },
  signup: { requests: 10, seconds: 3600 },
  signupPerAddress: { requests: 100, seconds: 3600 },
  resendPerNetwork: { requests: 20, seconds: 3600 },
  resendPerAddress: { requests: 10, seconds: 3600 },
  loginPerNetwork: { requests: 60, seconds: 60 },
  login: { requests: 10, seconds: 60 },
  activationPassword: { requests: 10, seconds: 60 },
});

/**
 * Takes one from the bucket `name|subject`. One statement, so that it holds between processes; a request that is
 * refused takes nothing. The generic cell rate algorithm: a window that starts anew would let twice as many through
 * around its edge, and a row per request would grow with the flood.
 *
 * @returns undefined when there was one to take, else the seconds after which there surely is.
 */
export async function takeFromBucket(
  db: Kysely<AccountsDatabase>,
  limit: Limit,
  name: keyof Limits,
  subject: string,
): Promise<number | undefined> {
  const window = limit.seconds * 1000;
  const step = Math.floor(window / limit.requests);
  const fullAt = sql<number>`max(posthaste_rate_bucket.full_at, ${databaseNow}) + ${step}`;
  const taken = await db
    .insertInto("posthaste_rate_bucket")
    .values({ key: `${name}|${subject}`, full_at: sql<number>`${databaseNow} + ${step}` })
    .onConflict((conflict) =>
      conflict
        .column("key")
        .doUpdateSet({ full_at: fullAt })
        .where(sql<boolean>`${fullAt} <= ${databaseNow} + ${window}`),
    )
    .returning("key")
    .executeTakeFirst();
  return taken === undefined ? Math.max(1, Math.ceil(step / 1000)) : undefined;
}
