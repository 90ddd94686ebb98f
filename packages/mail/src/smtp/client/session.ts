import type { Socket } from "node:net";
import { SmtpError, TimeoutError } from "../../errors.ts";
import { ClientConnection } from "../protocol/connection.ts";
import type { Output } from "../protocol/output.ts";
import { TIMEOUT_MS, type Verb } from "../protocol/timeout.ts";
import type { TransactionOutcome, TransactionRequest } from "../protocol/transaction.ts";
import { type Exchange, MECHANISM_NAMES, startExchange } from "../sasl/mechanism.ts";
import type { ResolvedSmtpOptions } from "./options.ts";
import { openSocket, upgradeSocket } from "./socket.ts";

/** What a session delivers. */
export interface Delivery {
  readonly request: TransactionRequest;
  readonly content: Uint8Array;
  /** Awaited before the end of data may leave; if it rejects, it never leaves. */
  readonly beforeEndOfData: () => void | Promise<void>;
  readonly signal: AbortSignal | undefined;
}

/** How long `quit` waits for the server to take what was written, in milliseconds. */
const CLOSE_GRACE = 1_000;

/**
 * An SMTP session over a socket: it does what the {@link ClientConnection} puts out, and keeps its time.
 *
 * One transaction at a time. While none runs, the socket does not keep the process alive.
 */
export class SmtpSession {
  readonly #options: ResolvedSmtpOptions;
  readonly #connection: ClientConnection;
  #socket: Socket;
  #timer: NodeJS.Timeout | undefined;
  #exchange: Exchange | undefined;
  #opening = Promise.withResolvers<void>();
  #transaction: PromiseWithResolvers<TransactionOutcome> | undefined;
  #delivery: Delivery | undefined;
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
    const { clientName, tls, clearAuth, auth } = options;
    this.#connection = new ClientConnection({
      clientName,
      tls,
      clearAuth,
      mechanisms: auth === undefined ? [] : MECHANISM_NAMES,
    });
  }

  /**
   * Connects, and goes on until the server takes mail.
   *
   * @throws {SmtpError} with its subclasses TlsError, AuthError, TimeoutError.
   */
  static async open(options: ResolvedSmtpOptions, signal?: AbortSignal): Promise<SmtpSession> {
    const session = new SmtpSession(options, await openSocket(options, signal));
    const onAbort = (): void =>
      session.#giveUp(new SmtpError("aborted", "the caller aborted", { cause: signal?.reason }));
    signal?.addEventListener("abort", onAbort, { once: true });
    session.#listen();
    session.#watch();
    try {
      await session.#opening.promise;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    session.#socket.unref();
    return session;
  }

  /** Whether it takes another transaction. */
  get isReady(): boolean {
    return this.#connection.isReady;
  }

  /** Delivers one message. It never rejects: a connection that dies is an outcome with an error. */
  async deliver(delivery: Delivery): Promise<TransactionOutcome> {
    const { signal } = delivery;
    const transaction = Promise.withResolvers<TransactionOutcome>();
    this.#transaction = transaction;
    this.#delivery = delivery;
    // What is past its end of data is finished: giving up then would leave it in doubt.
    const onAbort = (): void => {
      if (!this.#connection.isInDoubt)
        this.#giveUp(new SmtpError("aborted", "the caller aborted", { cause: signal?.reason }));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#socket.ref();
    this.#perform(this.#connection.deliver(delivery.request));
    try {
      return await transaction.promise;
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
        return this.#opening.resolve();
      case "need-content":
        return void this.#sendContent();
      case "done":
        return this.#transaction?.resolve(output.outcome);
      case "failed":
        this.#opening.reject(output.error);
        this.#socket.end();
        this.#socket.destroySoon();
        return;
      case "closed":
        this.#socket.end();
    }
  }

  /** The one timer: for what the server owes now. It starts anew with every reply and every write. */
  #watch(): void {
    clearTimeout(this.#timer);
    const verb = this.#connection.awaiting;
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
    if (delivery === undefined) return;
    try {
      await delivery.beforeEndOfData();
    } catch (cause) {
      return this.#giveUp(new SmtpError("aborted", "the end of data was held back", { cause }));
    }
    // The connection may have died meanwhile; the transaction has its outcome then.
    if (this.#connection.awaiting !== "content") return;
    this.#socket.cork();
    this.#perform([...this.#connection.content(delivery.content), ...this.#connection.endOfContent()]);
    this.#socket.uncork();
  }
}
