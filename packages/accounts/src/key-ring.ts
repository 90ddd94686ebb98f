import { createSecretKey, type KeyObject } from "node:crypto";
import { SettingsError } from "posthaste";

/** The keys that sign and verify tokens. Keys are KeyObjects, which print nothing of themselves. */
export interface KeyRing {
  /** The id of the key that signs. */
  readonly signing: string;
  /** All keys by id: the one that signs, and older ones that still verify. */
  readonly keys: ReadonlyMap<string, KeyObject>;
}

/** The output length of SHA-256; RFC 2104 section 3 discourages shorter keys. */
const KEY_OCTETS = 32;
const KEYS = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,16}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

/**
 * Reads `kid:base64,kid2:base64`: the first key signs, all of them verify. Base64 in either alphabet, each key at least
 * 32 octets, such as `head -c 32 /dev/urandom | base64` gives.
 *
 * @throws {SettingsError} naming POSTHASTE_KEYS and the key's place, never a key.
 */
export function parseKeyRing(text: string): KeyRing {
  const keys = new Map<string, KeyObject>();
  const entries = text.trim() === "" ? [] : text.trim().split(",");
  if (entries.length === 0) throw settingsError("holds no key; write kid:base64, with at least 32 random octets");
  if (entries.length > KEYS) throw settingsError(`holds more than ${KEYS} keys`);
  for (const [index, entry] of entries.entries()) {
    const colon = entry.indexOf(":");
    const kid = entry.slice(0, colon).trim();
    if (colon < 0 || !KEY_ID.test(kid)) {
      throw settingsError(`key ${index + 1} has no id; write kid:base64, the id 1 to 16 of A-Z a-z 0-9 _ -`);
    }
    if (keys.has(kid)) throw settingsError(`key ${index + 1} has the id of an earlier one`);
    keys.set(kid, parseKey(entry.slice(colon + 1).trim(), index));
  }
  const [signing] = keys.keys();
  return Object.freeze({ signing: signing ?? "", keys });
}

function parseKey(text: string, index: number): KeyObject {
  if (!BASE64.test(text)) throw settingsError(`key ${index + 1} is not base64`);
  const octets = Buffer.from(text, "base64");
  if (octets.length < KEY_OCTETS) throw settingsError(`key ${index + 1} has fewer than ${KEY_OCTETS} octets`);
  return createSecretKey(octets);
}

function settingsError(reason: string): SettingsError {
  return new SettingsError("bad-setting", `POSTHASTE_KEYS ${reason}`, { setting: "POSTHASTE_KEYS" });
}
