import { randomUUID } from "node:crypto";
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

/**
 * A Message-ID that no other message has (122 random bits), with its angle brackets.
 *
 * @throws {HeaderError} when the domain cannot stand in one.
 */
export function makeMessageId(domain: string): string {
  const messageId = `<${randomUUID()}@${domain}>`;
  return PLAIN_DOMAIN.test(domain) ? messageId : checkMessageId(messageId);
}

/** @throws {HeaderError} naming the field, when the text is not one msg-id with its angle brackets. */
export function checkMessageId(messageId: string, field = "messageId"): string {
  if (typeof messageId === "string" && messageId.length <= MSG_ID_LENGTH && MSG_ID.test(messageId)) return messageId;
  throw new HeaderError("bad-value", `${field}: not a msg-id such as <unique@example.com> (RFC 5322 section 3.6.4)`, {
    field,
  });
}
