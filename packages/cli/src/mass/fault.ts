/** In characters. */
const FAULT_LIMIT = 500;
/** Controls, marks without width or that turn the direction of writing, line and paragraph separators, lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * What is said of a row, on one line of bounded length: errors quote what the row holds, which is often what a stranger
 * typed, and a terminal would obey the controls in it.
 */
export function faultText(message: string): string {
  const shown = message.length > FAULT_LIMIT ? `${message.slice(0, FAULT_LIMIT)} …` : message;
  return shown.replace(UNSEEN, (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, "0") ?? ""}`);
}
