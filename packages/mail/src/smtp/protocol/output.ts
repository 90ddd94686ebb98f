import type { Reply } from "../../delivery.ts";
import type { SmtpError } from "../../errors.ts";
import type { Extensions } from "./extension.ts";
import type { TransactionOutcome, TransactionRequest } from "./transaction.ts";

/** What whoever drives the machine has to do, in order. */
export type Output<Request extends TransactionRequest = TransactionRequest> =
  | { readonly type: "write"; readonly octets: Uint8Array }
  /** Make TLS on the connection, then call `tlsEstablished`. */
  | { readonly type: "upgrade-tls" }
  /** Call `sasl` with the mechanism's response. The challenge is undefined where the mechanism may speak first. */
  | { readonly type: "need-sasl"; readonly mechanism: string; readonly challenge: Uint8Array | undefined }
  /** The session takes mail transactions. */
  | { readonly type: "ready"; readonly extensions: Extensions }
  /** Call `content` for each piece of the request's content, then `endOfContent`. */
  | { readonly type: "need-content"; readonly request: Request }
  /** The transaction is over. */
  | { readonly type: "done"; readonly request: Request; readonly outcome: TransactionOutcome }
  /** The reply to `noop` came. */
  | { readonly type: "alive" }
  /** The session is over. A `done` for each transaction that it interrupted came before. */
  | { readonly type: "failed"; readonly error: SmtpError }
  /** After `quit`: close the connection; the reply is not awaited. */
  | { readonly type: "closed" };

/** Who wants to see the conversation: each command as it leaves, with secrets masked, and each reply as it comes. */
export interface Observer {
  command(verb: string, line: string): void;
  reply(verb: string, reply: Reply): void;
}
