import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalText } from "./canonical-text.ts";

/** What the platform makes of it. */
function expected(text: string): Buffer | undefined {
  return text.isWellFormed() ? Buffer.from(text.replace(/\r\n|\r|\n/g, "\r\n")) : undefined;
}

function check(text: string): void {
  const canonical = canonicalText(text);
  const octets = expected(text);
  assert.deepEqual(canonical?.octets, octets);
  assert.equal(canonical?.foreign, octets?.filter((octet) => octet > 0x7f).length);
}

test("text is UTF-8 with CRLF, whatever its line ends and characters, or it is no text", () => {
  const unit = fc.constantFrom(
    "a",
    "\0",
    "\x7f",
    "\r",
    "\n",
    "\x80",
    "߿",
    "ࠀ",
    "한",
    "￿",
    "😀",
    "\u{10ffff}",
    "\ud800",
    "\udfff",
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40 }), (text) => check(text)),
    { numRuns: 2_000 },
  );
});

test("long text is the same as short text, at the edge between the two also", () => {
  for (const length of [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000])
    for (const end of ["", "\r", "\n", "😀", "\ud83d"]) check("가".repeat(length - end.length) + end);
});
