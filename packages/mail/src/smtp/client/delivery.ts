import type { TransactionOutcome, TransactionRequest } from "../protocol/transaction.ts";
import type { SmtpSession } from "./session.ts";

/** One mail transaction that a session carries out. */
export interface Delivery extends TransactionRequest {
  readonly content: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** Set by the session, where the content goes by BDAT. */
  chunk?: Uint8Array | undefined;
  /** Whether its end of data may leave: undefined where it may, else what is to be awaited. */
  mark(): Promise<void> | undefined;
  /** What became of it. Called once. */
  settle(outcome: TransactionOutcome, session: SmtpSession): void;
}
