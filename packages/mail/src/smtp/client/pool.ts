/**
 * The connections to one server, and the mail objects that wait for them.
 *
 * A connection that failed in any way is not used again. A mail object whose end of data surely had not left is tried
 * on another, at once, if the connection had shown before that it brings messages to a verdict; else the failure is the
 * message's own verdict, so that a server that takes nothing is not asked for ever.
 */
import { AuthError, SmtpError } from "../../errors.ts";
import { depth } from "../protocol/schedule.ts";
import type { TransactionOutcome } from "../protocol/transaction.ts";
import { Concurrency } from "./concurrency.ts";
import type { MailObject, MailObjectCarrier, RecipientLimits } from "./mail-object.ts";
import { MailQueue } from "./mail-queue.ts";
import { whole } from "./option-value.ts";
import { CONNECTION_LIMIT, type ResolvedSmtpOptions } from "./options.ts";
import { RateLimit } from "./rate-limit.ts";
import { ServerProfile, type SessionEnd } from "./server-profile.ts";
import { SmtpSession } from "./session.ts";

/** A mail object under which so many connections ended is given up: it may be the reason. */
const LOSSES = 2;
/** A mail object that so many connections had no room for is given up: it may be its sender that has had enough. */
const MOVES = 3;

export class SmtpPool implements MailObjectCarrier {
  readonly #options: ResolvedSmtpOptions;
  readonly #profile: ServerProfile;
  readonly #rate: RateLimit | undefined;
  readonly #sessions = new Set<SmtpSession>();
  readonly #openings = new Set<AbortController>();
  readonly #queue = new MailQueue();
  #isPumping = false;
  /** How many are under way; which, each says itself. */
  #underWay = 0;
  /** The domains that a session has seen, where the server limits them. */
  readonly #domains = new WeakMap<SmtpSession, Set<string>>();
  readonly #concurrency: Concurrency;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  #whenQuiet: (() => void) | undefined;
  #rateTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(options: ResolvedSmtpOptions) {
    this.#options = options;
    this.#concurrency = new Concurrency(options.connections);
    this.#profile = new ServerProfile(options);
    this.#rate = options.messagesPerSecond === undefined ? undefined : new RateLimit(options.messagesPerSecond);
  }

  get host(): string {
    return this.#options.host;
  }

  /** Allows up to so many connections until the function that it returns is called. */
  widen(connections: number): () => void {
    const narrow = this.#concurrency.widen(whole("connections", connections, CONNECTION_LIMIT));
    return () => {
      narrow();
      for (const session of this.#sessions) if (this.#sessions.size > this.#concurrency.limit) this.#retire(session);
    };
  }

  /** How many messages its connections can use at once: those under way, and one that is ready when there is room. */
  get lookAhead(): number {
    return this.#concurrency.limit * (1 + depth(this.#options.schedule));
  }

  /** Aborted by `close()`: whatever is handed over from then on fails. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Puts it at the end of those that wait. */
  submit(object: MailObject): void {
    if (this.closing.aborted) return object.fail(closedError());
    this.#queue.add(object);
    this.#pump();
  }

  /** Takes it back: at once where it waits, and where it is under way, unless its end of data has left. */
  withdraw(object: MailObject, error: SmtpError): void {
    object.withdrawn ??= error;
    if (!this.#queue.remove(object)) return object.session?.withdraw(object, error);
    object.fail(error);
    if (this.#queue.isEmpty) this.#stopWaiting();
  }

  /** Waits for what is under way, then ends every connection. What still waits is not sent. */
  close(): Promise<void> {
    this.#closing.abort();
    // Not at once: whoever is told what failed may call this too.
    return (this.#closed ??= Promise.resolve().then(() => this.#close()));
  }

  async #close(): Promise<void> {
    for (const object of this.#queue.clear()) object.fail(closedError());
    this.#stopWaiting();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#whenQuiet = resolve));
    clearTimeout(this.#idleTimer);
    await Promise.all([...this.#sessions].map((session) => session.quit()));
  }

  /** Nothing waits: neither for a connection nor for its time. */
  #stopWaiting(): void {
    clearTimeout(this.#rateTimer);
    this.#rateTimer = undefined;
    for (const opening of this.#openings) opening.abort();
  }

  /** Hands over what waits. A verdict that comes at once asks for it anew, and is given it by the loop that runs. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      this.#handOver();
    } finally {
      this.#isPumping = false;
    }
  }

  #handOver(): void {
    while (!this.#queue.isEmpty) {
      const session = this.#sessionWithRoom();
      if (session === undefined) return this.#grow();
      const wait = this.#rate?.take(performance.now()) ?? 0;
      if (wait > 0) return this.#pumpAfter(wait);
      const object = this.#queue.shift();
      if (object !== undefined) this.#begin(object, session);
    }
  }

  #pumpAfter(wait: number): void {
    this.#rateTimer ??= setTimeout(() => {
      this.#rateTimer = undefined;
      this.#pump();
    }, Math.ceil(wait));
  }

  /** One that is idle, or else one whose schedule has room for another message. */
  #sessionWithRoom(): SmtpSession | undefined {
    let found: SmtpSession | undefined;
    for (const session of this.#sessions) {
      if (this.#isFull(session) || this.#sessions.size > this.#concurrency.limit) this.#retire(session);
      else if (session.hasRoom && session.isIdle) return session;
      else if (session.hasRoom) found ??= session;
    }
    return found;
  }

  /** Whether it has had as many messages as the server takes over one connection. */
  #isFull({ begun, isFull, extensions }: SmtpSession): boolean {
    return isFull || begun >= Math.min(this.#profile.messages, extensions.limits.mailMax ?? Number.POSITIVE_INFINITY);
  }

  /** It gets no other message, and ends when it has none. */
  #retire(session: SmtpSession): void {
    if (!session.isIdle) return;
    this.#sessions.delete(session);
    void session.quit();
  }

  #begin(object: MailObject, session: SmtpSession): void {
    if (!object.begin(this.#limits(session), this)) return this.#moveOn(object, session);
    this.#underWay++;
    object.session = session;
    session.deliver(object);
  }

  #limits(session: SmtpSession): RecipientLimits {
    const { rcptMax = Number.POSITIVE_INFINITY, rcptDomainMax: domains } = session.extensions.limits;
    const recipients = Math.min(this.#profile.recipients, rcptMax);
    if (domains === undefined) return { recipients };
    const seen = this.#domains.get(session) ?? new Set<string>();
    this.#domains.set(session, seen);
    return { recipients, domains: { limit: domains, seen } };
  }

  /** A transaction is over. */
  onOutcome(object: MailObject, session: SmtpSession, outcome: TransactionOutcome): void {
    this.#underWay--;
    object.session = undefined;
    this.#learn(session, outcome);
    if (isFilled(outcome) && session.accepted > 0 && object.moves < MOVES && object.withdrawn === undefined)
      this.#moveOn(object, session, true);
    else {
      object.take(outcome);
      if (object.isOpen && this.#mayTryAgain(object, session, outcome)) this.#queue.add(object);
      // A connection that was ended to take the message back did not fail.
      else object.end(failed(outcome) && object.withdrawn === undefined ? session : undefined);
    }
    if (this.#underWay === 0) this.#whenQuiet?.();
    this.#pump();
  }

  /** This connection has taken its fill, of messages or of domains, and the message belongs on another. */
  #moveOn(object: MailObject, session: SmtpSession, ofMessages = false): void {
    object.moves++;
    if (ofMessages && !session.isFull) this.#profile.filled(session.accepted);
    session.isFull = true;
    this.#retire(session);
    if (this.closing.aborted) object.fail(closedError());
    else this.#queue.add(object);
  }

  #learn(session: SmtpSession, { recipients, undecided, tooMany }: TransactionOutcome): void {
    if (undecided === "out-of-step") this.#profile.outOfStep(session.schedule);
    if (tooMany !== undefined) this.#profile.tooManyRecipients(recipients.length - tooMany.length);
    if (!recipients.some(({ status }) => status === "accepted")) return;
    session.accepted++;
    this.#profile.accepted();
    this.#concurrency.gain();
  }

  #mayTryAgain(object: MailObject, session: SmtpSession, { undecided }: TransactionOutcome): boolean {
    if (object.withdrawn !== undefined || this.closing.aborted) return false;
    return undecided !== "lost" || (session.verdicts > 0 && object.losses++ < LOSSES);
  }

  /** Opens another connection for what waits, where one is allowed. */
  #grow(): void {
    if (this.closing.aborted || this.#sessions.size + this.#openings.size >= this.#concurrency.allowed) return;
    const opening = new AbortController();
    this.#openings.add(opening);
    void SmtpSession.open(this.#options, this.#profile.schedule, opening.signal).then(
      (session) => {
        this.#openings.delete(opening);
        this.#onOpened(session);
      },
      (error: unknown) => {
        this.#openings.delete(opening);
        if (!opening.signal.aborted) this.#onNotOpened(error as SmtpError);
        this.#pump();
      },
    );
  }

  #onOpened(session: SmtpSession): void {
    this.#sessions.add(session);
    session.listen({
      onRoom: () => this.#onRoom(session),
      onEnd: (end) => this.#onEnd(session, end),
    });
    if (this.closing.aborted) void session.quit();
    else this.#onRoom(session);
  }

  /** Without any connection left, it is the failure of the message that comes first; credentials are everyone's. */
  #onNotOpened(error: SmtpError): void {
    this.#concurrency.lose();
    if (error instanceof AuthError) for (const object of this.#queue.clear()) object.fail(error, error);
    else if (this.#sessions.size + this.#openings.size === 0) this.#queue.shift()?.fail(error, error);
  }

  #onRoom(session: SmtpSession): void {
    this.#pump();
    if (session.isIdle) this.#watchIdle();
  }

  #onEnd(session: SmtpSession, end: SessionEnd): void {
    this.#sessions.delete(session);
    this.#profile.ended(end);
    if (end.error?.reply?.code === 421) this.#concurrency.lose();
    this.#pump();
  }

  /** Ends what was idle for as long as the server, or the caller, allows. */
  #watchIdle(): void {
    const { idle } = this.#profile;
    if (idle === undefined || this.#idleTimer !== undefined) return;
    const longest = Math.max(0, ...[...this.#sessions].map(({ isIdle, idleTime = 0 }) => (isIdle ? idleTime : 0)));
    this.#idleTimer = setTimeout(
      () => {
        this.#idleTimer = undefined;
        for (const session of this.#sessions) if ((session.idleTime ?? 0) >= idle) this.#retire(session);
        if (this.#sessions.size > 0) this.#watchIdle();
      },
      Math.ceil(idle - longest),
    ).unref();
  }
}

/** Whether a connection failed under the message. */
function failed({ undecided, recipients }: TransactionOutcome): boolean {
  return undecided === "lost" || recipients.some(({ status }) => status === "unknown");
}

/** 452 to MAIL: where the connection has had others before, OpenSMTPD and others mean that it has had enough. */
function isFilled({ phase, reply }: TransactionOutcome): boolean {
  return phase === "MAIL" && reply?.code === 452;
}

function closedError(): SmtpError {
  return new SmtpError("aborted", "the transport was closed");
}
