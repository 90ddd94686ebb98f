import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TransparencyEncoder } from "./transparency.ts";

const CASES: readonly [name: string, content: string, wire: string][] = [
  ["adds no line break where the content ends with one", "a\r\n", "a\r\n.\r\n"],
  ["ends a last line that has none", "a", "a\r\n.\r\n"],
  ["sends nothing but the dot for empty content", "", ".\r\n"],
  ["doubles the first line's dot too", ".a\r\n", "..a\r\n.\r\n"],
  ["doubles a lone dot", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"],
  ["doubles the dots of several lines", ".\r\n..\r\n", "..\r\n...\r\n.\r\n"],
  ["leaves a dot inside a line", "a.b\r\n", "a.b\r\n.\r\n"],
  ["keeps an empty line at the end", "a\r\n\r\n", "a\r\n\r\n.\r\n"],
  // SMTP smuggling: a line end that only some servers see must not hide an end of data.
  ["turns a bare LF into CRLF", "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"],
  ["turns a bare CR into CRLF", "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"],
  ["turns mixed line ends into CRLF", "a\n\r\n.\r.\n\rb", "a\r\n\r\n..\r\n..\r\n\r\nb\r\n.\r\n"],
  ["reads CR CR LF as two line ends", "a\r\r\n.b", "a\r\n\r\n..b\r\n.\r\n"],
];

function encode(chunks: readonly Uint8Array[]): string {
  const encoder = new TransparencyEncoder();
  const written = [...chunks.map((chunk) => encoder.encode(chunk)), encoder.end()];
  return written.map((octets) => Buffer.from(octets).toString("latin1")).join("");
}

for (const [name, content, wire] of CASES) {
  test(name, () => {
    const octets = Buffer.from(content, "latin1");
    assert.equal(encode([octets]), wire);
    for (let at = 0; at <= octets.length; at++)
      assert.equal(encode([octets.subarray(0, at), octets.subarray(at)]), wire, `cut at ${at}`);
    assert.equal(encode(Array.from(octets, (octet) => Uint8Array.of(octet))), wire, "octet by octet");
  });
}

/** The same as the RFC says it, an octet at a time. */
function plainly(octets: Uint8Array): string {
  const text = Buffer.from(octets)
    .toString("latin1")
    .replaceAll(/\r\n|\r|\n/g, "\r\n");
  const ended = text === "" || text.endsWith("\r\n") ? text : `${text}\r\n`;
  return `${ended.replaceAll(/^\./gm, "..")}.\r\n`;
}

test("says the same as the plain rule for any octets, wherever they stand in memory", () => {
  const octet = fc.oneof(fc.constantFrom(0x0d, 0x0a, 0x2e, 0x61), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(octet, { maxLength: 60 }), fc.integer({ min: 0, max: 7 }), (list, offset) => {
      const octets = new Uint8Array([...Array<number>(offset).fill(0x0a), ...list]).subarray(offset);
      assert.equal(encode([octets]), plainly(octets));
    }),
    { numRuns: 5000 },
  );
});
