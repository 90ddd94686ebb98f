/** What a client may be waiting for. `content`: that the peer takes the next block of it. */
export type Verb =
  | "greeting"
  | "EHLO"
  | "HELO"
  | "LHLO"
  | "STARTTLS"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "BDAT"
  | "content"
  | "end-of-data"
  | "RSET"
  | "NOOP"
  | "QUIT";

/**
 * How long to wait for each, in milliseconds (RFC 5321 section 4.5.3.2). The end of data is apart from the others: who
 * gives up there too early sends the message twice (section 4.5.3.2.6). The reply to BDAT is one to the end of data.
 */
export const TIMEOUT_MS = {
  greeting: 300_000,
  EHLO: 300_000,
  HELO: 300_000,
  LHLO: 300_000,
  STARTTLS: 120_000,
  AUTH: 120_000,
  MAIL: 300_000,
  RCPT: 300_000,
  DATA: 120_000,
  BDAT: 600_000,
  content: 180_000,
  "end-of-data": 600_000,
  RSET: 300_000,
  NOOP: 300_000,
  QUIT: 5_000,
} as const satisfies Record<Verb, number>;
