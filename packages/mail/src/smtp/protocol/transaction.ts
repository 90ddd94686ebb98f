import type { Envelope, Phase, RecipientOutcome, Reply } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";
import { type Command, command, dsnMailParameters, mailCommand, rcptCommand } from "./command.ts";
import type { Extensions } from "./extension.ts";
import { isPermanent, isPositive } from "./reply.ts";
import type { Verb } from "./timeout.ts";

/** One mail transaction (RFC 5321 section 3.3): what is to be sent, known before its first command. */
export interface TransactionRequest {
  readonly envelope: Envelope;
  /** The octets of the content, for SIZE; undefined where they show only as it is read. */
  readonly size: number | undefined;
  /** Whether the content has octets above 127, for 8BITMIME. */
  readonly eightBit: boolean;
  /** Whether an address or a header field is not ASCII, for SMTPUTF8 (RFC 6531 section 3.4). */
  readonly smtpUtf8: boolean;
  /**
   * The content as one chunk with canonical line ends, to be sent by BDAT (RFC 3030) where the schedule is a window.
   * Undefined, or in another schedule: by DATA.
   */
  readonly chunk?: Uint8Array | undefined;
}

/** What became of it. */
export interface TransactionOutcome {
  readonly recipients: readonly RecipientOutcome[];
  readonly reply?: Reply;
  readonly phase?: Phase;
  readonly error?: SmtpError;
  /**
   * The message surely did not leave, and nothing was decided about it: `lost` when the connection ended under it,
   * `out-of-step` when the server could not follow the schedule. It may be tried again at once.
   */
  readonly undecided?: "lost" | "out-of-step";
  /** The recipients that the server wants in another transaction, by their place in the envelope. */
  readonly tooMany?: readonly number[];
}

/** The outcome of each recipient where it is the same, and no reply decided it. */
export function alike({ envelope }: TransactionRequest, status: "refused" | "deferred"): RecipientOutcome[] {
  return envelope.forwardPaths.map((address) => ({ address, status }));
}

/** The outcome without a word of trying again. */
export function lastWord({ recipients, reply, phase, error }: TransactionOutcome): TransactionOutcome {
  return { recipients, ...(reply && { reply }), ...(phase && { phase }), ...(error && { error }) };
}

/** A reply that decides for a whole transaction, and what it answered. */
export interface Closing {
  readonly reply: Reply;
  readonly phase: Phase;
}

/** Whether so many octets are more than the server takes (RFC 1870); a size of 0 is no limit. */
export function exceeds(size: number, extensions: Extensions): boolean {
  return extensions.size !== undefined && extensions.size > 0 && size > extensions.size;
}

export function tooLarge(size: number, extensions: Extensions): SmtpError {
  return new SmtpError(
    "too-large",
    `the message has ${size} octets or more, and the server takes ${extensions.size ?? 0}`,
  );
}

/** What the server lacks for this message, found before a byte of it leaves. */
export function lacking(request: TransactionRequest, extensions: Extensions): SmtpError | undefined {
  if (request.size !== undefined && exceeds(request.size, extensions)) return tooLarge(request.size, extensions);
  const missing = (what: string, keyword: string): SmtpError =>
    new SmtpError("extension-missing", `${what}, and the server does not offer ${keyword}`);
  if (request.smtpUtf8 && !extensions.smtpUtf8) return missing("an address or header field is not ASCII", "SMTPUTF8");
  if (request.eightBit && !extensions.eightBitMime) return missing("the message has 8-bit octets", "8BITMIME");
  if (request.envelope.dsn !== undefined && !extensions.dsn) return missing("notifications are asked for", "DSN");
  return undefined;
}

/** MAIL, RCPT for each recipient, then DATA or BDAT, behind the commands that come before. */
export function transactionCommands(
  { envelope, size, eightBit, smtpUtf8 }: TransactionRequest,
  chunk: Uint8Array | undefined,
  extensions: Extensions,
  before: readonly Command[] = [],
): Command[] {
  const declared = chunk?.length ?? size;
  let parameters = extensions.size !== undefined && declared !== undefined ? ` SIZE=${declared}` : "";
  if (eightBit) parameters += " BODY=8BITMIME";
  if (smtpUtf8) parameters += " SMTPUTF8";
  if (envelope.dsn !== undefined) parameters += dsnMailParameters(envelope.dsn);
  const mail = mailCommand(envelope.reversePath, parameters);
  const rcpt = envelope.forwardPaths.map((forwardPath, index) => rcptCommand(forwardPath, index, envelope.dsn));
  const last: Command = chunk === undefined ? DATA : { verb: "BDAT", line: `BDAT ${chunk.length} LAST` };
  return before.concat(mail, rcpt, last);
}

const DATA: Command = command("DATA", "DATA");

/** The replies of one transaction, and what follows from them. */
export class Transaction<Request extends TransactionRequest = TransactionRequest> {
  readonly request: Request;
  /** Of a message that goes by BDAT. */
  readonly chunk: Uint8Array | undefined;
  readonly #rcpt: (Reply | undefined)[];
  /** LMTP's replies to the end of data, one for each recipient that was accepted (RFC 2033 section 4.2). */
  readonly #verdicts: (Reply | undefined)[] = [];
  #mail: Reply | undefined;
  #data: Reply | undefined;
  #endOfData: Reply | undefined;
  #outOfStep = false;
  /** A reply to RCPT may mean that there are too many. */
  #isFull = false;
  /** Sent behind a dot that was not answered, so that a 503 says nothing about this message. */
  readonly #isBehindDot: boolean;
  /** How many of its commands are not answered, those among them that have not left. */
  owed = 0;
  anyAccepted = false;
  /** The last octet of the content was handed to the socket: from here on, silence is doubt. */
  terminated = false;
  /** The chunk was accepted although MAIL was refused: nobody knows for whom and from whom it went out. */
  isUnderAnotherSender = false;

  constructor(request: Request, chunk: Uint8Array | undefined, isBehindDot: boolean) {
    this.request = request;
    this.#rcpt = request.envelope.forwardPaths.map(() => undefined);
    this.chunk = chunk;
    this.#isBehindDot = isBehindDot;
  }

  take({ verb, recipient }: Command, reply: Reply): void {
    if (this.#isNoVerdict(verb, reply)) this.#outOfStep = true;
    if (verb === "MAIL") this.#mail = reply;
    else if (verb === "RCPT") this.#takeRcpt(recipient ?? 0, reply);
    else if (verb === "DATA") this.#data = reply;
    // The reply to a lone dot behind refused recipients (RFC 2920 section 3.1) says nothing of the message.
    else if (verb === "RSET" || !this.terminated || (verb === "BDAT" && this.#outOfStep)) return;
    else if (recipient === undefined) this.#endOfData = reply;
    else this.#verdicts[recipient] = reply;
  }

  #takeRcpt(recipient: number, reply: Reply): void {
    this.#rcpt[recipient] = reply;
    this.anyAccepted ||= isPositive(reply);
    this.#isFull ||= isTooMany(reply);
  }

  /**
   * 503 to what stands behind a dot: Haraka advertises PIPELINING and answers so to all of it. And BDAT that the server
   * does not know, or not there, although it took the recipients.
   */
  #isNoVerdict(verb: Verb, { code }: Reply): boolean {
    if (verb === "BDAT") {
      const isFirst = this.#verdicts.length === 0;
      return isFirst && code >= 500 && code <= 504 && this.anyAccepted && !this.mailRefused;
    }
    // What follows from a refusal of its own is no sign: RCPT after MAIL, DATA after every RCPT.
    const follows = verb === "DATA" ? this.mailRefused || !this.anyAccepted : verb === "RCPT" && this.mailRefused;
    return code === 503 && this.#isBehindDot && !this.terminated && !follows;
  }

  get outOfStep(): boolean {
    return this.#outOfStep;
  }

  get mailRefused(): boolean {
    return this.#mail !== undefined && !isPositive(this.#mail);
  }

  /**
   * Whether RSET must come before the next MAIL: it did not end with a reply to its end of data, or by a chunk that was
   * refused, behind which the state is indeterminate (RFC 3030 section 2).
   */
  get needsReset(): boolean {
    if (this.chunk === undefined) return !this.terminated;
    return this.#endOfData === undefined || !isPositive(this.#endOfData);
  }

  /** The recipients that LMTP answers for, each by a reply of its own. */
  get accepted(): number[] {
    return [...this.#rcpt.keys()].filter((index) => this.#isAccepted(index));
  }

  #isAccepted(index: number): boolean {
    const reply = this.#rcpt[index];
    return reply !== undefined && isPositive(reply);
  }

  /**
   * The verdicts. A recipient's own refusal stands; the others' is that of the first command that failed for all, or of
   * the end of data. Without any, the message is unknown if its end of data had left, and surely not sent otherwise.
   */
  outcome(error?: SmtpError, closing?: Closing): TransactionOutcome {
    const forAll = this.#forAll() ?? (closing && { reply: closing.reply, phase: closing.phase });
    const recipients = this.request.envelope.forwardPaths.map((address, index) =>
      this.#recipient(address, index, forAll, error),
    );
    if (error === undefined && !this.#outOfStep && !this.#isFull)
      return forAll === undefined ? { recipients } : { recipients, reply: forAll.reply, phase: forAll.phase };
    const silent = recipients.some(({ reply }) => reply === undefined);
    const open = silent || (closing !== undefined && recipients.some(({ reply }) => reply === closing.reply));
    const lost = open && error !== undefined && !this.terminated;
    const undecided = this.#outOfStep ? "out-of-step" : lost ? "lost" : undefined;
    const tooMany = this.#tooMany();
    return {
      recipients,
      ...forAll,
      ...(silent && error && { error }),
      ...(undecided && { undecided }),
      ...(tooMany.length > 0 && { tooMany }),
    };
  }

  /** What decides for all recipients that have no verdict of their own. */
  #forAll(): Closing | undefined {
    if (this.isUnderAnotherSender) return undefined;
    if (this.#mail !== undefined && this.mailRefused) return { reply: this.#mail, phase: "MAIL" };
    const phase = this.chunk === undefined ? "end-of-data" : "BDAT";
    if (this.#endOfData !== undefined) return { reply: this.#endOfData, phase };
    return this.#data !== undefined && this.#data.code >= 400 ? { reply: this.#data, phase: "DATA" } : undefined;
  }

  #recipient(
    address: string,
    index: number,
    forAll: Closing | undefined,
    error: SmtpError | undefined,
  ): RecipientOutcome {
    const own = this.#rcpt[index];
    const verdict = this.#verdicts[index];
    const decided =
      (!this.mailRefused || this.isUnderAnotherSender) && own !== undefined && !isPositive(own)
        ? { reply: own, phase: "RCPT" as const }
        : verdict === undefined
          ? forAll
          : { reply: verdict, phase: "end-of-data" as const };
    if (decided === undefined)
      return { address, status: this.terminated && !this.#outOfStep ? "unknown" : unsent(error) };
    const { reply, phase } = decided;
    const status = isPositive(reply) ? "accepted" : isPermanent(reply) ? "refused" : "deferred";
    return { address, status, reply, phase };
  }

  /** RFC 5321 section 4.5.3.1.10: what the server has no room for in this transaction, after it took others. */
  #tooMany(): number[] {
    if (!this.#isFull || this.mailRefused || !this.anyAccepted) return [];
    const first = this.#rcpt.findIndex((reply) => reply !== undefined && isPositive(reply));
    return [...this.#rcpt.keys()].filter((index) => {
      const reply = this.#rcpt[index];
      return index > first && reply !== undefined && isTooMany(reply);
    });
  }
}

/** A stream that turned out too large, or no octets, will be so the next time. */
function unsent(error: SmtpError | undefined): "refused" | "deferred" {
  return error?.code === "too-large" || error?.code === "bad-value" ? "refused" : "deferred";
}

/**
 * Whether a reply to RCPT says that the transaction is full: 452 or 552 with the detail 5.3 (RFC 3463 section 3.6) or
 * without an enhanced code. 552 5.2.2 is a full mailbox.
 */
function isTooMany({ code, enhanced }: Reply): boolean {
  if (code !== 452 && code !== 552) return false;
  return enhanced === undefined || enhanced.endsWith(".5.3");
}
