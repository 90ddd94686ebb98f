import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Base64Lines, base64LinesLength, base64LinesOf, fromBase64 } from "./base64.ts";

/** Encoded into a buffer that has more, and block by block: all the same. */
function asText(octets: Uint8Array): string {
  const lines = new Base64Lines(octets);
  const target = Buffer.alloc(lines.length + 6, "-");
  assert.equal(lines.writeTo(target, 3), lines.length + 3);
  const written = target.toString("latin1");
  assert.equal(`---${Buffer.concat([...lines.blocks()]).toString("latin1")}---`, written);
  return written.slice(3, -3);
}

test("lines have 76 characters, the last at most, each with its CRLF; the length is known before", () => {
  for (const length of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 1000, 47_879, 47_880, 47_881, 100_000]) {
    const octets = Uint8Array.from({ length }, (_, index) => index * 31);
    const written = asText(octets);
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
      assert.equal(streamed.toString("latin1"), asText(Buffer.concat(chunks)));
    }),
  );
});

test("a stream's blocks are at most 64 KiB, and its own buffer may be used again", async () => {
  const buffer = Buffer.alloc(30_001);
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 10; index++) yield buffer.fill(index);
  }
  const blocks = await Array.fromAsync(base64LinesOf(source()));
  assert.ok(blocks.every((block) => block.length <= 64 * 1024));
  const whole = Buffer.concat(Array.from({ length: 10 }, (_, index) => Buffer.alloc(30_001, index)));
  assert.equal(Buffer.concat(blocks).toString("latin1"), asText(whole));
});

test("only canonical base64 is read", () => {
  assert.deepEqual(fromBase64("aGk="), Buffer.from("hi"));
  for (const text of ["aGk", "aGl=", "a Gk=", "aGk=\n", "-_==", "*"]) assert.equal(fromBase64(text), undefined, text);
});
