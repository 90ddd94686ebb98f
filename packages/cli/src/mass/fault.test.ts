import assert from "node:assert/strict";
import { test } from "node:test";
import { faultText } from "./fault.ts";

test("what is said of a row is one line of bounded length, and nothing that a terminal obeys", () => {
  const rows: readonly [message: string, shown: string][] = [
    ["김철수: to[0] – 없음 😀", "김철수: to[0] – 없음 😀"],
    ["a\x1b[2Jb", "a\\u001b[2Jb"],
    ["a\r\nb\tc\0", "a\\u000d\\u000ab\\u0009c\\u0000"],
    ["a\u0085b\u2028c\u202ed\ud800", "a\\u0085b\\u2028c\\u202ed\\ud800"],
    ["x".repeat(1_000_000), `${"x".repeat(500)} …`],
    // Cut between the halves of a surrogate pair.
    [`${"x".repeat(499)}😀`, `${"x".repeat(499)}\\ud83d …`],
  ];
  for (const [message, shown] of rows) assert.equal(faultText(message), shown);
});
