/**
 * What counts as a line break or control: every C0 and C1 control but TAB, DEL, and U+2028 and U+2029, at which Unicode
 * breaks lines. In a header field, an address or a command they are either a mistake or an injection.
 */
const CONTROL = /[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/;

/** Whether the text has a line break or another control but TAB. */
export function hasControl(text: string): boolean {
  return CONTROL.test(text);
}

/** Whether every character is US-ASCII: then, and only then, UTF-8 has as many octets as there are characters. */
export function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
