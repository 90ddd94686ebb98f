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
const REPLY_LINE = /^([2-5][0-9]{2})(?:([ -])(.*))?$/s;

/** RFC 3463 section 2 and RFC 2034 section 4: the first word of the text. */
const ENHANCED = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)/;

/** Far more than any server's EHLO, and little enough to hold for each of many connections. */
const REPLY_OCTETS = 64 * 1024;
const REPLY_LINES = 512;

const LF = 0x0a;
const CONTROL = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/g;

const decoder = new TextDecoder();

/** Collects octets and gives replies. It holds what is not yet a whole reply. */
export class ReplyReader {
  #octets = new Uint8Array(0);
  #lines: string[] = [];
  #code = "";
  #size = 0;

  push(octets: Uint8Array): void {
    if (this.#octets.length === 0) {
      this.#octets = octets.slice();
      return;
    }
    const joined = new Uint8Array(this.#octets.length + octets.length);
    joined.set(this.#octets);
    joined.set(octets, this.#octets.length);
    this.#octets = joined;
  }

  /** Whether nothing is left of what was pushed. */
  get isEmpty(): boolean {
    return this.#octets.length === 0 && this.#lines.length === 0;
  }

  /**
   * The next whole reply, or undefined.
   *
   * @throws {SmtpError} `protocol`, when what came is no reply.
   */
  next(): Reply | undefined {
    for (;;) {
      const end = this.#octets.indexOf(LF);
      if (this.#size + (end === -1 ? this.#octets.length : end) > REPLY_OCTETS)
        throw protocolError(`a reply has more than ${REPLY_OCTETS} octets`);
      if (end === -1) return undefined;
      const line = decoder.decode(this.#octets.subarray(0, end)).replace(/\r$/, "");
      this.#octets = this.#octets.subarray(end + 1);
      this.#size += end + 1;
      const reply = this.#take(line);
      if (reply !== undefined) return reply;
    }
  }

  #take(line: string): Reply | undefined {
    const [, code, separator, text = ""] = REPLY_LINE.exec(line) ?? [];
    if (code === undefined) throw protocolError(`${JSON.stringify(line.slice(0, 80))} is no reply line`);
    if (this.#lines.length > 0 && code !== this.#code)
      throw protocolError(`a reply has two codes, ${this.#code} and ${code}`);
    if (this.#lines.length === REPLY_LINES) throw protocolError(`a reply has more than ${REPLY_LINES} lines`);
    this.#code = code;
    this.#lines.push(text.replace(CONTROL, "\ufffd"));
    if (separator === "-") return undefined;
    const lines = this.#lines;
    this.#lines = [];
    this.#size = 0;
    return replyOf(Number(code), lines);
  }
}

function replyOf(code: number, lines: readonly string[]): Reply {
  const enhanced = ENHANCED.exec(lines[0] ?? "")?.[1];
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

/** 5yz: not at all; 4yz is not now. Retryability comes from the number alone, never from the text (RFC 5321 4.2.1). */
export function isPermanent(reply: Reply): boolean {
  return reply.code >= 500;
}
