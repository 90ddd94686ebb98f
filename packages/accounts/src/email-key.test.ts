import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressError } from "posthaste";
import { parseEmail } from "./email-key.ts";

test("spellings of one address have one key", () => {
  const cases: [string, string][] = [
    ["kim@example.com", "kim@example.com"],
    ["Kim.Cheolsu+tag@EXAMPLE.com", "kim.cheolsu+tag@example.com"],
    ["kim@한글.com", "kim@xn--bj0bj06e.com"],
    ["kim@XN--BJ0BJ06E.com", "kim@xn--bj0bj06e.com"],
    ["kim@\u1112\u1161\u11ab글.com", "kim@xn--bj0bj06e.com"],
    ["kim@É.com", "kim@xn--9ca.com"],
    ["cafe\u0301@example.com", "caf\u00e9@example.com"],
  ];
  for (const [typed, key] of cases) assert.equal(parseEmail(typed).key, key, typed);
});

test("letters that only look like ASCII never make somebody else's key", () => {
  const cases = ["k\u0131m@example.com", "k\u0130m@example.com", "\uff4bim@example.com"];
  for (const typed of cases) assert.notEqual(parseEmail(typed).key, "kim@example.com", typed);
});

test("what is no plain address, or would become another, is refused", () => {
  const cases = [
    "",
    "kim",
    "@example.com",
    "kim@",
    "kim@@example.com",
    "kim@a@example.com",
    " kim@example.com",
    "kim@example.com ",
    "kim @example.com",
    ".kim@example.com",
    "kim..chul@example.com",
    "kim@example..com",
    "kim@.example.com",
    "kim@-example.com",
    "kim@exa_mple.com",
    "Kim <kim@example.com>",
    "<kim@example.com>",
    "kim@example.com, lee@example.com",
    "kim(comment)@example.com",
    '"kim"@example.com',
    "kim@[127.0.0.1]",
    "kim@example.com\nBcc: all@example.com",
    "kim\0@example.com",
    "kim@ex/ample.com",
    "kim@ex%61mple.com",
    `${"k".repeat(65)}@example.com`,
    `kim@${"e".repeat(64)}.com`,
    // The Kelvin sign becomes K under NFC and under UTS 46; full-width letters become ASCII under UTS 46.
    "\u212aim@example.com",
    "kim@\u212aelvin.com",
    "kim@\uff45xample.com",
    "kim@한\uff41.com",
    "k\u037em@example.com",
    "kim\u200b@example.com",
    "kim\u202e@example.com",
  ];
  for (const typed of cases) assert.throws(() => parseEmail(typed), AddressError, JSON.stringify(typed));
});
