import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { foldUnstructured } from "./folding.ts";

/** RFC 2047 sections 4 to 6, read back by their letter. */
function decode(field: string): string {
  const unfolded = field
    .replace(/\r\n(?=[ \t])/g, "")
    .replace(/\r\n$/, "")
    .replace(/^Subject: ?/, "");
  return unfolded
    .replace(/(\?=)[ \t]+(?==\?)/g, "$1")
    .replace(/=\?utf-8\?([bq])\?([^? ]*)\?=/g, (_, kind: string, text: string) => {
      if (kind === "b") return Buffer.from(text, "base64").toString();
      const octets = text
        .replace(/_/g, " ")
        .replace(/=([0-9A-F]{2})/g, (__, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      return Buffer.from(octets, "latin1").toString();
    });
}

test("ASCII stands as it is and is folded at spaces", () => {
  assert.equal(foldUnstructured("Subject", "Hello world"), "Subject: Hello world\r\n");
  assert.equal(foldUnstructured("Subject", ""), "Subject:\r\n");
  const words = Array.from({ length: 40 }, () => "word").join(" ");
  assert.ok(
    foldUnstructured("Subject", words)
      .split("\r\n")
      .every((line) => line.length <= 76),
  );
});

test("what the user typed is what the reader sees, encoded-words too", () => {
  for (const text of [
    "=?utf-8?q?typed?=",
    "a =?b",
    " leading",
    "trailing ",
    "two  spaces",
    "\ttab",
    "Re: 제목",
    "a 한 b 한 한 c",
    "한\u3000국",
  ]) {
    assert.equal(decode(foldUnstructured("Subject", text)), text, JSON.stringify(text));
  }
});

test("any text reads back; encoded-words have at most 75 characters and hold whole characters", () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "b?", " ", "\t", "=?", "é", "한", "😀", "שלום", "👨‍👩‍👧", "longer-word", "_"),
    maxLength: 200,
  });
  fc.assert(
    fc.property(text, (given) => {
      const field = foldUnstructured("Subject", given);
      assert.equal(decode(field), given);
      for (const line of field.slice(0, -2).split("\r\n")) assert.ok(line.length <= 78 || !line.includes("=?"), line);
      for (const [word] of field.matchAll(/=\?utf-8\?.\?[^ ]*?\?=/g)) {
        assert.ok(word.length <= 75, word);
        assert.ok(!decode(`Subject: ${word}\r\n`).includes("\ufffd"), "a character was split");
      }
    }),
  );
});
