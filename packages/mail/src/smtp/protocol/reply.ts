import { type Reply, replyText } from "../../delivery.ts";
import { SmtpError } from "../../errors.ts";

/**
 * RFC 5321 section 4.2, replies:
 *
 *     Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *     Reply-code = %x32-35 %x30-35 %x30-39
 *
 * The second digit is taken up to 9, as servers use it; a bare LF ends a line, as Postfix reads it; and a reply is
 * bounded, since whoever answers may be no SMTP server at all.
 */
const CODE = /^[2-5][0-9]{2}$/;

/** RFC 3463 section 2 and RFC 2034 section 4: the first word of the text. */
const ENHANCED = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)/;

/** Far more than any server's EHLO, and little enough to hold for each of many connections. */
const REPLY_OCTETS = 64 * 1024;
const REPLY_LINES = 512;

const CR = 0x0d;
const LF = 0x0a;
const FOUR = 0x34;
const FIVE = 0x35;
const KNOWN_REPLIES = 32;
const CONTROL = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/g;

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** Collects octets and gives replies. It holds what is not yet a whole reply. */
export class ReplyReader {
  #octets = NOTHING;
  /** Whole lines of ASCII, which nearly all are, decoded at once; and how far they are read. */
  #text = "";
  #position = 0;
  /** Replies of one line: a server says the same few for every message, and parsing them anew took 5 µs of each. */
  readonly #known = new Map<string, Reply>();
  #lines: string[] = [];
  #code = "";
  #size = 0;
  readonly #quoted: (line: string) => string;

  /** @param quoted a line that is no reply as an error may quote it. */
  constructor(quoted: (line: string) => string = (line) => line) {
    this.#quoted = quoted;
  }

  push(octets: Uint8Array): void {
    if (!this.isEmpty || !isWholeAscii(octets)) return this.#join(octets);
    this.#text = Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
    this.#position = 0;
  }

  #join(octets: Uint8Array): void {
    const before = this.#hasText ? encoder.encode(this.#text.slice(this.#position)) : this.#octets;
    this.#position = this.#text.length;
    const joined = new Uint8Array(before.length + octets.length);
    joined.set(before);
    joined.set(octets, before.length);
    this.#octets = joined;
  }

  get #hasText(): boolean {
    return this.#position < this.#text.length;
  }

  /** Whether nothing is left of what was pushed. */
  get isEmpty(): boolean {
    return !this.#hasText && this.#octets.length === 0 && this.#lines.length === 0;
  }

  /** Whether what has come of the next reply begins as a refusal, 4yz or 5yz. */
  get beginsRefusal(): boolean {
    const first = this.#lines.length > 0 ? this.#code : this.#hasText ? this.#text.slice(this.#position) : undefined;
    const octet = first === undefined ? this.#octets[0] : first.charCodeAt(0);
    return octet === FOUR || octet === FIVE;
  }

  /**
   * The next whole reply, or undefined.
   *
   * @throws {SmtpError} `protocol`, when what came is no reply.
   */
  next(): Reply | undefined {
    for (;;) {
      const line = this.#hasText ? this.#lineOfText() : this.#lineOfOctets();
      if (line === undefined) return undefined;
      const reply = this.#lines.length === 0 ? this.#whole(line) : this.#take(line);
      if (reply !== undefined) return reply;
    }
  }

  #whole(line: string): Reply | undefined {
    const known = this.#known.get(line);
    if (known !== undefined) {
      this.#size = 0;
      return known;
    }
    const reply = this.#take(line);
    if (reply === undefined || this.#known.size === KNOWN_REPLIES) return reply;
    // Many receipts share it.
    Object.freeze(reply.lines);
    this.#known.set(line, Object.freeze(reply));
    return reply;
  }

  #lineOfText(): string {
    const end = this.#text.indexOf("\n", this.#position);
    const line = this.#text.slice(this.#position, this.#text.charCodeAt(end - 1) === CR ? end - 1 : end);
    this.#grow(end + 1 - this.#position);
    this.#position = end + 1;
    return line;
  }

  #lineOfOctets(): string | undefined {
    const end = this.#octets.indexOf(LF);
    if (end === -1) {
      // What is not a line yet counts, but is not counted twice.
      if (this.#size + this.#octets.length > REPLY_OCTETS) throw tooLong();
      return undefined;
    }
    const line = decoder.decode(this.#octets.subarray(0, this.#octets[end - 1] === CR ? end - 1 : end));
    this.#octets = this.#octets.subarray(end + 1);
    this.#grow(end + 1);
    return line;
  }

  #grow(octets: number): void {
    this.#size += octets;
    if (this.#size > REPLY_OCTETS) throw tooLong();
  }

  #take(line: string): Reply | undefined {
    const code = line.slice(0, 3);
    const separator = line.charAt(3);
    if (!CODE.test(code) || (separator !== "" && separator !== " " && separator !== "-"))
      throw protocolError(`${JSON.stringify(this.#quoted(line).slice(0, 80))} is no reply line`);
    if (this.#lines.length > 0 && code !== this.#code)
      throw protocolError(`a reply has two codes, ${this.#code} and ${code}`);
    if (this.#lines.length === REPLY_LINES) throw protocolError(`a reply has more than ${REPLY_LINES} lines`);
    this.#code = code;
    this.#lines.push(legible(line.slice(4)));
    if (separator === "-") return undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#size = 0;
    return replyOf(Number(code), lines);
  }
}

/** Text of a reply as it may stand in a log. */
export function legible(text: string): string {
  return text.replace(CONTROL, "\ufffd");
}

function isWholeAscii(octets: Uint8Array): boolean {
  if (octets[octets.length - 1] !== LF) return false;
  for (const octet of octets) if (octet > 0x7f) return false;
  return true;
}

function tooLong(): SmtpError {
  return protocolError(`a reply has more than ${REPLY_OCTETS} octets`);
}

function replyOf(code: number, lines: readonly string[]): Reply {
  const [first = ""] = lines;
  const enhanced = first.charAt(1) === "." ? ENHANCED.exec(first)?.[1] : undefined;
  // RFC 2034 section 4: the class of the enhanced status code is the reply code's first digit.
  if (enhanced?.charAt(0) !== String(code).charAt(0)) return { code, lines };
  return { code, enhanced, lines };
}

export function protocolError(reason: string, verb?: string, reply?: Reply): SmtpError {
  return new SmtpError("protocol", `the server broke the SMTP protocol: ${reason}`, { verb, reply });
}

/** At its first octet, a 421 too: what the error says must not depend on how the octets were cut into packets. */
export function unasked(): SmtpError {
  return protocolError("it sent what nobody asked for");
}

/** A command that the session cannot do without was refused. */
export function refusal(verb: string, reply: Reply): SmtpError {
  return new SmtpError("unexpected-reply", `the server refused ${verb}: ${replyText(reply)}`, { verb, reply });
}

/** A reply that cannot answer its command. */
export function unexpected(verb: string, reply: Reply): SmtpError {
  return protocolError(`${replyText(reply)} is no reply to ${verb}`, verb, reply);
}

/** 2yz: done. */
export function isPositive(reply: Reply): boolean {
  return reply.code < 300;
}

/** 3yz: go on. Only DATA and AUTH have a use for it. */
export function isIntermediate(reply: Reply): boolean {
  return reply.code >= 300 && reply.code < 400;
}

/** 4yz and 5yz: not done. */
export function isNegative(reply: Reply): boolean {
  return reply.code >= 400;
}

/** 5yz: not at all; 4yz is not now. Retryability comes from the number alone, never from the text (RFC 5321 4.2.1). */
export function isPermanent(reply: Reply): boolean {
  return reply.code >= 500;
}
