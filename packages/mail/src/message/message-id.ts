import { randomFillSync } from "node:crypto";
import { HeaderError } from "../errors.ts";

/**
 * RFC 5322 section 3.6.4: `msg-id = "<" id-left "@" id-right ">"`, each a dot-atom-text, the right side also a domain
 * literal. Its length is bounded by that of a line.
 */
const ATEXT = "[a-z0-9!#$%&'*+\\-/=?^_`{|}~]";
const DOT_ATOM_TEXT = `${ATEXT}+(?:\\.${ATEXT}+)*`;
const MSG_ID = new RegExp(`^<${DOT_ATOM_TEXT}@(?:${DOT_ATOM_TEXT}|\\[[\\x21-\\x5a\\x5e-\\x7e]*\\])>$`, "i");
const PLAIN_DOMAIN = /^[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,9}$/i;
const MSG_ID_LENGTH = 900;

const RANDOM_OCTETS = 16;
/** Random octets are asked for by the hundred: each time costs more than a whole Message-ID. */
const pool = Buffer.allocUnsafeSlow(RANDOM_OCTETS * 128);
let taken = pool.length;

/** As `randomUUID`, which leaves 600 octets of garbage for one. */
function random(): string {
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  taken += RANDOM_OCTETS;
  return pool.toString("hex", taken - RANDOM_OCTETS, taken);
}

/**
 * A Message-ID that no other message has (128 random bits), with its angle brackets.
 *
 * @throws {HeaderError} when the domain cannot stand in one.
 */
export function makeMessageId(domain: string): string {
  const messageId = `<${random()}@${domain}>`;
  return PLAIN_DOMAIN.test(domain) ? messageId : checkMessageId(messageId);
}

/** @throws {HeaderError} naming the field, when the text is not one msg-id with its angle brackets. */
export function checkMessageId(messageId: string, field = "messageId"): string {
  if (typeof messageId === "string" && messageId.length <= MSG_ID_LENGTH && MSG_ID.test(messageId)) return messageId;
  throw new HeaderError("bad-value", `${field}: not a msg-id such as <unique@example.com> (RFC 5322 section 3.6.4)`, {
    field,
  });
}
