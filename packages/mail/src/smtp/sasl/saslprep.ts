/**
 * SASLprep (RFC 4013), by which two spellings of a user name or password become the same octets.
 *
 * The platform has no stringprep (RFC 3454), whose tables are frozen at Unicode 3.2. Its general categories give the
 * same classes without the tables, with two differences: characters that Unicode took in after 3.2 (table A.1, emoji
 * among them) are kept rather than prohibited, and whether a character is written from right to left (tables D.1 and
 * D.2) is told by letters alone. A server that prohibits such a password cannot hold it; no other is changed by it.
 */

/** Table C.1.2: spaces that become U+0020; U+200B is left to {@link PROHIBITED}, since table B.1 lists it too. */
const NON_ASCII_SPACE = /\p{Zs}/gu;
/** Table B.1: mapped to nothing. */
const MAPPED_TO_NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;
/**
 * Tables C.2 to C.9: controls, formats, private use, noncharacters and surrogates are category C, as is what is in no
 * Unicode yet; U+FFFC and U+FFFD are of C.6, the ideographic description characters C.7.
 */
const PROHIBITED = /[\p{C}\p{Zl}\p{Zp}\ufffc\ufffd\u2ff0-\u2ffb]/u;

const RIGHT_TO_LEFT = /[\p{L}&&[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]]/v;
const LEFT_TO_RIGHT = /[\p{L}--[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]]/v;

/** The text prepared, or undefined where SASLprep prohibits it or leaves nothing. Printable ASCII stays as it is. */
export function saslPrep(text: string): string | undefined {
  const prepared = text.replace(NON_ASCII_SPACE, " ").replace(MAPPED_TO_NOTHING, "").normalize("NFKC");
  return prepared === "" || PROHIBITED.test(prepared) || mixesDirections(prepared) ? undefined : prepared;
}

/** RFC 3454 section 6: a text with right-to-left characters begins and ends with one, and has no left-to-right ones. */
function mixesDirections(text: string): boolean {
  if (!RIGHT_TO_LEFT.test(text)) return false;
  const characters = Array.from(text);
  return LEFT_TO_RIGHT.test(text) || ![characters[0], characters.at(-1)].every((end = "") => RIGHT_TO_LEFT.test(end));
}
