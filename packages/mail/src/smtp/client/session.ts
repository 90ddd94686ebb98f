import { SmtpError } from "../../errors.ts";
import { LocalProtocolError } from "../protocol/command.ts";
import { type Extensions, NO_EXTENSIONS } from "../protocol/extension.ts";
import { allowedSchedule, type Schedule } from "../protocol/schedule.ts";
import { alike, exceeds, lastWord, tooLarge, type TransactionOutcome } from "../protocol/transaction.ts";
import { canonical } from "../protocol/transparency.ts";
import { BLOCK_OCTETS, blocksOf, CHUNK_OCTETS, contentError } from "./content.ts";
import type { Delivery } from "./delivery.ts";
import { publishConnection } from "./diagnostics.ts";
import { Dialogue, type SessionOutput } from "./dialogue.ts";
import type { ResolvedSmtpOptions } from "./options.ts";
import type { SessionEnd } from "./server-profile.ts";
import { aborted, type Channel, openChannel } from "./socket.ts";

/** What a session tells whoever uses it. */
export interface SessionListener {
  /** It takes another delivery. */
  onRoom(): void;
  /** It is over; its deliveries were settled before. */
  onEnd(end: SessionEnd): void;
}

const HELD_BACK = "the end of data was held back";

let sessions = 0;

/** An SMTP session: deliveries in, their outcomes out. While nothing is under way, it keeps no process alive. */
export class SmtpSession {
  /** Counts the sessions of this process, from 1. */
  readonly number = ++sessions;
  readonly #options: ResolvedSmtpOptions;
  readonly #schedule: Schedule;
  readonly #dialogue: Dialogue<Delivery>;
  readonly #opening = Promise.withResolvers<void>();
  #listener: SessionListener | undefined;
  #extensions: Extensions = NO_EXTENSIONS;
  #failure: SmtpError | undefined;
  #isOver = false;
  /** Whose content could not be sent, for a reason that is not the connection's. */
  #culprit: Delivery | undefined;
  #isStreaming = false;
  /** It was ended here, for a reason that is not the server's. */
  #wasEndedHere = false;
  /** Given up, once what is in doubt has its verdict. */
  #givenUp: SmtpError | undefined;
  /** Deliveries that began and are not settled. */
  #underWay = 0;
  /** Since when there are none. */
  #idleSince: number | undefined = performance.now();
  /** How many transactions came to a verdict. */
  verdicts = 0;
  /** How many deliveries began, and how many the server accepted for somebody. */
  begun = 0;
  accepted = 0;
  /** It has had enough, as the server said: it takes no other delivery. */
  isFull = false;

  private constructor(options: ResolvedSmtpOptions, schedule: Schedule, channel: Channel) {
    this.#options = options;
    this.#schedule = schedule;
    this.#publish("open");
    this.#dialogue = new Dialogue(options, schedule, channel, this.number, (output) => this.#onOutput(output));
  }

  /**
   * Connects, and goes on until the server takes mail.
   *
   * @throws {SmtpError} with its subclasses TlsError, AuthError, TimeoutError.
   */
  static async open(options: ResolvedSmtpOptions, schedule: Schedule, signal?: AbortSignal): Promise<SmtpSession> {
    const session = new SmtpSession(options, schedule, await openChannel(options, signal));
    const onAbort = (): void => session.#giveUp(aborted(signal));
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    try {
      await session.#opening.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    if (session.#failure !== undefined) throw session.#failure;
    session.#publish("ready");
    session.#dialogue.keepAlive(false);
    return session;
  }

  #publish(type: "open" | "ready" | "ended", error?: SmtpError): void {
    const { host, port } = this.#options;
    const tls = type === "ready" ? this.#dialogue.tls : undefined;
    publishConnection({ type, connection: this.number, host, port, ...(tls && { tls }), ...(error && { error }) });
  }

  /** What the server offers. */
  get extensions(): Extensions {
    return this.#extensions;
  }

  /** How it began; it may be slower by now. */
  get schedule(): Schedule {
    return allowedSchedule(this.#schedule, this.#extensions);
  }

  /** Whether it takes another delivery: one that would leave now, so not behind content that is still being read. */
  get hasRoom(): boolean {
    const isOpen = !this.#isStreaming && !this.#dialogue.isHeld && this.#givenUp === undefined && !this.isFull;
    return isOpen && this.#dialogue.connection.hasRoom;
  }

  /** Whether nothing is under way. */
  get isIdle(): boolean {
    return this.#underWay === 0 && this.#dialogue.connection.isIdle;
  }

  /** For how long nothing was under way, in milliseconds; undefined where something is. */
  get idleTime(): number | undefined {
    return this.#idleSince === undefined ? undefined : performance.now() - this.#idleSince;
  }

  /** From here on the listener is told what happens. */
  listen(listener: SessionListener): void {
    this.#listener = listener;
  }

  /** Carries it out. There must be room. */
  deliver(delivery: Delivery): void {
    if (this.#underWay++ === 0) this.#dialogue.keepAlive(true);
    this.#idleSince = undefined;
    this.begun++;
    this.#whenCaughtUp(() => this.#prepare(delivery));
  }

  /** A connection in doubt may have been reset, and the verdict lie before that: see {@link Dialogue.caughtUp}. */
  #whenCaughtUp(act: () => void): void {
    if (this.#dialogue.connection.isInDoubt) this.#dialogue.caughtUp(act);
    else act();
  }

  #prepare(delivery: Delivery): void {
    const { content } = delivery;
    const isChunk = content instanceof Uint8Array && content.length <= CHUNK_OCTETS;
    if (!this.#dialogue.connection.takesChunks || !isChunk) return this.#begin(delivery);
    // A chunk leaves with its envelope, so its leave is asked before.
    delivery.chunk = canonical(content);
    const marking = delivery.mark();
    if (marking === undefined) return this.#begin(delivery);
    this.#dialogue.hold(
      marking,
      () => this.#whenCaughtUp(() => this.#begin(delivery)),
      (cause: unknown) => this.#lose(delivery, new SmtpError("aborted", HELD_BACK, { cause })),
    );
  }

  #begin(delivery: Delivery): void {
    const { connection } = this.#dialogue;
    // Taken back while it waited: nothing of it leaves.
    if (this.#givenUp !== undefined) return this.#lose(delivery, this.#givenUp);
    if (!connection.hasRoom) return this.#lose(delivery, this.#failure ?? connection.lost("the connection ended"));
    try {
      this.#dialogue.perform(connection.deliver(delivery));
    } catch (cause) {
      if (!(cause instanceof LocalProtocolError)) throw cause;
      const error = new SmtpError("bad-value", `the envelope can be no command: ${cause.message}`, { cause });
      return this.#settle(delivery, { recipients: alike(delivery, "refused"), error });
    }
    if (this.hasRoom) this.#listener?.onRoom();
  }

  /** It did not begin, since the connection ended before, or it may not leave. */
  #lose(delivery: Delivery, error: SmtpError): void {
    const recipients = alike(delivery, "deferred");
    this.#settle(delivery, { recipients, error, ...(error.code !== "aborted" && { undecided: "lost" as const }) });
  }

  /**
   * Takes a delivery back by ending the connection, unless its end of data has left. What is in doubt then gets its
   * verdict first.
   */
  withdraw(delivery: Delivery, error: SmtpError): void {
    const { connection } = this.#dialogue;
    if (connection.isTerminated(delivery)) return;
    if (!connection.isInDoubt) return this.#giveUp(error);
    this.#givenUp ??= error;
  }

  /** Ends the session: QUIT, whose reply is not awaited, then the connection. */
  async quit(): Promise<void> {
    if (this.#dialogue.connection.isIdle) await this.#dialogue.quit();
    else this.#giveUp(new SmtpError("aborted", "the session was ended"));
  }

  #giveUp(error: SmtpError): void {
    this.#wasEndedHere = true;
    this.#dialogue.giveUp(error);
  }

  #onOutput(output: SessionOutput<Delivery>): void {
    switch (output.type) {
      case "ready":
        this.#extensions = output.extensions;
        return this.#opening.resolve();
      case "need-content":
        return this.#onContentNeeded(output.request);
      case "done":
        return this.#onDone(output.request, output.outcome);
      case "failed":
        this.#failure = output.error;
        this.#opening.reject(output.error);
        return this.#end(output.error);
      case "closed":
        this.#end(undefined);
    }
  }

  #onDone(delivery: Delivery, given: TransactionOutcome): void {
    const outcome = delivery === this.#culprit ? lastWord(given) : given;
    const isVerdict = outcome.undecided === undefined && outcome.recipients.every(({ status }) => status !== "unknown");
    if (isVerdict) this.verdicts++;
    this.#settle(delivery, outcome);
    const { isInDoubt, isClosed } = this.#dialogue.connection;
    if (this.#givenUp !== undefined && !isInDoubt && !isClosed) this.#giveUp(this.#givenUp);
    else if (this.hasRoom) this.#listener?.onRoom();
  }

  #settle(delivery: Delivery, outcome: TransactionOutcome): void {
    if (--this.#underWay === 0) {
      // A connection that failed under its last delivery was not idle.
      if (!this.#dialogue.connection.isClosed) this.#idleSince = performance.now();
      this.#dialogue.keepAlive(false);
    }
    delivery.settle(outcome, this);
  }

  #end(error: SmtpError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#publish("ended", error);
    const { schedule, verdicts, accepted, idleTime: idle } = this;
    this.#listener?.onEnd({ error: this.#wasEndedHere ? undefined : error, schedule, verdicts, accepted, idle });
  }

  #onContentNeeded(delivery: Delivery): void {
    // What came before in the same piece may have been the reason to give up.
    if (this.#dialogue.connection.awaiting !== "content") return;
    const marking = delivery.mark();
    if (marking === undefined) return this.#sendContent(delivery);
    this.#dialogue.hold(
      marking,
      () => this.#sendContent(delivery),
      (cause: unknown) => this.#blame(delivery, new SmtpError("aborted", HELD_BACK, { cause })),
    );
  }

  #sendContent(delivery: Delivery): void {
    const { connection } = this.#dialogue;
    // The connection may have died meanwhile; the transaction has its outcome then.
    if (connection.awaiting !== "content") return;
    const { content } = delivery;
    if (content instanceof Uint8Array && content.length <= BLOCK_OCTETS) this.#finishContent(content);
    else void this.#streamContent(delivery);
  }

  /** The last piece, the end of data, and with them the envelope of the next message, if there is one. */
  #finishContent(last?: Uint8Array): void {
    this.#listener?.onRoom();
    // Whoever is told the verdict of what was handed over there may abort.
    if (this.#dialogue.connection.awaiting !== "content") return;
    this.#dialogue.perform(this.#dialogue.connection.endOfContent(last));
    if (this.hasRoom) this.#listener?.onRoom();
  }

  async #streamContent(delivery: Delivery): Promise<void> {
    const { connection } = this.#dialogue;
    const { content } = delivery;
    this.#isStreaming = true;
    try {
      let size = 0;
      for await (const piece of content instanceof Uint8Array ? [content] : content()) {
        size += piece.length;
        // Blamed at once, not when the source has come to its end, which it need not do.
        if (exceeds(size, this.#extensions)) return this.#blame(delivery, tooLarge(size, this.#extensions));
        for (const block of blocksOf(piece)) {
          if (connection.awaiting !== "content") return;
          this.#dialogue.perform(connection.content(block));
          await this.#dialogue.drained();
        }
      }
      this.#isStreaming = false;
      if (connection.awaiting === "content") this.#finishContent();
    } catch (cause) {
      this.#blame(delivery, contentError(cause));
    }
  }

  /** After 354 a message cannot be taken back but by ending the connection. */
  #blame(delivery: Delivery, error: SmtpError): void {
    this.#culprit = delivery;
    this.#giveUp(error);
  }
}
