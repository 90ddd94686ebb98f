import { createHmac, randomBytes, timingSafeEqual, type KeyObject } from "node:crypto";
import type { KeyRing } from "./key-ring.ts";

/**
 * A token is `kid.id.mac`: the key's id, the attempt's id (128 random bits) and HMAC-SHA256 over purpose and id, all
 * in base64url without padding. The database knows the id only, so whoever reads it cannot make a token.
 *
 * Every part of what is signed has an end of its own. Django's recipe as it is taught (`pk + timestamp + is_active`,
 * nothing in between) signs the same text for user 1777 and user 177, and one's token opens the other's account.
 */
const TOKEN = /^([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;

/** No token is longer; anything longer is not even looked at. */
const TOKEN_LENGTH = 16 + 1 + 22 + 1 + 43;

/** A new attempt's id: 128 random bits in base64url, 22 characters. */
export function newTokenId(): string {
  return randomBytes(16).toString("base64url");
}

/** The token of an attempt, signed by the ring's first key. */
export function signToken(keys: KeyRing, purpose: string, id: string): string {
  const key = keys.keys.get(keys.signing);
  if (key === undefined) throw new Error("the key ring has no key that signs");
  return `${keys.signing}.${id}.${mac(key, purpose, id)}`;
}

/**
 * The attempt's id, if the token is genuine and for this purpose; else undefined. The code is compared as text, in
 * constant time: what is not its canonical encoding is another text.
 */
export function verifyToken(keys: KeyRing, purpose: string, token: string): string | undefined {
  if (token.length > TOKEN_LENGTH) return undefined;
  const [, kid = "", id = "", code = ""] = TOKEN.exec(token) ?? [];
  const key = keys.keys.get(kid);
  if (key === undefined) return undefined;
  return timingSafeEqual(Buffer.from(code), Buffer.from(mac(key, purpose, id))) ? id : undefined;
}

function mac(key: KeyObject, purpose: string, id: string): string {
  return createHmac("sha256", key).update(`posthaste.accounts.token\0${purpose}\0${id}`).digest("base64url");
}
