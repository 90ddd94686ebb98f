import { sql, type Generated, type RawBuilder } from "kysely";

/** Milliseconds since 1970-01-01 UTC, by the database's clock. */
type Milliseconds = number;

/** One person, or whoever claims to be: inactive until an attempt is proved by its mail. */
export interface UserTable {
  id: string;
  /** As the attempt typed it that was activated last; until then as the first attempt did. */
  email: string;
  /** What makes two spellings one address; see email-key.ts. */
  email_key: string;
  password_hash: string | null;
  name: string;
  locale: string;
  is_active: Generated<0 | 1>;
  created_at: Milliseconds;
  activated_at: Milliseconds | null;
  /** Before this no further mail goes to the address, whichever attempt it belongs to. */
  next_mail_at: Generated<Milliseconds>;
}

/**
 * One attempt to prove something by a mail. `activation`: a sign-up. `notice`: a sign-up with an address that already
 * had an active user; it is written alike, so that nobody can tell, but proves nothing and its mail carries no link.
 */
export type TokenPurpose = "activation" | "notice";

/** The row that a token stands for. It holds nothing from which the token could be made. */
export interface TokenTable {
  /** 128 random bits in base64url. */
  id: string;
  purpose: TokenPurpose;
  user_id: string;
  email: string;
  name: string;
  locale: string;
  next: string | null;
  /** The password of this attempt; it becomes the user's when this attempt's mail is clicked. Null once it has. */
  password_hash: string | null;
  /** SHA-256 of the cookie of the browser that made the attempt. */
  browser_hash: string;
  created_at: Milliseconds;
  /** Null until the mail was composed for the first time, 24 hours before this. */
  expires_at: Milliseconds | null;
  used_at: Milliseconds | null;
  /** Set when another attempt was activated, or the owner of the address said "this was not me". */
  voided_at: Milliseconds | null;
  /** How many mails were queued, the first one included. */
  mails: number;
  mailed_at: Milliseconds;
}

/** One log-in. */
export interface SessionTable {
  /** SHA-256 of the session's token. */
  token_hash: string;
  user_id: string;
  created_at: Milliseconds;
  expires_at: Milliseconds;
}

/** One counted thing of one route, such as sign-ups from one network. */
export interface RateBucketTable {
  key: string;
  /** When the bucket will be full again; the generic cell rate algorithm's theoretical arrival time. */
  full_at: Milliseconds;
}

/** What happened to whom; never a password, token or cookie. */
export interface AuditTable {
  id: Generated<number>;
  at: Milliseconds;
  event: string;
  user_id: string | null;
  token_id: string | null;
  /** The client's network: an IPv4 address or an IPv6 /64. */
  network: string;
}

/** The tables of accounts; the prefix keeps them apart from the application's own `users`. */
export interface AccountsDatabase {
  posthaste_user: UserTable;
  posthaste_token: TokenTable;
  posthaste_session: SessionTable;
  posthaste_rate_bucket: RateBucketTable;
  posthaste_audit: AuditTable;
}

/**
 * Now, by the database's clock, in milliseconds. Several processes have several clocks; the database has one.
 * SQLite gives every call within one statement the same value.
 */
export const databaseNow: RawBuilder<number> = sql<number>`cast(unixepoch('subsec') * 1000 as integer)`;
