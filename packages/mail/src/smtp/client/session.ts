import { isIPv6, type Socket } from "node:net";
import { SmtpError, TimeoutError } from "../../errors.ts";
import { ClientConnection } from "../protocol/connection.ts";
import { type Extensions, NO_EXTENSIONS } from "../protocol/extension.ts";
import type { Output } from "../protocol/output.ts";
import { TIMEOUT_MS, type Verb } from "../protocol/timeout.ts";
import { exceeds, tooLarge, type TransactionOutcome, type TransactionRequest } from "../protocol/transaction.ts";
import { type Exchange, MECHANISM_NAMES, startExchange } from "../sasl/mechanism.ts";
import type { ResolvedSmtpOptions } from "./options.ts";
import { openSocket, upgradeSocket } from "./socket.ts";

/** What a session delivers. */
export interface Delivery {
  readonly request: TransactionRequest;
  readonly content: Uint8Array | (() => AsyncIterable<Uint8Array>);
  /** Awaited before the end of data may leave; if it rejects, it never leaves. */
  readonly beforeEndOfData: () => void | Promise<void>;
  readonly signal: AbortSignal | undefined;
}

/** How long a connection that is over may take to close, in milliseconds. */
const CLOSE_GRACE = 1_000;
/** RFC 5321 section 4.5.3.2.5 gives each block of content a time of its own. */
const BLOCK_OCTETS = 64 * 1024;

/**
 * An SMTP session over a socket: it does what the {@link ClientConnection} puts out, and keeps its time.
 *
 * One transaction at a time. While none runs, the socket does not keep the process alive.
 */
export class SmtpSession {
  readonly #options: ResolvedSmtpOptions;
  readonly #connection: ClientConnection;
  readonly #opening = Promise.withResolvers<void>();
  #socket: Socket;
  #timer: NodeJS.Timeout | undefined;
  /** What the timer runs for: a verb, and how far the conversation was. */
  #watched = "";
  #blocks = 0;
  #exchange: Exchange | undefined;
  #transaction: PromiseWithResolvers<TransactionOutcome> | undefined;
  #delivery: Delivery | undefined;
  /** Whether beforeEndOfData runs: then the server is owed something, not the client. */
  #held: Promise<unknown> | undefined;
  #failure: SmtpError | undefined;
  #extensions: Extensions = NO_EXTENSIONS;
  readonly #listeners = {
    data: (octets: Uint8Array) => this.#perform(this.#connection.receive(octets)),
    end: () => this.#perform(this.#connection.receiveEof()),
    close: () => this.#perform(this.#connection.receiveEof()),
    error: (cause: Error) => {
      const error = this.#connection.lost(`the connection failed (${cause.message})`, cause);
      this.#perform(this.#connection.abandon(error));
    },
  };
  /** How many transactions came to an end on it. */
  transactions = 0;

  private constructor(options: ResolvedSmtpOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    const { tls, clearAuth, auth, clientName = addressLiteral(socket) } = options;
    const mechanisms = auth === undefined ? [] : MECHANISM_NAMES;
    this.#connection = new ClientConnection({ clientName, tls, clearAuth, mechanisms });
  }

  /**
   * Connects, and goes on until the server takes mail.
   *
   * @throws {SmtpError} with its subclasses TlsError, AuthError, TimeoutError.
   */
  static async open(options: ResolvedSmtpOptions, signal?: AbortSignal): Promise<SmtpSession> {
    const session = new SmtpSession(options, await openSocket(options, signal));
    const onAbort = (): void => session.#giveUp(aborted(signal));
    signal?.addEventListener("abort", onAbort, { once: true });
    session.#listen();
    session.#watch();
    try {
      await session.#opening.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    // It may have ended in the same packet that made it ready.
    if (session.#failure !== undefined) throw session.#failure;
    session.#socket.unref();
    return session;
  }

  /** Whether it takes another transaction. */
  get isReady(): boolean {
    return this.#connection.isReady;
  }

  /** Delivers one message. A connection that dies is an outcome with an error. */
  async deliver(delivery: Delivery): Promise<TransactionOutcome> {
    const { signal } = delivery;
    const transaction = Promise.withResolvers<TransactionOutcome>();
    this.#transaction = transaction;
    this.#delivery = delivery;
    // What is past its end of data is finished: giving up then would leave it in doubt.
    const onAbort = (): void => {
      if (!this.#connection.isInDoubt) this.#giveUp(aborted(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#socket.ref();
    try {
      this.#perform(this.#connection.deliver(delivery.request));
      const outcome = await transaction.promise;
      // Whoever writes down in beforeEndOfData what is about to leave must not do so after the verdict.
      await this.#held;
      return outcome;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#socket.unref();
      this.transactions++;
    }
  }

  /** Ends the session: QUIT, whose reply is not awaited, then the connection. */
  async quit(): Promise<void> {
    if (!this.#connection.isReady) return this.destroy();
    const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    this.#perform(this.#connection.quit());
    const grace = setTimeout(() => this.#socket.destroy(), CLOSE_GRACE);
    await closed;
    clearTimeout(grace);
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#giveUp(new SmtpError("aborted", "the session was ended"));
  }

  #giveUp(error: SmtpError): void {
    this.#perform(this.#connection.abandon(error));
    this.#socket.destroy();
  }

  #listen(): void {
    for (const [event, listener] of Object.entries(this.#listeners)) this.#socket.on(event, listener);
  }

  #perform(outputs: readonly Output[]): void {
    for (const output of outputs) this.#do(output);
    this.#watch();
  }

  #do(output: Output): void {
    switch (output.type) {
      case "write":
        if (this.#socket.writable) this.#socket.write(output.octets);
        return;
      case "upgrade-tls":
        return void this.#upgrade();
      case "need-sasl":
        return this.#respond(output.mechanism, output.challenge);
      case "ready":
        this.#extensions = output.extensions;
        return this.#opening.resolve();
      case "need-content":
        return void this.#sendContent();
      case "done":
        return this.#transaction?.resolve(output.outcome);
      case "failed":
        return this.#onFailure(output.error);
      case "closed":
        this.#socket.end();
    }
  }

  #onFailure(error: SmtpError): void {
    this.#failure = error;
    this.#opening.reject(error);
    // What is written leaves, QUIT for one, but a peer that reads no more must not keep the socket open.
    const socket = this.#socket;
    socket.end();
    socket.destroySoon();
    setTimeout(() => socket.destroy(), CLOSE_GRACE).unref();
  }

  /** The one timer: for what the server owes now. It starts anew with each reply, not with each octet of one. */
  #watch(): void {
    const verb = this.#held === undefined ? this.#connection.awaiting : undefined;
    const watched = verb === undefined ? "" : `${verb} ${this.#connection.replies} ${this.#blocks}`;
    if (watched === this.#watched) return;
    this.#watched = watched;
    clearTimeout(this.#timer);
    if (verb === undefined) return;
    const onTimeout = (): void =>
      this.#giveUp(new TimeoutError("timeout", `the server did not answer ${verb} in time`, { verb }));
    this.#timer = setTimeout(onTimeout, this.#timeout(verb));
  }

  #timeout(verb: Verb): number {
    return verb === "end-of-data" ? TIMEOUT_MS[verb] : (this.#options.commandTimeout ?? TIMEOUT_MS[verb]);
  }

  async #upgrade(): Promise<void> {
    const plain = this.#socket;
    // From here on the octets are TLS's; an error of the socket below shows as one of TLS.
    for (const [event, listener] of Object.entries(this.#listeners)) plain.off(event, listener);
    plain.on("error", () => undefined);
    try {
      this.#socket = await upgradeSocket(plain, this.#options, undefined);
    } catch (error) {
      return this.#perform(this.#connection.abandon(error as SmtpError));
    }
    this.#listen();
    this.#perform(this.#connection.tlsEstablished());
  }

  #respond(mechanism: string, challenge: Uint8Array | undefined): void {
    if (challenge === undefined && this.#options.auth !== undefined)
      this.#exchange = startExchange(mechanism, this.#options.auth);
    this.#perform(this.#connection.sasl(this.#exchange?.(challenge)));
  }

  async #sendContent(): Promise<void> {
    const delivery = this.#delivery;
    if (delivery === undefined || this.#connection.awaiting !== "content") return;
    try {
      const marking = Promise.resolve(delivery.beforeEndOfData());
      const release = (): void => void (this.#held = undefined);
      this.#held = marking.then(release, release);
      this.#watch();
      await marking;
      await this.#held;
    } catch (cause) {
      return this.#giveUp(new SmtpError("aborted", "the end of data was held back", { cause }));
    }
    // The connection may have died meanwhile; the transaction has its outcome then.
    this.#watch();
    try {
      await this.#writeContent(delivery.content);
    } catch (cause) {
      const isOurs = cause instanceof SmtpError;
      this.#giveUp(isOurs ? cause : new SmtpError("aborted", "the content could not be read", { cause }));
    }
  }

  async #writeContent(content: Delivery["content"]): Promise<void> {
    this.#socket.cork();
    let size = 0;
    for await (const block of content instanceof Uint8Array ? blocksOf(content) : content()) {
      if (this.#connection.awaiting !== "content") return;
      size += block.length;
      if (exceeds(size, this.#extensions)) throw tooLarge(size, this.#extensions);
      this.#perform(this.#connection.content(block));
      if (this.#socket.writableNeedDrain) await this.#drained();
    }
    if (this.#connection.awaiting === "content") this.#perform(this.#connection.endOfContent());
    this.#socket.uncork();
  }

  /** Resolves when the peer took the block, or the connection is over. */
  async #drained(): Promise<void> {
    const socket = this.#socket;
    socket.uncork();
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        socket.off("drain", settle).off("close", settle);
        resolve();
      };
      socket.once("drain", settle).once("close", settle);
      if (socket.destroyed) settle();
    });
    this.#blocks++;
    this.#watch();
  }
}

function* blocksOf(content: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < content.length; start += BLOCK_OCTETS)
    yield content.subarray(start, start + BLOCK_OCTETS);
}

/** RFC 5321 section 4.1.3. */
function addressLiteral({ localAddress = "127.0.0.1" }: Socket): string {
  return isIPv6(localAddress) ? `[IPv6:${localAddress.replace(/%.*/, "")}]` : `[${localAddress}]`;
}

function aborted(signal: AbortSignal | undefined): SmtpError {
  return new SmtpError("aborted", "the caller aborted", { cause: signal?.reason });
}
