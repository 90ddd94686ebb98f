/**
 * The server side of an SMTP or LMTP session (RFC 5321, RFC 2033), without I/O, as strict and as lax as real servers are.
 *
 *     command        transaction          reply   then
 *     MAIL           none                 250     open, without a recipient
 *     MAIL           open                 503     stays open, with the sender of the MAIL before it
 *     RCPT           none                 503
 *     RCPT           open                 250     one recipient more
 *     DATA           none                 503
 *     DATA           without recipient    554     stays open
 *     DATA           with recipients      354     content up to the line with the dot
 *     line with dot  with recipients      250     the message is accepted: none
 *     BDAT n         as DATA              250     stays open; LAST: the message is accepted, none
 *     RSET, EHLO     any                  250     none
 *
 * The second row is the trap: a client that goes on behind its 503 has its message accepted under another's sender.
 * Postfix, Exim, Sendmail and Dovecot behave so.
 *
 * What is not on offer is not taken: a command in one piece with another without PIPELINING (500), BDAT without CHUNKING
 * (500, and the chunk is read as commands), a parameter of MAIL whose extension is missing (555).
 *
 * Addresses that begin with `refused` get 550, with `deferred` 451; by LMTP, recipients that begin with `late` get 550
 * after the end of data. Each reply names the address that it is about, or else the sender of the transaction, so that
 * a reply taken for another message's shows.
 */

export type ServerVerb =
  | "greeting"
  | "EHLO"
  | "HELO"
  | "LHLO"
  | "STARTTLS"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "end-of-data"
  | "BDAT"
  | "RSET"
  | "NOOP"
  | "QUIT"
  | "unknown";

/** What the server is. */
export interface ServerTraits {
  readonly protocol?: "smtp" | "lmtp";
  /** The EHLO keywords, with their parameters. Default: {@link KEYWORDS}. */
  readonly keywords?: readonly string[];
  /** The reply to DATA when every recipient was refused. Default: 554; RFC 2920 section 3.1 speaks of 354. */
  readonly dataWithoutRecipient?: 354 | 554;
  /** Whether BDAT is no command to it, so that the chunk behind it is read as commands. Default: false. */
  readonly readsChunksAsCommands?: boolean;
}

export const KEYWORDS: readonly string[] = [
  "PIPELINING",
  "SIZE 1000000",
  "8BITMIME",
  "CHUNKING",
  "ENHANCEDSTATUSCODES",
];

/** A message at the moment at which the server took responsibility for it. */
export interface AcceptedMessage {
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  readonly content: Buffer;
}

/** One thing that the client wants, which the server can do or leave. */
export interface Step {
  readonly verb: ServerVerb;
  readonly line: string;
  /** Of the transaction that is open, or that MAIL wants to open. */
  readonly reversePath: string | undefined;
  /** How many recipients the transaction has, and how many messages the session accepted. */
  readonly recipients: number;
  readonly messages: number;
  /** Whether it came in one piece with a command in front of it. */
  readonly inGroup: boolean;
  /** Whether it was there before the dot in front of it was answered. */
  readonly behindDot: boolean;
  /** Does it, and returns the reply; by LMTP the end of data has one for each recipient. */
  perform(): string;
  /** Leaves it: what is not done still ends the transaction if it was the end of its data. */
  refuse(): void;
}

interface Transaction {
  readonly reversePath: string;
  readonly forwardPaths: string[];
  readonly chunks: Buffer[];
}

const VERBS: ReadonlySet<string> = new Set<ServerVerb>(
  "EHLO HELO LHLO STARTTLS MAIL RCPT DATA BDAT RSET NOOP QUIT".split(" ") as ServerVerb[],
);
const END_OF_DATA = Buffer.from("\r\n.\r\n");

export class ServerSession {
  readonly #traits: ServerTraits;
  readonly #accept: (message: AcceptedMessage) => void;
  #buffer = Buffer.alloc(0);
  #transaction: Transaction | undefined;
  #state: "greeting" | "command" | "content" = "greeting";
  #messages = 0;
  /** How many commands of the piece that came last were taken from it. */
  #taken = 0;
  /** How many octets of the buffer were there when the dot was taken. */
  #behindDot = 0;

  constructor(traits: ServerTraits, accept: (message: AcceptedMessage) => void) {
    this.#traits = traits;
    this.#accept = accept;
  }

  push(octets: Buffer): void {
    this.#taken = this.#buffer.length === 0 ? 0 : this.#taken;
    this.#buffer = Buffer.concat([this.#buffer, octets]);
  }

  /** What comes next, where it is there whole. */
  next(): Step | undefined {
    if (this.#state === "greeting") {
      this.#state = "command";
      return this.#step("greeting", "", () => "220 peer.example ready");
    }
    return this.#state === "content" ? this.#nextContent() : this.#nextCommand();
  }

  #nextCommand(): Step | undefined {
    const end = this.#buffer.indexOf("\r\n");
    if (end === -1) return undefined;
    const line = this.#buffer.toString("latin1", 0, end);
    const word = /^[a-z]+/i.exec(line)?.[0].toUpperCase() ?? "";
    const verb = VERBS.has(word) ? (word as ServerVerb) : "unknown";
    const octets = verb === "BDAT" && this.#eatsChunks ? Number(line.split(" ")[1]) : 0;
    if (this.#buffer.length < end + 2 + octets) return undefined;
    const behindDot = this.#behindDot > 0;
    const chunk = this.#buffer.subarray(end + 2, end + 2 + octets);
    this.#drop(end + 2 + octets);
    const step = this.#step(verb, line, () => this.#perform(verb, line, chunk));
    if (!step.inGroup || this.#offers("PIPELINING")) return { ...step, behindDot };
    return { ...step, behindDot, perform: () => `500 5.5.1 PIPELINING is not on offer: ${line}` };
  }

  #nextContent(): Step | undefined {
    const isLone = this.#buffer.subarray(0, 3).equals(END_OF_DATA.subarray(2));
    const end = isLone ? -2 : this.#buffer.indexOf(END_OF_DATA);
    if (end === -1) return undefined;
    // Transparency, RFC 5321 section 4.5.2.
    const lines = this.#buffer.toString("latin1", 0, end + 2).replace(/(^|\r\n)\./g, "$1");
    this.#drop(end + END_OF_DATA.length);
    this.#behindDot = this.#buffer.length;
    const step = this.#step("end-of-data", ".", () => this.#endMessage(Buffer.from(lines, "latin1")));
    this.#state = "command";
    return { ...step, refuse: () => (this.#transaction = undefined) };
  }

  #offers(keyword: string): boolean {
    return (this.#traits.keywords ?? KEYWORDS).some((each) => each.split(" ")[0] === keyword);
  }

  get #eatsChunks(): boolean {
    return this.#offers("CHUNKING") && this.#traits.readsChunksAsCommands !== true;
  }

  #step(verb: ServerVerb, line: string, perform: () => string): Step {
    const { reversePath, forwardPaths = [] } = this.#transaction ?? { reversePath: path(line) };
    return {
      verb,
      line,
      reversePath,
      recipients: forwardPaths.length,
      messages: this.#messages,
      inGroup: this.#taken++ > 0,
      behindDot: false,
      perform,
      refuse: () => undefined,
    };
  }

  #drop(octets: number): void {
    this.#buffer = this.#buffer.subarray(octets);
    this.#behindDot = Math.max(0, this.#behindDot - octets);
  }

  #perform(verb: ServerVerb, line: string, chunk: Buffer): string {
    switch (verb) {
      case "MAIL":
        return this.#mail(line);
      case "RCPT":
        return this.#rcpt(line);
      case "DATA":
        return this.#data();
      case "BDAT":
        return this.#bdat(line, chunk);
      case "EHLO":
      case "LHLO":
      case "HELO":
      case "RSET":
        this.#transaction = undefined;
        return verb === "EHLO" || verb === "LHLO" ? this.#extensions() : "250 2.0.0 ok";
      case "NOOP":
        return "250 2.0.0 ok";
      case "STARTTLS":
        return "220 2.0.0 go ahead";
      case "QUIT":
        return "221 2.0.0 bye";
      default:
        return `500 5.5.2 no command: ${line.replace(/[^ -~]/g, "?").slice(0, 80)}`;
    }
  }

  #extensions(): string {
    const lines = ["peer.example", ...(this.#traits.keywords ?? KEYWORDS)];
    return lines.map((line, index) => `250${index === lines.length - 1 ? " " : "-"}${line}`).join("\r\n");
  }

  #mail(line: string): string {
    const reversePath = path(line) ?? "";
    if (this.#transaction !== undefined) return `503 5.5.1 <${reversePath}> nested MAIL`;
    if (line.includes(" SIZE=") && !this.#offers("SIZE")) return `555 5.5.4 <${reversePath}> no SIZE`;
    if (line.includes(" BODY=") && !this.#offers("8BITMIME")) return `555 5.5.4 <${reversePath}> no 8BITMIME`;
    const refusal = policy(reversePath);
    if (refusal !== undefined) return refusal;
    this.#transaction = { reversePath, forwardPaths: [], chunks: [] };
    return `250 2.1.0 <${reversePath}> ok`;
  }

  #rcpt(line: string): string {
    const forwardPath = path(line) ?? "";
    if (this.#transaction === undefined) return `503 5.5.1 <${forwardPath}> need MAIL first`;
    const refusal = policy(forwardPath);
    if (refusal !== undefined) return refusal;
    this.#transaction.forwardPaths.push(forwardPath);
    return `250 2.1.5 <${forwardPath}> ok`;
  }

  #data(): string {
    const lacking = this.#lacking();
    if (lacking !== undefined && !(this.#transaction && this.#traits.dataWithoutRecipient === 354)) return lacking;
    this.#state = "content";
    return `354 <${this.#transaction?.reversePath ?? ""}> go on`;
  }

  #bdat(line: string, chunk: Buffer): string {
    const lacking = this.#lacking();
    if (!this.#eatsChunks || lacking !== undefined || this.#transaction === undefined)
      return lacking ?? `502 5.5.1 <${this.#transaction?.reversePath ?? ""}> BDAT is not implemented`;
    this.#transaction.chunks.push(chunk);
    if (/ LAST$/i.test(line)) return this.#endMessage(Buffer.alloc(0));
    return `250 2.0.0 <${this.#transaction.reversePath}> ${chunk.length} octets`;
  }

  #lacking(): string | undefined {
    if (this.#transaction === undefined) return "503 5.5.1 need MAIL first";
    const { reversePath, forwardPaths } = this.#transaction;
    return forwardPaths.length === 0 ? `554 5.5.1 <${reversePath}> no valid recipients` : undefined;
  }

  #endMessage(content: Buffer): string {
    const { reversePath, forwardPaths, chunks } = this.#transaction ?? {
      reversePath: "",
      forwardPaths: [],
      chunks: [],
    };
    this.#transaction = undefined;
    if (forwardPaths.length === 0) return `554 5.5.1 <${reversePath}> no valid recipients`;
    this.#messages++;
    const isLmtp = this.#traits.protocol === "lmtp";
    const taken = isLmtp ? forwardPaths.filter((forwardPath) => !forwardPath.startsWith("late")) : forwardPaths;
    if (taken.length > 0)
      this.#accept({ reversePath, forwardPaths: taken, content: Buffer.concat([...chunks, content]) });
    if (!isLmtp) return `250 2.6.0 <${reversePath}> accepted`;
    return forwardPaths
      .map((each) => (taken.includes(each) ? `250 2.1.5 <${each}> accepted` : `550 5.2.1 <${each}> refused`))
      .join("\r\n");
  }
}

/** The address in MAIL or RCPT. */
function path(line: string): string | undefined {
  return /^(?:MAIL FROM|RCPT TO):<([^>]*)>/i.exec(line)?.[1];
}

function policy(address: string): string | undefined {
  if (address.startsWith("refused")) return `550 5.1.1 <${address}> refused`;
  return address.startsWith("deferred") ? `451 4.3.0 <${address}> deferred` : undefined;
}
