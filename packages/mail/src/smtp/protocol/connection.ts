/**
 * The client side of an SMTP session (RFC 5321), without I/O.
 *
 * Whoever drives it passes in what came (`receive`, `receiveEof`, `tlsEstablished`) and what is wanted (`deliver`,
 * `sasl`, `content`, `endOfContent`, `quit`). Every call returns the outputs that follow from it, in order. It knows no
 * socket, clock, promise or chance, so the same object is driven by a socket, a transcript and a fuzzer.
 *
 *     state        left by                                     to
 *     initiation   see session-initiation.ts                   ready
 *     ready        deliver()                                   envelope
 *     envelope     354, and a recipient was accepted           content
 *                  every reply is there, otherwise             ready, in need of RSET
 *     content      endOfContent()                              end-of-data
 *     end-of-data  its reply                                   ready
 *     any          421, EOF, a reply that cannot be, quit()    closed
 *
 * Rule 1. Replies are matched by count: the first of `#unanswered` is what a reply answers, whatever its text says. A
 * reply that nobody is owed ends the connection.
 *
 * Rule 2. `#unsent` leaves as one write up to the command that ends a group where the server offers PIPELINING, and
 * otherwise one command at a time, each after the reply to the one before (RFC 2920 section 3.1).
 *
 * Rule 3. A transaction that did not end with a reply to its end of data is ended by RSET before the next MAIL. Else
 * the next MAIL would get 503 and its recipients 250, and the message would go out under the previous sender.
 *
 * Rule 4. In doubt is a message whose terminator was given out by `endOfContent` and not answered. No other is.
 *
 * Rule 5. Failure is an output, not a throw: what was decided in the same chunk before it stands. Behind it nothing is
 * written. Only a caller that calls out of order gets an exception, a LocalProtocolError.
 */
import type { Reply } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";
import { type Command, command, groupLength, LocalProtocolError } from "./command.ts";
import type { Output } from "./output.ts";
import { isIntermediate, isPositive, refusal, ReplyReader, unasked, unexpected } from "./reply.ts";
import { type ConnectionOptions, injected, SessionInitiation } from "./session-initiation.ts";
import type { Verb } from "./timeout.ts";
import { lacking, Transaction, transactionCommands, type TransactionRequest } from "./transaction.ts";
import { TransparencyEncoder } from "./transparency.ts";

type State = "initiation" | "ready" | "envelope" | "content" | "end-of-data" | "closed";

const encoder = new TextEncoder();
const CRLF = "\r\n";

export class ClientConnection {
  readonly #reader = new ReplyReader();
  readonly #initiation: SessionInitiation;
  #state: State = "initiation";
  #unsent: Command[] = [];
  #unanswered: Command[] = [command("greeting", "")];
  #transaction: Transaction | undefined;
  #needsReset = false;
  #transparency = new TransparencyEncoder();
  #outputs: Output[] = [];

  /** @throws {LocalProtocolError} when the client's name can stand in no command. */
  constructor(options: ConnectionOptions) {
    command("EHLO", options.clientName);
    this.#initiation = new SessionInitiation(options, {
      send: (sent) => this.#send([sent]),
      output: (output) => {
        if (output.type === "ready") this.#state = "ready";
        this.#outputs.push(output);
      },
      leave: (error) => {
        this.#write("QUIT" + CRLF);
        this.#fail(error);
      },
    });
  }

  /** What the peer owes, for the driver's timer. */
  get awaiting(): Verb | undefined {
    if (this.#state === "closed") return undefined;
    return this.#state === "content" ? "content" : this.#unanswered[0]?.verb;
  }

  /** How many replies came so far: what came of the next one is no progress yet. */
  replies = 0;

  /** Whether `deliver` may be called. */
  get isReady(): boolean {
    return this.#state === "ready";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether the current message may be accepted already, so that giving up now would leave it in doubt. */
  get isInDoubt(): boolean {
    return this.#transaction?.terminated ?? false;
  }

  receive(octets: Uint8Array): Output[] {
    if (this.#state === "closed") return [];
    this.#reader.push(octets);
    try {
      this.#readReplies();
    } catch (error) {
      if (!(error instanceof SmtpError)) throw error;
      this.#fail(error);
    }
    return this.#flush();
  }

  #readReplies(): void {
    while (this.#state !== "closed" && !this.#initiation.awaitsHandshake) {
      const reply = this.#reader.next();
      if (reply === undefined) break;
      this.replies++;
      const sent = this.#unanswered.shift();
      if (sent === undefined) throw unasked();
      this.#answer(sent, reply);
    }
    if (this.#reader.isEmpty || this.#state === "closed") return;
    if (this.#initiation.awaitsHandshake) throw injected();
    if (this.#unanswered.length === 0) throw unasked();
  }

  /** The peer closed its side. */
  receiveEof(): Output[] {
    return this.abandon(this.lost("the server closed the connection"));
  }

  /** The connection broke, timed out or was given up, for a reason that the driver knows. */
  abandon(error: SmtpError): Output[] {
    if (this.#state !== "closed") this.#fail(error);
    return this.#flush();
  }

  /** The error for a connection that ended before the reply that is owed. */
  lost(what: string, cause?: unknown): SmtpError {
    const verb = this.awaiting;
    const message = verb === undefined ? what : `${what} before the reply to ${verb}`;
    return new SmtpError("connection-lost", message, { verb, cause });
  }

  tlsEstablished(): Output[] {
    if (this.#state === "closed") return [];
    this.#initiation.tlsEstablished();
    return this.#flush();
  }

  /**
   * The response to `need-sasl`; undefined where the mechanism has none: no initial response (RFC 4954 section 4), or
   * no answer to such a challenge, which cancels the exchange.
   */
  sasl(response: Uint8Array | undefined): Output[] {
    if (this.#state === "closed") return [];
    this.#initiation.respond(response);
    return this.#flush();
  }

  /** Begins a mail transaction. What the server cannot take is refused here, before a byte leaves. */
  deliver(request: TransactionRequest): Output[] {
    this.#expect("ready");
    if (request.envelope.forwardPaths.length === 0) throw new LocalProtocolError("an envelope without recipients");
    const { extensions } = this.#initiation;
    const error = lacking(request, extensions);
    if (error !== undefined) {
      const recipients = request.envelope.forwardPaths.map((address) => ({ address, status: "refused" as const }));
      return [{ type: "done", outcome: { recipients, error } }];
    }
    const commands = transactionCommands(request, extensions);
    this.#unsent = this.#needsReset ? [command("RSET", "RSET"), ...commands] : commands;
    this.#needsReset = false;
    this.#transaction = new Transaction(request);
    this.#state = "envelope";
    this.#advance();
    return this.#flush();
  }

  content(chunk: Uint8Array): Output[] {
    this.#expect("content");
    return [{ type: "write", octets: this.#transparency.encode(chunk) }];
  }

  endOfContent(): Output[] {
    this.#expect("content");
    this.#current.terminated = true;
    this.#state = "end-of-data";
    this.#unanswered.push(command("end-of-data", "."));
    return [{ type: "write", octets: this.#transparency.end() }];
  }

  quit(): Output[] {
    this.#expect("ready");
    this.#state = "closed";
    return [{ type: "write", octets: encoder.encode("QUIT" + CRLF) }, { type: "closed" }];
  }

  #answer(sent: Command, reply: Reply): void {
    if (reply.code === 421) return this.#closing(sent, reply);
    if (this.#state === "initiation") return this.#initiation.answer(sent, reply);
    switch (sent.verb) {
      case "DATA":
        return this.#onData(sent, reply);
      case "end-of-data":
        return this.#onEndOfData(sent, reply);
      case "RSET":
        if (!isPositive(reply)) throw refusal(sent.verb, reply);
        return this.#advance();
      default:
        if (isIntermediate(reply)) throw unexpected(sent.verb, reply);
        this.#current.take(sent, reply);
        return this.#advance();
    }
  }

  /** 421 to whatever it was: not done, and the server closes the connection (RFC 5321 section 3.8). */
  #closing(sent: Command, reply: Reply): void {
    if (sent.verb !== "RSET") this.#transaction?.take(sent, reply);
    this.#fail(refusal(sent.verb, reply), reply);
  }

  #onData(sent: Command, reply: Reply): void {
    if (isPositive(reply) || (isIntermediate(reply) && reply.code !== 354)) throw unexpected(sent.verb, reply);
    this.#current.take(sent, reply);
    if (reply.code !== 354) return this.#end(true);
    if (!this.#current.mailRefused && this.#current.anyAccepted) {
      this.#state = "content";
      this.#transparency = new TransparencyEncoder();
      this.#outputs.push({ type: "need-content" });
      return;
    }
    // A lone dot would deliver an empty message to the recipients that were accepted without a sender.
    if (this.#current.anyAccepted) throw unexpected(sent.verb, reply);
    // RFC 2920 section 3.1: 354 although every recipient was refused. Nobody gets the empty message.
    this.#state = "end-of-data";
    this.#send([command("end-of-data", ".")]);
  }

  #onEndOfData(sent: Command, reply: Reply): void {
    if (isIntermediate(reply)) throw unexpected(sent.verb, reply);
    this.#current.take(sent, reply);
    this.#end(!this.#current.terminated);
  }

  /** Sends what may leave now, and ends a transaction of which nothing is left to send or to hear. */
  #advance(): void {
    const pipelining = this.#initiation.extensions.pipelining;
    if (!pipelining && this.#unanswered.length > 0) return;
    if (!pipelining) this.#withdraw();
    if (this.#unsent.length > 0) this.#send(this.#unsent.splice(0, pipelining ? groupLength(this.#unsent) : 1));
    else if (this.#unanswered.length === 0) this.#end(true);
  }

  /** In lockstep: RCPT is pointless after a refused MAIL, and DATA without a recipient. */
  #withdraw(): void {
    const awaitsData = this.#unsent[0]?.verb === "DATA";
    if (this.#current.mailRefused || (awaitsData && !this.#current.anyAccepted)) this.#unsent = [];
  }

  get #current(): Transaction {
    if (this.#transaction === undefined) throw new LocalProtocolError(`no transaction in the state ${this.#state}`);
    return this.#transaction;
  }

  #end(needsReset: boolean): void {
    const outcome = this.#current.outcome();
    this.#transaction = undefined;
    this.#needsReset = needsReset;
    this.#state = "ready";
    this.#outputs.push({ type: "done", outcome });
  }

  #fail(error: SmtpError, closing?: Reply): void {
    const outcome = this.#transaction?.outcome(error, closing);
    this.#transaction = undefined;
    this.#unsent = [];
    this.#unanswered = [];
    this.#state = "closed";
    if (outcome !== undefined) this.#outputs.push({ type: "done", outcome });
    this.#outputs.push({ type: "failed", error });
  }

  #send(commands: readonly Command[]): void {
    for (const sent of commands) this.#unanswered.push(sent);
    this.#write(commands.map(({ line }) => line + CRLF).join(""));
  }

  #write(text: string): void {
    this.#outputs.push({ type: "write", octets: encoder.encode(text) });
  }

  #expect(state: State): void {
    if (this.#state !== state)
      throw new LocalProtocolError(`called in the state ${this.#state}, which is for ${state}`);
  }

  #flush(): Output[] {
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }
}
