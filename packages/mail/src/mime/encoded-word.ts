/**
 * RFC 2047 encoded-words: `=?utf-8?q?…?=`, at most 75 characters each, on lines of at most 76.
 *
 * A character is never split: the text is cut between code points.
 */

const ENCODED_WORD_LENGTH = 75;
const OVERHEAD = "=?utf-8?q??=".length;

/** RFC 2047 section 5 (3): what may stand for itself in a phrase, and so everywhere. By character code. */
const Q_LITERAL = Array.from({ length: 128 }, (_, code) => /[A-Za-z0-9!*+\-/]/.test(String.fromCharCode(code)));
const SPACE = 0x20;

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
  const octets = Buffer.byteLength(text);
  const inB = Math.ceil(octets / 3) * 4;
  // Three octets for each that is not ASCII, and there are 1.5 at least for each that there are more than characters.
  const useB = inB < octets + 3 * (octets - text.length) || inB < qLength(text);
  if (useB && inB <= Math.min(first, ENCODED_WORD_LENGTH) - OVERHEAD) return [encodedWord(text, true)];
  const words: string[] = [];
  let room = Math.min(first, ENCODED_WORD_LENGTH) - OVERHEAD;
  let start = 0;
  let size = 0;
  for (let end = 0; end < text.length;) {
    const code = text.codePointAt(end) ?? 0;
    const length = useB ? octetsOf(code) : qLengthOf(code);
    const needed = useB ? Math.ceil((size + length) / 3) * 4 : size + length;
    if (needed > room && end > start) {
      words.push(encodedWord(text.slice(start, end), useB));
      start = end;
      size = 0;
      room = ENCODED_WORD_LENGTH - OVERHEAD;
    }
    size += length;
    end += code > 0xffff ? 2 : 1;
  }
  if (start < text.length) words.push(encodedWord(text.slice(start), useB));
  return words;
}

/** How many octets a character has in UTF-8. */
function octetsOf(code: number): number {
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** The octets of one encoded-word, of which there are 48 at most; a buffer for each would take longer than the rest. */
const octetsOfWord = Buffer.allocUnsafeSlow(ENCODED_WORD_LENGTH);

function encodedWord(text: string, useB: boolean): string {
  if (!useB) return `=?utf-8?q?${qEncoding(text)}?=`;
  return `=?utf-8?b?${octetsOfWord.toString("base64", 0, octetsOfWord.write(text))}?=`;
}

function qEncoding(text: string): string {
  let written = "";
  for (const octet of Buffer.from(text)) {
    if (octet === SPACE) written += "_";
    else if (Q_LITERAL[octet] === true) written += String.fromCharCode(octet);
    else written += "=" + octet.toString(16).toUpperCase().padStart(2, "0");
  }
  return written;
}

function qLength(text: string): number {
  let length = 0;
  for (const character of text) length += qLengthOf(character.codePointAt(0) ?? 0);
  return length;
}

function qLengthOf(code: number): number {
  return code === SPACE || Q_LITERAL[code] === true ? 1 : 3 * octetsOf(code);
}
