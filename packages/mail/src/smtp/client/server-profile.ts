import type { SmtpError } from "../../errors.ts";
import { type Schedule, slower } from "../protocol/schedule.ts";
import type { ResolvedSmtpOptions } from "./options.ts";

/**
 * Postfix takes 1000 recipients in one transaction and Exchange Online 500; RFC 5321 section 4.5.3.1.8 promises 100.
 * A server that takes fewer says so (452), and that is remembered.
 */
const RECIPIENTS = 1000;
/** After so many messages that were accepted, a schedule is tried again with which a connection was once lost. */
const PROBATION = 100;
/** A server's own patience with an idle connection, shortened so that the connection ends before it. */
const IDLE_SHARE = 0.8;

/** How a session came to its end. */
export interface SessionEnd {
  /** Undefined: it was ended here. */
  readonly error: SmtpError | undefined;
  readonly schedule: Schedule;
  /** How many transactions came to a verdict, and how many to an acceptance. */
  readonly verdicts: number;
  readonly accepted: number;
  /** For how long nothing was under way, in milliseconds; undefined where something was. */
  readonly idle: number | undefined;
}

/** What was learned about a server from what it did, and is used from then on, for all connections to it. */
export class ServerProfile {
  /** The fastest of which it has not shown that it cannot follow. */
  #fastest: Schedule;
  #schedule: Schedule;
  /** How many messages are still to be accepted before the fastest schedule is tried again. */
  #probation = 0;
  /** After how many messages it ended the connection before this one. */
  #endedAfter: number | undefined;
  /** How long the connection before this one was idle when it ended it, in milliseconds. */
  #endedIdleAfter: number | undefined;
  /** Recipients in one transaction. */
  recipients = RECIPIENTS;
  /** Messages over one connection. */
  messages: number;
  /** How long a connection may stay idle, in milliseconds. */
  idle: number | undefined;

  constructor(options: ResolvedSmtpOptions) {
    this.#fastest = options.schedule;
    this.#schedule = options.schedule;
    this.messages = options.messagesPerConnection ?? Number.POSITIVE_INFINITY;
    this.idle = options.idleTimeout;
  }

  /** The fastest that it can follow. */
  get schedule(): Schedule {
    return this.#schedule;
  }

  accepted(): void {
    if (this.#probation > 0 && --this.#probation === 0) this.#schedule = this.#fastest;
  }

  /** It could not follow a schedule, and showed it by its replies: it never will. */
  outOfStep(schedule: Schedule): void {
    this.#fastest = slowest(this.#fastest, slower(schedule));
    this.#fall(schedule);
  }

  /** It refused recipients behind so many that it took. */
  tooManyRecipients(taken: number): void {
    this.recipients = Math.max(1, Math.min(this.recipients, taken));
  }

  ended({ error, schedule, verdicts, accepted, idle }: SessionEnd): void {
    if (error === undefined) return;
    if (idle !== undefined) return this.#endedIdle(idle);
    if (error.reply !== undefined) {
      // Postfix and Exim end a session after so many refusals, Exim by its reply to RSET: that is no limit of messages.
      if (verdicts !== accepted) return;
      return error.verb === "RSET" && error.reply.code !== 421 ? this.outOfStep(schedule) : this.filled(accepted);
    }
    if (error.code === "protocol") return this.outOfStep(schedule);
    this.#fall(schedule);
    this.#probation = PROBATION;
  }

  /** Twice after about the same time is its patience, and not a restart. */
  #endedIdle(idle: number): void {
    const before = this.#endedIdleAfter;
    this.#endedIdleAfter = idle;
    if (before === undefined || Math.abs(idle - before) > before / 4) return;
    this.idle = Math.min(this.idle ?? Number.POSITIVE_INFINITY, idle * IDLE_SHARE);
  }

  /** It said that a connection has had enough. Twice at the same count is its limit, not the trouble of a moment. */
  filled(messages: number): void {
    if (messages > 0 && messages === this.#endedAfter) this.messages = Math.min(this.messages, messages);
    this.#endedAfter = messages;
  }

  #fall(schedule: Schedule): void {
    this.#schedule = slowest(this.#schedule, slower(schedule));
  }
}

function slowest(one: Schedule, other: Schedule): Schedule {
  return rank(other) < rank(one) ? other : one;
}

function rank(schedule: Schedule): number {
  return typeof schedule === "object" ? 3 : ["lockstep", "grouped", "across"].indexOf(schedule);
}
