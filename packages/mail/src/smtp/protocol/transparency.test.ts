import assert from "node:assert/strict";
import { test } from "node:test";
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
