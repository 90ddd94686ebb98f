import type { Envelope, RecipientOutcome, Reply } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";
import { type Command, command, mailCommand, rcptCommand } from "./command.ts";
import type { Extensions } from "./extension.ts";
import { isPermanent, isPositive } from "./reply.ts";

/** One mail transaction (RFC 5321 section 3.3): what is to be sent, known before its first command. */
export interface TransactionRequest {
  readonly envelope: Envelope;
  /** The octets of the content, for SIZE; undefined where they show only as it is read. */
  readonly size: number | undefined;
  /** Whether the content has octets above 127, for 8BITMIME. */
  readonly eightBit: boolean;
  /** Whether an address or a header field is not ASCII, for SMTPUTF8 (RFC 6531 section 3.4). */
  readonly smtpUtf8: boolean;
}

/** What became of it. */
export interface TransactionOutcome {
  readonly recipients: readonly RecipientOutcome[];
  readonly reply?: Reply;
  readonly error?: SmtpError;
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
  if (request.size !== undefined && exceeds(request.size, extensions)) {
    return tooLarge(request.size, extensions);
  }
  if (request.smtpUtf8 && !extensions.smtpUtf8) {
    return new SmtpError(
      "extension-missing",
      "an address or header field is not ASCII, and the server does not offer SMTPUTF8",
    );
  }
  if (request.eightBit && !extensions.eightBitMime) {
    return new SmtpError("extension-missing", "the message has 8-bit octets, and the server does not offer 8BITMIME");
  }
  return undefined;
}

/** MAIL, RCPT for each recipient, DATA. */
export function transactionCommands(request: TransactionRequest, extensions: Extensions): Command[] {
  const parameters: string[] = [];
  if (extensions.size !== undefined && request.size !== undefined) parameters.push(`SIZE=${request.size}`);
  if (request.eightBit) parameters.push("BODY=8BITMIME");
  if (request.smtpUtf8) parameters.push("SMTPUTF8");
  return [
    mailCommand(request.envelope.reversePath, parameters),
    ...request.envelope.forwardPaths.map(rcptCommand),
    command("DATA", "DATA"),
  ];
}

/** The replies of one transaction, and what follows from them. */
export class Transaction {
  readonly request: TransactionRequest;
  #mail: Reply | undefined;
  readonly #rcpt: (Reply | undefined)[] = [];
  #data: Reply | undefined;
  #endOfData: Reply | undefined;
  /** The line with the dot was handed to the socket: from here on, silence is doubt. */
  terminated = false;

  constructor(request: TransactionRequest) {
    this.request = request;
  }

  take(sent: Command, reply: Reply): void {
    if (sent.verb === "MAIL") this.#mail = reply;
    else if (sent.verb === "RCPT") this.#rcpt[sent.recipient ?? 0] = reply;
    else if (sent.verb === "DATA") this.#data = reply;
    // The reply to a lone dot behind refused recipients (RFC 2920 section 3.1) says nothing of the message.
    else if (this.terminated) this.#endOfData = reply;
  }

  get mailRefused(): boolean {
    return this.#mail !== undefined && !isPositive(this.#mail);
  }

  get anyAccepted(): boolean {
    return this.#rcpt.some((reply) => reply !== undefined && isPositive(reply));
  }

  /**
   * The verdicts. A recipient's own refusal stands; the others' is that of the first command that failed for all, or of
   * the end of data. Without any, the message is unknown if its end of data had left, and surely not sent otherwise.
   */
  outcome(error?: SmtpError, closing?: Reply): TransactionOutcome {
    // A stream that turned out too large will be so the next time.
    const unsent = error?.code === "too-large" ? "refused" : "deferred";
    const forAll = this.mailRefused ? this.#mail : (this.#endOfData ?? this.#refusedData() ?? closing);
    const recipients = this.request.envelope.forwardPaths.map((address, index): RecipientOutcome => {
      const own = this.#rcpt[index];
      const reply = !this.mailRefused && own !== undefined && !isPositive(own) ? own : forAll;
      if (reply === undefined) return { address, status: this.terminated ? "unknown" : unsent };
      return { address, status: isPositive(reply) ? "accepted" : isPermanent(reply) ? "refused" : "deferred", reply };
    });
    const undecided = recipients.some((recipient) => recipient.reply === undefined);
    return { recipients, ...(forAll && { reply: forAll }), ...(undecided && error && { error }) };
  }

  #refusedData(): Reply | undefined {
    return this.#data !== undefined && this.#data.code >= 400 ? this.#data : undefined;
  }
}
