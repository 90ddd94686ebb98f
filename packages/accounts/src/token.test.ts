import assert from "node:assert/strict";
import { createHmac, createSecretKey } from "node:crypto";
import { test } from "node:test";
import { KEYS } from "./service.fixture.ts";
import { parseKeyRing } from "./key-ring.ts";
import { newTokenId, signToken, verifyToken } from "./token.ts";

const ID = newTokenId();
const TOKEN = signToken(KEYS, "activation", ID);

test("a token is kid, id and code, URL-safe, and verifies to its id", () => {
  assert.match(TOKEN, /^k1\.[\w-]{22}\.[\w-]{43}$/);
  assert.equal(verifyToken(KEYS, "activation", TOKEN), ID);
});

test("a token of one purpose is nothing to another", () => {
  assert.equal(verifyToken(KEYS, "reset", TOKEN), undefined);
});

test("tokens that are not exactly what was signed are refused", () => {
  const [kid = "", id = "", code = ""] = TOKEN.split(".");
  const last = code.at(-1) ?? "";
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  // The last of 43 characters carries 4 bits of the code and 2 that decoders ignore.
  const sameOctets = alphabet[alphabet.indexOf(last) ^ 1] ?? "";
  assert.deepEqual(Buffer.from(code, "base64url"), Buffer.from(code.slice(0, -1) + sameOctets, "base64url"));
  const cases = [
    "",
    ".",
    "..",
    TOKEN.slice(0, -1),
    `${TOKEN}A`,
    `${TOKEN}\n`,
    ` ${TOKEN}`,
    `${TOKEN}=`,
    TOKEN.toUpperCase(),
    `${kid}.${id}`,
    `${kid}.${id}.${"A".repeat(43)}`,
    `${kid}.${newTokenId()}.${code}`,
    `${kid}.${id}.${code.slice(0, -1)}${sameOctets}`,
    `k2.${id}.${code}`,
    `.${id}.${code}`,
    `${id}.${code}`,
    `${kid}.${id}.${code}.${code}`,
    // A signature by "no algorithm", and one by an empty key.
    `none.${id}.`,
    `${kid}.${id}.${createHmac("sha256", "").update(id).digest("base64url")}`,
    "한글.".repeat(20),
    "A".repeat(100_000),
  ];
  for (const token of cases)
    assert.equal(verifyToken(KEYS, "activation", token), undefined, JSON.stringify(token.slice(0, 99)));
});

test("one user's token says nothing of another whose number begins alike, as Django's recipe without separators does", () => {
  const key = createSecretKey(Buffer.alloc(32, 7));
  // The recipe: HMAC over pk + timestamp + is_active, where nothing says where one ends.
  const recipe = (pk: string, timestamp: string, active: string): string =>
    createHmac("sha256", key)
      .update(pk + timestamp + active)
      .digest("base64url");
  for (const [pk, timestamp] of [
    ["177", "7800000000"],
    ["17", "77800000000"],
    ["1", "777800000000"],
  ] as const) {
    assert.equal(recipe("1777", "800000000", "False"), recipe(pk, timestamp, "False"), "the recipe is forgeable");
  }
  // Here every split of "1777…" between purpose and id signs another text, and ids have one length.
  const digits = "1777".padEnd(22, "0");
  const token = signToken(KEYS, "activation", digits);
  const code = token.split(".")[2] ?? "";
  for (const id of ["177", "17", "1"].map((prefix) => prefix.padEnd(22, "0"))) {
    assert.equal(verifyToken(KEYS, "activation", `k1.${id}.${code}`), undefined);
  }
  assert.equal(verifyToken(KEYS, "activatio", `k1.n${digits.slice(0, 21)}.${code}`), undefined);
  assert.equal(verifyToken(KEYS, "activation1", `k1.${digits.slice(1)}0.${code}`), undefined);
});

test("an older key of the ring still verifies, a key that left it does not", () => {
  const fresh = Buffer.alloc(32, 9).toString("base64");
  const old = Buffer.alloc(32, 7).toString("base64");
  const rotated = parseKeyRing(`k2:${fresh},k1:${old}`);
  assert.equal(verifyToken(rotated, "activation", TOKEN), ID);
  assert.match(signToken(rotated, "activation", ID), /^k2\./);
  assert.equal(verifyToken(parseKeyRing(`k2:${fresh}`), "activation", TOKEN), undefined);
  assert.equal(verifyToken(parseKeyRing(`k1:${fresh}`), "activation", TOKEN), undefined);
});

test("settings that are no key ring are refused, named, and not repeated", () => {
  const key = Buffer.alloc(32, 7).toString("base64");
  const cases = [
    "",
    " ",
    key,
    `k1:`,
    "k1:c2hvcnQ=",
    `:${key}`,
    `k 1:${key}`,
    `k1:${key},k1:${key}`,
    `k1:${key},`,
    "k1:not base64!",
  ];
  for (const text of cases) {
    assert.throws(
      () => parseKeyRing(text),
      (error: Error & { setting?: string }) =>
        error.name === "SettingsError" && error.setting === "POSTHASTE_KEYS" && !error.message.includes(key),
      text,
    );
  }
});
