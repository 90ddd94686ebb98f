/**
 * The mail transactions of a session, from the first MAIL on.
 *
 *     step         left by                                     to
 *     envelope     354, and a recipient was accepted           content
 *                  every reply is there, otherwise             done, and RSET is needed
 *     content      endOfContent()                              end of data
 *     end of data  its reply, of LMTP one per recipient        done
 *
 * A message that goes by BDAT has its chunk in the envelope's group, and is done with the reply to the chunk.
 */
import type { Reply } from "../../delivery.ts";
import type { SmtpError } from "../../errors.ts";
import { type Command, command, LocalProtocolError } from "./command.ts";
import type { Extensions } from "./extension.ts";
import type { Pipeline, Step } from "./pipeline.ts";
import { isIntermediate, isPositive, refusal, unexpected } from "./reply.ts";
import { allowedSchedule, depth, type Schedule, slower } from "./schedule.ts";
import type { ConnectionOptions } from "./session-initiation.ts";
import {
  alike,
  type Closing,
  lacking,
  Transaction,
  transactionCommands,
  type TransactionRequest,
} from "./transaction.ts";
import { TransparencyEncoder } from "./transparency.ts";

const RSET = command("RSET", "RSET");
const END_OF_DATA = command("end-of-data", ".");

/** LMTP's first reply to a chunk may say these of the command or of a recipient; 500 and 502 only of the command. */
const MISPLACED: ReadonlySet<number> = new Set([501, 503, 504]);

export class MailTransactions<Request extends TransactionRequest> {
  readonly #pipeline: Pipeline<Request>;
  readonly #extensions: Extensions;
  readonly #isLmtp: boolean;
  #schedule: Schedule;
  /** Handed over and not done, in order. */
  #transactions: Transaction<Request>[] = [];
  /** Whose content is being written. */
  #content: Transaction<Request> | undefined;
  #needsReset = false;
  /** A chunk was accepted, so the server eats chunks. */
  #windowIsOpen = false;
  #transparency = new TransparencyEncoder();

  constructor(options: ConnectionOptions, extensions: Extensions, pipeline: Pipeline<Request>) {
    this.#pipeline = pipeline;
    this.#extensions = extensions;
    this.#isLmtp = options.protocol === "lmtp";
    this.#schedule = allowedSchedule(options.schedule, extensions);
  }

  get isEmpty(): boolean {
    return this.#transactions.length === 0;
  }

  get awaitsContent(): boolean {
    return this.#content !== undefined;
  }

  /** Whether the content of messages that are bytes is to be handed over as a chunk. */
  get takesChunks(): boolean {
    return typeof this.#schedule === "object";
  }

  /** Whether `deliver` may be called: the schedule has room for another transaction. */
  get hasRoom(): boolean {
    const last = this.#transactions.at(-1);
    if (last === undefined) return true;
    if (this.#transactions.length >= depth(this.#schedule)) return false;
    // A server that answered once only, against RFC 2033, would have its reply to RSET taken for a recipient's verdict.
    if (this.#isLmtp && last.request.envelope.forwardPaths.length > 1) return false;
    return last.chunk === undefined ? last.terminated || last === this.#content : this.#windowIsOpen;
  }

  /** Whether a message may be accepted already, so that giving up now would leave it in doubt. */
  get isInDoubt(): boolean {
    return this.#transactions.some(({ terminated }) => terminated);
  }

  isTerminated(request: Request): boolean {
    return this.#transactions.some((transaction) => transaction.request === request && transaction.terminated);
  }

  /** Begins a mail transaction. What the server cannot take is refused here, before a byte leaves. */
  deliver(request: Request): void {
    if (!this.hasRoom) throw new LocalProtocolError("deliver: there is no room for another transaction");
    if (request.envelope.forwardPaths.length === 0) throw new LocalProtocolError("an envelope without recipients");
    const error = lacking(request, this.#extensions);
    if (error !== undefined) {
      const recipients = alike(request, "refused");
      return this.#pipeline.emit({ type: "done", request, outcome: { recipients, error } });
    }
    const isBehind = this.#transactions.length > 0;
    // The window may have been left since the chunk was made.
    const chunk = this.takesChunks ? request.chunk : undefined;
    const transaction = new Transaction(request, chunk, isBehind && chunk === undefined);
    const before = this.#needsReset || isBehind ? [RSET] : [];
    const commands = transactionCommands(request, chunk, this.#extensions, before);
    this.#needsReset = false;
    transaction.owed = commands.length;
    this.#transactions.push(transaction);
    this.#pipeline.queue(commands, transaction);
    this.advance();
  }

  content(piece: Uint8Array): void {
    if (this.#content === undefined) throw new LocalProtocolError("content: nobody asked for it");
    this.#pipeline.write(this.#transparency.encode(piece));
  }

  /** The end of data, and behind it in the same write what the schedule lets follow. */
  endOfContent(): void {
    const transaction = this.#content;
    if (transaction === undefined) throw new LocalProtocolError("endOfContent: there is no content");
    this.#content = undefined;
    transaction.terminated = true;
    this.#pipeline.terminate(this.#transparency.end());
    if (this.#isLmtp) for (const recipient of transaction.accepted) this.#expectEnd(transaction, recipient);
    else this.#expectEnd(transaction);
    this.advance();
  }

  /** The server refused the content before its end. */
  refuseContent(reply: Reply): Transaction<Request> | undefined {
    const transaction = this.#content;
    // 421 was not done, and may be tried again; anything else is the last word.
    if (transaction === undefined || reply.code === 421) return transaction;
    // It is taken for the reply to the end of data, by LMTP for the first recipient's; but the content did not leave whole.
    const [recipient = 0] = transaction.accepted;
    transaction.terminated = true;
    transaction.take(this.#isLmtp ? { ...END_OF_DATA, recipient } : END_OF_DATA, reply);
    transaction.terminated = false;
    return undefined;
  }

  #expectEnd(transaction: Transaction<Request>, recipient?: number): void {
    transaction.owed++;
    this.#pipeline.expect(recipient === undefined ? END_OF_DATA : { ...END_OF_DATA, recipient }, transaction);
  }

  /** What a reply to a transaction's command comes to. @throws {SmtpError} when it cannot be one. */
  answer(step: Step<Request>, transaction: Transaction<Request>, reply: Reply): void {
    if (step.command.verb === "BDAT" && transaction.mailRefused && isPositive(reply))
      transaction.isUnderAnotherSender = true;
    const sent = this.#isLmtp ? this.#perRecipient(step.command, transaction, reply) : step.command;
    if (isIntermediate(reply) && (sent.verb !== "DATA" || reply.code !== 354)) throw unexpected(sent.verb, reply);
    transaction.take(sent, reply);
    if (sent.verb === "DATA") this.#onData(transaction, sent, reply);
    else if (sent.verb === "BDAT") this.#onChunk(transaction, sent, reply);
    else if (sent.verb === "RSET" && !isPositive(reply) && !transaction.outOfStep) throw refusal(sent.verb, reply);
    else this.#withdraw(transaction);
    if (transaction.owed === 0 && transaction !== this.#content) this.#end(transaction);
    this.advance();
  }

  /** The session ended: what comes of each transaction that is under way. */
  interrupt(error: SmtpError, closed?: { transaction: Transaction<Request> | undefined; closing: Closing }): void {
    const interrupted = this.#transactions;
    this.#transactions = [];
    this.#content = undefined;
    for (const transaction of interrupted) {
      // Behind a 421 the rest of the group was not done, whatever of it had left. To the end of data it is a verdict.
      const isVerdict = closed?.transaction === transaction && /^(?:BDAT|end-of-data)$/.test(closed.closing.phase);
      if (closed !== undefined && !isVerdict) transaction.terminated = false;
      const outcome = transaction.outcome(error, closed?.transaction === transaction ? closed.closing : undefined);
      this.#pipeline.emit({ type: "done", request: transaction.request, outcome });
    }
  }

  /** RFC 2033 section 4.2: a last chunk is answered once for each recipient that was accepted. */
  #perRecipient(sent: Command, transaction: Transaction<Request>, reply: Reply): Command {
    if (sent.verb !== "BDAT" || sent.recipient !== undefined) return sent;
    const [first, ...others] = transaction.accepted;
    // The only reply, to the command, or the first of several? A guess could take the reply to RSET for a verdict.
    const isAmbiguous = transaction.mailRefused ? first !== undefined : others.length > 0 && MISPLACED.has(reply.code);
    if (isAmbiguous) throw unexpected(sent.verb, reply);
    transaction.owed += others.length;
    this.#pipeline.expectNext(
      others.map((recipient) => ({ ...sent, recipient })),
      transaction,
    );
    return first === undefined ? sent : { ...sent, recipient: first };
  }

  #onData(transaction: Transaction<Request>, sent: Command, reply: Reply): void {
    if (isPositive(reply)) throw unexpected(sent.verb, reply);
    if (reply.code !== 354) return;
    if (transaction.outOfStep) throw unexpected(sent.verb, reply);
    if (!transaction.mailRefused && transaction.anyAccepted) {
      this.#content = transaction;
      this.#transparency = new TransparencyEncoder();
      return this.#pipeline.emit({ type: "need-content", request: transaction.request });
    }
    // A lone dot would deliver an empty message to the recipients that were accepted without a sender. And LMTP owes
    // it no reply at all where nobody was accepted.
    if (transaction.anyAccepted || this.#isLmtp) throw unexpected(sent.verb, reply);
    // RFC 2920 section 3.1: 354 although every recipient was refused. Nobody gets the empty message.
    transaction.owed = 1;
    this.#pipeline.send(END_OF_DATA, transaction);
  }

  /** The reply to a chunk; one that no server gives which ate it takes the two sides out of step. */
  #onChunk(transaction: Transaction<Request>, sent: Command, reply: Reply): void {
    const isReadable = !transaction.mailRefused && transaction.anyAccepted;
    if (isPositive(reply) ? !isReadable : transaction.outOfStep) throw unexpected(sent.verb, reply);
    this.#windowIsOpen ||= isPositive(reply);
  }

  /** What has not left yet and is pointless: RCPT after a refused MAIL, DATA and BDAT without a recipient. */
  #withdraw(transaction: Transaction<Request>): void {
    const isLast = transaction.owed === 1 && !transaction.anyAccepted;
    if (transaction.mailRefused || isLast) this.#pipeline.withdraw(transaction);
  }

  /** Writes what may leave now. */
  advance(): void {
    if (this.#content === undefined) this.#pipeline.advance(this.#schedule, this.#windowIsOpen);
  }

  #end(transaction: Transaction<Request>): void {
    const outcome = transaction.outcome();
    if (this.#transactions[0] === transaction) this.#transactions.shift();
    else this.#transactions.splice(this.#transactions.indexOf(transaction), 1);
    this.#needsReset = transaction.needsReset;
    if (outcome.undecided !== undefined) this.#schedule = slower(this.#schedule);
    this.#pipeline.emit({ type: "done", request: transaction.request, outcome });
  }
}
