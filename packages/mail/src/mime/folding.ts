import { isAscii } from "../text.ts";
import { encodedWords, looksEncoded } from "./encoded-word.ts";

/**
 * Header fields as lines (RFC 5322 section 2.2.3): folded before white space, at 76 characters where it can be.
 * RFC 2047 section 2 wants 76 of a line with an encoded-word, RFC 5322 section 2.1.1 wants 78 of any and at most 998.
 */
const LINE_LENGTH = 76;
/** A longer word is encoded: with a field name of 76, a line has 998 (RFC 5322 section 2.1.1). */
const WORD_LENGTH = 900;
/** An encoded-word needs its overhead and at least one character of four octets in base64. */
const LEAST_ENCODED_WORD = 24;

/** A header field of tokens between which it may be folded. A token is never broken. */
export function foldTokens(name: string, tokens: readonly string[]): string {
  const whole = `${name}: ${tokens.join(" ")}\r\n`;
  if (whole.length <= LINE_LENGTH + 2 || tokens.length === 1) return whole;
  const head = `${name}:`;
  const field: Folded = { head, lines: "", current: head };
  for (const token of tokens) addToken(field, token);
  return field.lines + field.current + "\r\n";
}

/**
 * An unstructured header field (RFC 5322 section 3.2.5), such as Subject. Words of ASCII stand as they are; runs of
 * others become encoded-words. What a reader decodes is the text, white space and all.
 */
export function foldUnstructured(name: string, text: string): string {
  if (PLAIN.test(text) && name.length + text.length < LINE_LENGTH - 2 && !looksEncoded(text))
    return `${name}: ${text}\r\n`;
  const head = `${name}:`;
  const field: Folded = { head, lines: "", current: head };
  for (const run of runs(text)) {
    if (run.encode) addEncoded(field, run.text);
    else for (const word of run.text.split(" ")) addToken(field, word);
  }
  return field.lines + field.current + "\r\n";
}

/** Words of printable ASCII with one space between. */
const PLAIN = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/;

interface Folded {
  /** The name and colon, after which a token is not folded. */
  readonly head: string;
  lines: string;
  current: string;
}

function addToken(field: Folded, token: string): void {
  if (field.current.length + 1 + token.length > LINE_LENGTH && field.current !== field.head) fold(field);
  field.current += " " + token;
}

function addEncoded(field: Folded, text: string): void {
  if (LINE_LENGTH - field.current.length - 1 < LEAST_ENCODED_WORD) fold(field);
  for (const word of encodedWords(text, LINE_LENGTH - field.current.length - 1)) addToken(field, word);
}

function fold(field: Folded): void {
  field.lines += field.current + "\r\n";
  field.current = "";
}

interface Run {
  readonly text: string;
  readonly encode: boolean;
}

/**
 * The text cut at single spaces into runs that are encoded or not. White space between two encoded-words vanishes on
 * reading (RFC 2047 section 6.2), so neighbouring words that need encoding become one run, with the space inside. A
 * second space, a TAB, or white space at either end would not survive folding, so it is encoded with its neighbours.
 */
function runs(text: string): Run[] {
  if (text === "") return [];
  const words = text.split(" ");
  if (words.every(needsEncoding)) return [{ text, encode: true }];
  const found: { text: string; encode: boolean }[] = [];
  words.forEach((word, index) => {
    const encode = needsEncoding(word) || words[index - 1] === "" || words[index + 1] === "";
    const last = found.at(-1);
    if (last?.encode === encode) last.text += ` ${word}`;
    else found.push({ text: word, encode });
  });
  return found;
}

function needsEncoding(word: string): boolean {
  return word === "" || !isAscii(word) || looksEncoded(word) || word.includes("\t") || word.length > WORD_LENGTH;
}
