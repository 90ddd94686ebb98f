import type { SmtpError } from "../../errors.ts";
import type { Extensions } from "./extension.ts";
import type { TransactionOutcome } from "./transaction.ts";

/** What whoever drives the machine has to do, in order. */
export type Output =
  | { readonly type: "write"; readonly octets: Uint8Array }
  /** Make TLS on the connection, then call `tlsEstablished`. */
  | { readonly type: "upgrade-tls" }
  /** Call `sasl` with the mechanism's response. The challenge is undefined where the mechanism may speak first. */
  | { readonly type: "need-sasl"; readonly mechanism: string; readonly challenge: Uint8Array | undefined }
  /** The session takes mail transactions. */
  | { readonly type: "ready"; readonly extensions: Extensions }
  /** Call `content` for each chunk, then `endOfContent`. */
  | { readonly type: "need-content" }
  /** The transaction is over. */
  | { readonly type: "done"; readonly outcome: TransactionOutcome }
  /** The session is over. A `done` for the transaction that it interrupted came before. */
  | { readonly type: "failed"; readonly error: SmtpError }
  /** After `quit`: close the connection; the reply is not awaited. */
  | { readonly type: "closed" };
