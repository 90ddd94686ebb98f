import { setImmediate } from "node:timers/promises";
import { SmtpError, TimeoutError } from "../../errors.ts";
import { ClientConnection } from "../protocol/connection.ts";
import type { Output } from "../protocol/output.ts";
import { JOINED_OCTETS } from "../protocol/pipeline.ts";
import type { Schedule } from "../protocol/schedule.ts";
import type { Verb } from "../protocol/timeout.ts";
import type { TransactionRequest } from "../protocol/transaction.ts";
import { type Exchange, mechanismNames, startExchange } from "../sasl/mechanism.ts";
import { BLOCK_OCTETS } from "./content.ts";
import { Deadline, timeoutFor } from "./deadline.ts";
import { publishCommand, publishReply, type TlsDetails } from "./diagnostics.ts";
import type { ResolvedSmtpOptions } from "./options.ts";
import { addressLiteral, type Channel, tlsDetails, upgradeChannel } from "./socket.ts";

/** What the dialogue does not do by itself. */
export type SessionOutput<Request extends TransactionRequest> = Exclude<
  Output<Request>,
  { type: "write" | "upgrade-tls" | "need-sasl" | "alive" }
>;

/** How long a connection that is over may take to close, in milliseconds. */
const CLOSE_GRACE = 1_000;

/**
 * The machine and its channel: what the {@link ClientConnection} puts out is done on the channel, what comes is passed
 * in, and the peer has so much time for what it owes.
 */
export class Dialogue<Request extends TransactionRequest> {
  readonly connection: ClientConnection<Request>;
  readonly #options: ResolvedSmtpOptions;
  readonly #onOutput: (output: SessionOutput<Request>) => void;
  #channel: Channel;
  #exchange: Exchange | undefined;
  /** The mechanism is thinking: it has the time that the server has. */
  #isResponding = false;
  /** How many wait for leave to go on: then the server is owed something, not the client. */
  #held = 0;
  /** How many calls of `perform` are under way, and what they write when the outermost ends. */
  #depth = 0;
  #flight: Uint8Array[] = [];
  /** How many octets the channel was given. */
  #given = 0;
  /** Whether all that has come was read just now. */
  #isCaughtUp = false;
  readonly #deadline: Deadline;
  readonly #listeners = {
    data: (octets: Uint8Array) => this.#inStep(() => this.perform(this.connection.receive(octets))),
    end: () => this.perform(this.connection.receiveEof()),
    close: () => this.perform(this.connection.receiveEof()),
    error: (cause: Error) => {
      const error = this.connection.lost(`the connection failed (${cause.message})`, cause);
      this.perform(this.connection.abandon(error));
    },
  };

  constructor(
    options: ResolvedSmtpOptions,
    schedule: Schedule,
    channel: Channel,
    number: number,
    onOutput: (output: SessionOutput<Request>) => void,
  ) {
    this.#options = options;
    this.#channel = channel;
    this.#onOutput = onOutput;
    this.#deadline = new Deadline(
      (verb) => timeoutFor(verb, options.timeouts),
      (verb) => this.#onExpired(verb),
    );
    const { protocol, tls, clearAuth, auth, clientName = addressLiteral(channel) } = options;
    this.connection = new ClientConnection({
      clientName,
      protocol,
      schedule,
      tls,
      clearAuth,
      mechanisms: auth === undefined ? [] : mechanismNames(auth),
      observer: {
        command: (verb, line) => publishCommand(number, verb, line),
        reply: (verb, reply) => publishReply(number, verb, reply),
      },
    });
    this.#listen();
    this.#watch();
  }

  /** Whether somebody waits for leave to go on. */
  get isHeld(): boolean {
    return this.#held > 0;
  }

  /** What secures the channel. */
  get tls(): TlsDetails | undefined {
    return tlsDetails(this.#channel);
  }

  /** Does what the machine put out. What leaves together, in all calls within this one, is one write. */
  perform(outputs: readonly Output<Request>[]): void {
    this.#depth++;
    try {
      for (const output of outputs) this.#do(output);
    } finally {
      this.#depth--;
    }
    if (this.#depth > 0) return;
    this.#release();
    this.#watch();
  }

  /**
   * Does it when all that has come was read: now, where octets are just being read, else two turns of the event loop
   * later. A write to a connection that was reset fails, and Node throws away the replies that lie before the reset,
   * among them the verdict of a message that was accepted.
   */
  caughtUp(act: () => void): void {
    if (this.#isCaughtUp) return act();
    // The first is still in this turn, before the system is asked what has come.
    const twoTurns = setImmediate().then(() => setImmediate());
    this.hold(twoTurns, () => this.#inStep(act));
  }

  #inStep(act: () => void): void {
    this.#isCaughtUp = true;
    try {
      act();
    } finally {
      this.#isCaughtUp = false;
    }
  }

  /** Writes what was put out: small pieces as one buffer, which is 3 µs cheaper than two in a cork. */
  #release(): void {
    const flight = this.#flight;
    const [first] = flight;
    if (first === undefined) return;
    this.#flight = [];
    if (!this.#channel.writable) return;
    // All that was written before was taken, so the time for it is over.
    if (this.#channel.writableLength === 0) this.#watch();
    for (const { length } of flight) this.#given += length;
    if (flight.length === 1) return void this.#channel.write(first);
    const size = flight.reduce((sum, { length }) => sum + length, 0);
    if (size <= JOINED_OCTETS) this.#channel.write(Buffer.concat(flight, size));
    else {
      this.#channel.cork();
      for (const piece of flight) this.#channel.write(piece);
      this.#channel.uncork();
    }
  }

  #write(octets: Uint8Array): void {
    // An array that grows by a push takes room for seventeen, and there is nearly always but one.
    if (this.#flight.length === 0) this.#flight = [octets];
    else this.#flight.push(octets);
  }

  #do(output: Output<Request>): void {
    if (output.type === "write") return this.#write(output.octets);
    // What ends the connection, or goes on elsewhere, must not overtake what was written before.
    if (output.type !== "done" && output.type !== "need-content") this.#release();
    if (output.type === "upgrade-tls") {
      // What came behind the 220 in the same packet ends the connection (RFC 3207 section 4.2): no ClientHello either.
      if (!this.connection.isClosed) void this.#upgrade();
    } else if (output.type === "need-sasl") void this.#respond(output.mechanism, output.challenge);
    else if (output.type !== "alive") {
      if (output.type === "closed") this.#channel.end();
      if (output.type === "failed") this.#end();
      this.#onOutput(output);
    }
  }

  /** Ends the connection at once. */
  giveUp(error: SmtpError): void {
    this.perform(this.connection.abandon(error));
    this.#channel.destroy();
  }

  /** QUIT, whose reply is not awaited, then the connection ends. A channel need not say that it is closed. */
  async quit(): Promise<void> {
    const channel = this.#channel;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    channel.once("close", resolve);
    this.perform(this.connection.quit());
    const grace = setTimeout(() => resolve(void channel.destroy()), CLOSE_GRACE);
    await closed;
    clearTimeout(grace);
  }

  /** What is written leaves, QUIT for one, but a peer that reads no more must not keep the connection open. */
  #end(): void {
    const channel = this.#channel;
    channel.end();
    setTimeout(() => channel.destroy(), CLOSE_GRACE).unref();
    this.#deadline.clear();
  }

  /** Whether the connection keeps the process alive. */
  keepAlive(wanted: boolean): void {
    if (wanted) this.#channel.ref?.();
    else this.#channel.unref?.();
  }

  /** Waits for leave to go on, and then goes on in the same turn, so that nothing that came later gets in between. */
  hold(leave: Promise<void>, act: () => void, refuse: (cause: unknown) => void = () => undefined): void {
    this.#held++;
    this.#watch();
    const release = (): void => {
      this.#held--;
      this.#watch();
    };
    void leave.then(
      () => {
        release();
        act();
      },
      (cause: unknown) => {
        release();
        refuse(cause);
      },
    );
  }

  /** Resolves when the peer took what was written, or the connection is over. */
  async drained(): Promise<void> {
    const channel = this.#channel;
    if (!channel.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        channel.off("drain", settle).off("close", settle);
        resolve();
      };
      channel.once("drain", settle).once("close", settle);
      if (channel.destroyed) settle();
    });
    this.#watch();
  }

  /** What the peer owes; nothing while the content has yet to come, or somebody's leave to go on. */
  get #owed(): Verb | undefined {
    if (this.#isResponding) return "AUTH";
    const { awaiting } = this.connection;
    const isOurs = this.isHeld || this.#channel.writableLength === 0;
    return awaiting === "content" && isOurs ? undefined : awaiting;
  }

  #watch(): void {
    const owed = this.#owed;
    const blocks = owed === "content" ? Math.floor((this.#given - this.#channel.writableLength) / BLOCK_OCTETS) : 0;
    this.#deadline.watch(owed, this.connection.replies + blocks);
  }

  #onExpired(verb: Verb): void {
    if (this.#owed === verb) this.giveUp(new TimeoutError("timeout", notInTime(verb), { verb }));
    else this.#watch();
  }

  #listen(): void {
    for (const [event, listener] of Object.entries(this.#listeners)) this.#channel.on(event, listener);
  }

  async #upgrade(): Promise<void> {
    const plain = this.#channel;
    // From here on the octets are TLS's; an error of the socket below shows as one of TLS.
    for (const [event, listener] of Object.entries(this.#listeners)) plain.off(event, listener);
    plain.on("error", () => undefined);
    try {
      this.#channel = await upgradeChannel(plain, this.#options, undefined);
    } catch (error) {
      return this.perform(this.connection.abandon(error as SmtpError));
    }
    this.#listen();
    this.perform(this.connection.tlsEstablished());
  }

  async #respond(mechanism: string, challenge: Uint8Array | undefined): Promise<void> {
    const { auth, host, port } = this.#options;
    if (challenge === undefined && auth !== undefined) this.#exchange = startExchange(mechanism, auth, { host, port });
    this.#isResponding = true;
    try {
      const step = await this.#exchange?.(challenge);
      this.#isResponding = false;
      this.perform(this.connection.sasl(step?.response, step?.isComplete === true));
    } catch (error) {
      this.#isResponding = false;
      this.giveUp(error instanceof SmtpError ? error : new SmtpError("aborted", "SASL failed", { cause: error }));
    }
  }
}

function notInTime(verb: Verb): string {
  return verb === "content"
    ? "the server did not take the content in time"
    : `the server did not answer ${verb} in time`;
}
