import { base64 } from "./base64.ts";

/**
 * RFC 2047 encoded-words: `=?utf-8?q?…?=`, at most 75 characters each, on lines of at most 76.
 *
 * A character is never split: the text is cut between code points.
 */

const ENCODED_WORD_LENGTH = 75;
const OVERHEAD = "=?utf-8?q??=".length;
const encoder = new TextEncoder();

/** RFC 2047 section 5 (3): what may stand for itself in a phrase, and so everywhere. */
const Q_LITERAL = /[A-Za-z0-9!*+\-/]/;

/** Whether a reader would take the text for an encoded-word, so that it must be encoded to stay what it is. */
export function looksEncoded(text: string): boolean {
  return text.includes("=?");
}

/**
 * The text as encoded-words.
 *
 * @param first how many characters the first may have, given what stands on its line already; at most 75 count.
 */
export function encodedWords(text: string, first: number): string[] {
  const octets = encoder.encode(text);
  const quoted = qLength(octets);
  const useB = Math.ceil(octets.length / 3) * 4 < quoted;
  const words: string[] = [];
  let room = Math.min(first, ENCODED_WORD_LENGTH) - OVERHEAD;
  let chunk = "";
  let size = 0;
  for (const character of text) {
    const length = useB ? encoder.encode(character).length : qLength(encoder.encode(character));
    const needed = useB ? Math.ceil((size + length) / 3) * 4 : size + length;
    if (needed > room && chunk !== "") {
      words.push(encodedWord(chunk, useB));
      chunk = "";
      size = 0;
      room = ENCODED_WORD_LENGTH - OVERHEAD;
    }
    chunk += character;
    size += length;
  }
  if (chunk !== "") words.push(encodedWord(chunk, useB));
  return words;
}

function encodedWord(text: string, useB: boolean): string {
  const octets = encoder.encode(text);
  return useB ? `=?utf-8?b?${base64(octets)}?=` : `=?utf-8?q?${qEncoding(octets)}?=`;
}

function qEncoding(octets: Uint8Array): string {
  let written = "";
  for (const octet of octets) {
    const character = String.fromCharCode(octet);
    if (octet === 0x20) written += "_";
    else if (Q_LITERAL.test(character)) written += character;
    else written += "=" + octet.toString(16).toUpperCase().padStart(2, "0");
  }
  return written;
}

function qLength(octets: Uint8Array): number {
  let length = 0;
  for (const octet of octets) length += octet === 0x20 || Q_LITERAL.test(String.fromCharCode(octet)) ? 1 : 3;
  return length;
}
