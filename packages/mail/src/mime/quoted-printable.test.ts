import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { quotedPrintable } from "./quoted-printable.ts";

const encode = (text: string): string => quotedPrintable(new TextEncoder().encode(text));

/** RFC 2045 section 6.7, read back by its letter. */
function decode(text: string): string {
  const octets: number[] = [];
  const joined = text.replace(/=\r\n/g, "");
  for (let index = 0; index < joined.length; index++) {
    if (joined[index] !== "=") octets.push(joined.charCodeAt(index));
    else {
      octets.push(Number.parseInt(joined.slice(index + 1, index + 3), 16));
      index += 2;
    }
  }
  return new TextDecoder().decode(Uint8Array.from(octets));
}

test("literal, encoded, and white space at a line's end", () => {
  assert.equal(encode("a=b\r\n"), "a=3Db\r\n");
  assert.equal(encode("a \r\nb\t\r\nc "), "a=20\r\nb=09\r\nc=20");
  assert.equal(encode("é"), "=C3=A9");
  assert.equal(encode("a\rb\nc"), "a=0Db=0Ac");
});

test("a line of 76 fits, one of 77 is cut at 75 and a soft line break", () => {
  assert.equal(encode("x".repeat(76)), "x".repeat(76));
  assert.equal(encode("x".repeat(77)), `${"x".repeat(75)}=\r\nxx`);
});

test("any text reads back, in lines of at most 76 characters of ASCII without white space at their end", () => {
  const text = fc.string({ unit: fc.constantFrom("a", " ", "\t", "=", "\r\n", "é", "한", "😀", "."), maxLength: 300 });
  fc.assert(
    fc.property(text, (given) => {
      const written = encode(given);
      assert.equal(decode(written), given);
      for (const line of written.split("\r\n")) assert.match(line, /^(?:[\x21-\x7e \t]{0,75}[\x21-\x7e])?$/);
    }),
  );
});
