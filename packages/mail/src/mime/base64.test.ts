import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Base64Lines, base64Lines, base64LinesLength, base64LinesOf, fromBase64 } from "./base64.ts";

/** Encoded at an even address, at an odd one and in blocks: all the same. */
function asText(lines: Base64Lines | Uint8Array): string {
  if (typeof lines === "string") return lines;
  if (lines instanceof Uint8Array) return Buffer.from(lines).toString("latin1");
  const [even, odd] = [0, 1].map((start) => {
    const target = Buffer.allocUnsafeSlow(lines.length + 1).subarray(start, start + lines.length);
    lines.writeTo(target);
    return target.toString("latin1");
  });
  assert.equal(odd, even);
  assert.equal(Buffer.concat([...lines.blocks()]).toString("latin1"), even);
  return even ?? "";
}

test("lines have 76 characters, the last at most, each with its CRLF; the length is known before", () => {
  for (const length of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 1000, 100_000]) {
    const octets = Uint8Array.from({ length }, (_, index) => index * 31);
    const written = asText(base64Lines(octets));
    assert.equal(written.length, base64LinesLength(length));
    assert.equal(written.replace(/\r\n/g, ""), Buffer.from(octets).toString("base64"));
    assert.match(written, /^(?:[^\r\n]{76}\r\n)*(?:[^\r\n]{1,76}\r\n)?$/);
  }
});

test("a stream gives the same, however it is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), async (chunks) => {
      async function* source(): AsyncGenerator<Uint8Array> {
        yield* chunks;
      }
      const streamed = Buffer.concat(await Array.fromAsync(base64LinesOf(source())));
      assert.equal(asText(streamed), asText(base64Lines(Buffer.concat(chunks))));
    }),
  );
});

test("only canonical base64 is read", () => {
  assert.deepEqual(fromBase64("aGk="), Buffer.from("hi"));
  for (const text of ["aGk", "aGl=", "a Gk=", "aGk=\n", "-_==", "*"]) assert.equal(fromBase64(text), undefined, text);
});
