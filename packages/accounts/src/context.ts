import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Kysely, Transaction } from "kysely";
import type { KeyRing } from "./key-ring.ts";
import { databaseNow, type AccountsDatabase } from "./database.ts";
import type { PasswordHasher } from "./password.ts";
import type { Limits } from "./rate-limit.ts";

/**
 * Who may activate by opening the link (GET); see attempt.ts.
 *
 * - `same-browser`: the browser that signed up, and programs that ask for JSON. Anyone else gets a button and is asked
 *   for the password, for scanners of mail open links too.
 * - `click`: everyone. A mail scanner then activates the accounts of strangers.
 * - `button`: nobody; the page has a button that posts.
 */
export type ActivationPolicy = "same-browser" | "click" | "button";

/** What the routes share. */
export interface AccountsContext {
  readonly db: Kysely<AccountsDatabase>;
  readonly keys: KeyRing;
  readonly publicUrl: URL;
  /** The addr-spec that bounces go to. */
  readonly reversePath: string;
  readonly activation: ActivationPolicy;
  readonly hasher: PasswordHasher;
  readonly limits: Limits;
  readonly links: readonly { readonly href: string; readonly label: string }[];
  onEnqueued(): void;
  onError(error: unknown): void;
}

/** A random secret of 256 bits, as cookies and bearers carry it. */
export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** How the database keeps a secret of 256 bits: a fast hash will do, since nobody can try 2^256 of them. */
export function secretHash(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

/** Compares two hashes in constant time. */
export function sameHash(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
}

/** Writes down what happened. */
export async function audit(
  tx: Transaction<AccountsDatabase>,
  event: string,
  entry: { userId?: string | null | undefined; tokenId?: string | null | undefined; network: string },
): Promise<void> {
  const { userId = null, tokenId = null, network } = entry;
  await tx
    .insertInto("posthaste_audit")
    .values({ at: databaseNow, event, user_id: userId, token_id: tokenId, network })
    .execute();
}
