import type { Reply } from "../../delivery.ts";
import { base64 } from "../../mime/base64.ts";
import { legible } from "./reply.ts";

/**
 * Where the secret stands in a mechanism's last response. The user before it is none. What SCRAM says gives nothing away
 * but as a whole.
 */
const SECRET: Readonly<Record<string, RegExp>> = {
  "CRAM-MD5": /[^ ]+$/,
  LOGIN: /^[^]+$/,
  OAUTHBEARER: /(?<=\x01auth=Bearer )[^\x01]+/,
  PLAIN: /[^\0]+$/,
  XOAUTH2: /(?<=\x01auth=Bearer )[^\x01]+/,
};

/** A shorter secret stands in words that have nothing to do with it: masked there, they would show what it is. */
const LEAST_LENGTH = 4;
/** A server may cut short what it repeats: so much of a secret, from its start, is masked as the whole. */
const LEAST_PART = 8;
const MASK = "***";

const decoder = new TextDecoder();

/**
 * What a session presented, as it was sent and as a server decodes it: some servers repeat it, to AUTH or later, and from
 * their replies it would get into errors, receipts and logs.
 */
export class PresentedCredentials {
  /** The longest first: a short one may stand in a long one, and what was left of that would give the rest away. */
  #secrets: readonly string[] = [];
  #long: readonly string[] = [];

  add(mechanism: string, response: Uint8Array, isLast: boolean): void {
    const secret = isLast ? SECRET[mechanism]?.exec(decoder.decode(response))?.[0] : undefined;
    const presented = [...this.#secrets, base64(response), legible(secret ?? "")].filter((text) => text !== "");
    this.#secrets = [...new Set(presented)].sort((one, other) => other.length - one.length);
    this.#long = this.#secrets.filter(({ length }) => length >= LEAST_LENGTH);
  }

  /** The reply to that command without them; the same where it repeats none. */
  masked(verb: string, reply: Reply): Reply {
    const secrets = this.#secretsFor(verb);
    if (!repeats(reply, secrets)) return reply;
    return { ...reply, lines: reply.lines.map((line) => without(line, secrets)) };
  }

  /** The same of a text that came for a reply and is none. */
  maskedText(verb: string | undefined, text: string): string {
    return without(text, this.#secretsFor(verb));
  }

  #secretsFor(verb: string | undefined): readonly string[] {
    return verb === "AUTH" ? this.#secrets : this.#long;
  }
}

/** Nearly always no, for every reply of a session: so without a closure. */
function repeats({ lines }: Reply, secrets: readonly string[]): boolean {
  if (secrets.length === 0) return false;
  for (const line of lines) for (const secret of secrets) if (line.includes(secret.slice(0, LEAST_PART))) return true;
  return false;
}

function without(line: string, secrets: readonly string[]): string {
  let text = line;
  for (const secret of secrets) {
    const start = secret.slice(0, LEAST_PART);
    for (let at = text.indexOf(start); at !== -1; at = text.indexOf(start, at + MASK.length)) {
      let length = start.length;
      while (length < secret.length && text[at + length] === secret[length]) length++;
      text = text.slice(0, at) + MASK + text.slice(at + length);
    }
  }
  return text;
}
