/**
 * The client side of an SMTP or LMTP session (RFC 5321, RFC 2033), without I/O.
 *
 * Whoever drives it passes in what came (`receive`, `receiveEof`, `tlsEstablished`) and what is wanted (`deliver`,
 * `sasl`, `content`, `endOfContent`, `quit`). Every call returns the outputs that follow from it, in order. It knows no
 * socket, clock, promise or chance, so the same object is driven by a socket, a transcript and a fuzzer.
 *
 *     state        left by                                     to
 *     initiation   see session-initiation.ts                   open
 *     open         421, EOF, a reply that cannot be, quit()    closed
 *
 * While it is open, each transaction that was handed over goes its own way (see mail-transactions.ts), and as many are
 * under way at once as the schedule has room for (see schedule.ts).
 *
 * Rule 1. Replies are matched by count: what left first is what a reply answers, whatever its text says. A
 * reply that nobody is owed ends the connection; a refusal while content is on its way is still that message's verdict.
 *
 * Rule 2. What leaves is decided by `mayFollow` alone, from the command that left last and the schedule.
 *
 * Rule 3. A transaction that did not end with a reply to its end of data is ended by RSET before the next MAIL. Else
 * the next MAIL would get 503 and its recipients 250, and the message would go out under the previous sender.
 *
 * Rule 4. In doubt is a message whose terminator was given out and not answered. No other is.
 *
 * Rule 5. Failure is an output, not a throw: what was decided in the same chunk before it stands. Behind it nothing is
 * written. Only a caller that calls out of order gets an exception, a LocalProtocolError.
 */
import type { Phase, Reply } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";
import { type Command, command, LocalProtocolError } from "./command.ts";
import { MailTransactions } from "./mail-transactions.ts";
import type { Observer, Output } from "./output.ts";
import { Pipeline, type Step } from "./pipeline.ts";
import { isIntermediate, isNegative, refusal, ReplyReader, unasked, unexpected } from "./reply.ts";
import { type ConnectionOptions, injected, SessionInitiation } from "./session-initiation.ts";
import type { Verb } from "./timeout.ts";
import type { Closing, Transaction, TransactionRequest } from "./transaction.ts";

const QUIT = command("QUIT", "QUIT");

export class ClientConnection<Request extends TransactionRequest = TransactionRequest> {
  readonly #reader = new ReplyReader((line) => this.#initiation.maskedLine(this.#pipeline.awaiting, line));
  readonly #pipeline: Pipeline<Request>;
  readonly #initiation: SessionInitiation;
  readonly #observer: Observer | undefined;
  /** From `ready` on. */
  #mail: MailTransactions<Request> | undefined;
  #isClosed = false;
  /** The content came to its end when its refusal had begun to come: neither a dot nor anything else leaves any more. */
  #awaitsRefusal = false;
  /** How many replies came so far: what came of the next one is no progress yet. */
  replies = 0;

  /** @throws {LocalProtocolError} when the client's name can stand in no command. */
  constructor(options: ConnectionOptions) {
    command("EHLO", options.clientName);
    this.#observer = options.observer;
    this.#pipeline = new Pipeline(options.observer);
    this.#pipeline.expect(command("greeting", ""));
    this.#initiation = new SessionInitiation(options, {
      send: (sent) => this.#pipeline.send(sent),
      output: (output) => {
        if (output.type === "ready") this.#mail = new MailTransactions(options, output.extensions, this.#pipeline);
        this.#pipeline.emit(output);
      },
      leave: (error) => {
        this.#pipeline.say(QUIT);
        this.#fail(error);
      },
    });
  }

  /** What the peer owes, for the driver's timer. */
  get awaiting(): Verb | undefined {
    if (this.#isClosed) return undefined;
    if (this.#awaitsRefusal) return "end-of-data";
    return this.#pipeline.awaiting ?? (this.#mail?.awaitsContent === true ? "content" : undefined);
  }

  /** Whether nothing is under way, and `quit` and `noop` may be called. */
  get isIdle(): boolean {
    return !this.#isClosed && this.#mail?.isEmpty === true && this.#pipeline.isAnswered;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether `deliver` may be called: the schedule has room for another transaction. */
  get hasRoom(): boolean {
    return !this.#isClosed && !this.#awaitsRefusal && this.#mail?.hasRoom === true;
  }

  /** Whether the content of messages that are bytes is to be handed over as a chunk. */
  get takesChunks(): boolean {
    return this.#mail?.takesChunks === true;
  }

  /** Whether a message may be accepted already, so that giving up now would leave it in doubt. */
  get isInDoubt(): boolean {
    return this.#mail?.isInDoubt === true;
  }

  /** Whether the end of data of this one has left. */
  isTerminated(request: Request): boolean {
    return this.#mail?.isTerminated(request) === true;
  }

  receive(octets: Uint8Array): Output<Request>[] {
    if (this.#isClosed) return [];
    this.#reader.push(octets);
    try {
      this.#readReplies();
    } catch (error) {
      if (!(error instanceof SmtpError)) throw error;
      this.#fail(error);
    }
    return this.#pipeline.flush();
  }

  #readReplies(): void {
    while (!this.#isClosed && !this.#initiation.awaitsHandshake) {
      const said = this.#reader.next();
      if (said === undefined) break;
      this.replies++;
      const step = this.#pipeline.answered();
      const verb = step?.command.verb ?? "content";
      const reply = this.#initiation.masked(verb, said);
      this.#observer?.reply(verb, reply);
      // Whoever is shown it may abort, and then each transaction has its outcome already.
      if (this.#isClosed) return;
      if (step === undefined) this.#refuseContent(reply);
      // A challenge may hold by chance what was presented, as "Password:" in base64 holds the user "Pas".
      else this.#answer(step, verb === "AUTH" && said.code === 334 ? said : reply);
    }
    if (this.#reader.isEmpty || this.#isClosed) return;
    if (this.#initiation.awaitsHandshake) throw injected();
    if (this.#pipeline.isAnswered && !this.#mayRefuseContent) throw unasked();
  }

  get #mayRefuseContent(): boolean {
    return this.#mail?.awaitsContent === true && this.#reader.beginsRefusal;
  }

  /** The one reply that nobody asked for and that means something: the server wants no more of the content. */
  #refuseContent(reply: Reply): void {
    if (this.#mail?.awaitsContent !== true || !isNegative(reply)) throw unasked();
    const transaction = this.#mail.refuseContent(reply);
    this.#fail(refusal("content", reply), { transaction, closing: { reply, phase: "end-of-data" } });
  }

  /** The peer closed its side. */
  receiveEof(): Output<Request>[] {
    return this.abandon(this.lost("the server closed the connection"));
  }

  /** The connection broke, timed out or was given up, for a reason that the driver knows. */
  abandon(error: SmtpError): Output<Request>[] {
    if (!this.#isClosed) this.#fail(error);
    return this.#pipeline.flush();
  }

  /** The error for a connection that ended before the reply that is owed. */
  lost(what: string, cause?: unknown): SmtpError {
    const verb = this.awaiting;
    const message = verb === undefined ? what : `${what} before the reply to ${verb}`;
    return new SmtpError("connection-lost", message, { verb, cause });
  }

  tlsEstablished(): Output<Request>[] {
    if (this.#isClosed) return [];
    this.#initiation.tlsEstablished();
    return this.#pipeline.flush();
  }

  /**
   * The response to `need-sasl`; undefined where the mechanism has none: no initial response (RFC 4954 section 4), or
   * no answer to such a challenge, which cancels the exchange.
   *
   * @param isComplete whether the mechanism is satisfied with the server, so that its success may be believed.
   */
  sasl(response: Uint8Array | undefined, isComplete: boolean): Output<Request>[] {
    if (this.#isClosed) return [];
    this.#initiation.respond(response, isComplete);
    return this.#pipeline.flush();
  }

  /** Begins a mail transaction. What the server cannot take is refused here, before a byte leaves. */
  deliver(request: Request): Output<Request>[] {
    this.#transactions("deliver").deliver(request);
    return this.#pipeline.flush();
  }

  /** A piece of the content that `need-content` asked for. */
  content(piece: Uint8Array): Output<Request>[] {
    this.#transactions("content").content(piece);
    return this.#pipeline.flush();
  }

  /** The last piece, the end of data, and behind it in the same write what the schedule lets follow. */
  endOfContent(last?: Uint8Array): Output<Request>[] {
    const transactions = this.#transactions("endOfContent");
    // A server that answered the dot too would have that answer taken for the reply to what stands behind it.
    this.#awaitsRefusal = transactions.awaitsContent && !this.#reader.isEmpty;
    if (this.#awaitsRefusal) return this.#pipeline.flush();
    if (last !== undefined) transactions.content(last);
    transactions.endOfContent();
    return this.#pipeline.flush();
  }

  #transactions(call: string): MailTransactions<Request> {
    if (this.#isClosed || this.#awaitsRefusal || this.#mail === undefined)
      throw new LocalProtocolError(`${call}: the session takes no mail`);
    return this.#mail;
  }

  /** Asks whether the server is still there; `alive` is the answer. */
  noop(): Output<Request>[] {
    if (!this.isIdle) throw new LocalProtocolError("noop: something is under way");
    this.#pipeline.send(command("NOOP", "NOOP"));
    return this.#pipeline.flush();
  }

  quit(): Output<Request>[] {
    if (!this.isIdle) throw new LocalProtocolError("quit: something is under way");
    this.#pipeline.say(QUIT);
    this.#isClosed = true;
    this.#pipeline.emit({ type: "closed" });
    return this.#pipeline.flush();
  }

  #answer(step: Step<Request>, reply: Reply): void {
    const { command: sent, transaction } = step;
    if (transaction !== undefined) transaction.owed--;
    if (reply.code === 421) this.#closing(step, reply);
    else if (this.#mail === undefined) this.#initiation.answer(sent, reply);
    else if (transaction === undefined) this.#alive(this.#mail, sent, reply);
    else this.#mail.answer(step, transaction, reply);
  }

  /** Whatever NOOP is answered, somebody is there; 3yz is no answer to it. */
  #alive(mail: MailTransactions<Request>, sent: Command, reply: Reply): void {
    if (isIntermediate(reply)) throw unexpected(sent.verb, reply);
    this.#pipeline.emit({ type: "alive" });
    mail.advance();
  }

  /** 421 to whatever it was: not done, and the server closes the connection (RFC 5321 section 3.8). */
  #closing({ command: sent, transaction }: Step<Request>, reply: Reply): void {
    transaction?.take(sent, reply);
    this.#fail(refusal(sent.verb, reply), { transaction, closing: { reply, phase: sent.verb as Phase } });
  }

  #fail(error: SmtpError, closed?: { transaction: Transaction<Request> | undefined; closing: Closing }): void {
    this.#pipeline.clear();
    this.#isClosed = true;
    this.#mail?.interrupt(error, closed);
    this.#pipeline.emit({ type: "failed", error });
  }
}
