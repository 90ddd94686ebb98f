import { isAscii } from "../text.ts";
import { looksEncoded } from "./encoded-word.ts";

/**
 * Parameters of Content-Type and Content-Disposition, each on a line of its own (RFC 2045 section 5.1, RFC 2183).
 *
 * What is not ASCII, looks like an encoded-word (readers decode those here too), has white space that would not survive,
 * or is too long for a line, is written as RFC 2231 has it: `name*=utf-8''percent-encoded`, and in
 * sections `name*0*=`, `name*1*=` where one line does not hold it.
 */
const LINE_LENGTH = 76;
/** White space that readers of a quoted string drop. */
const LOOSE_SPACE = /^ | $| {2}/;
const TOKEN = /^[^\0-\x20\x7f()<>@,;:\\"/[\]?=*'%]+$/;

const encoder = new TextEncoder();
/** RFC 2231 section 7: `attribute-char`, which may stand for itself. */
const ATTRIBUTE_CHAR = /^[A-Za-z0-9!#$&+\-.^_`{|}~]$/;

/** `;`, a fold and the parameter, folded on where it is long. */
export function parameter(name: string, value: string): string {
  const plain = TOKEN.test(value) ? `${name}=${value}` : `${name}="${value.replace(/["\\]/g, "\\$&")}"`;
  if (isAscii(value) && !looksEncoded(value) && !LOOSE_SPACE.test(value) && plain.length + 2 <= LINE_LENGTH)
    return `;\r\n ${plain}`;
  const sections = sectionsOf(name, value);
  if (sections.length === 1) return `;\r\n ${name}*=utf-8''${sections[0]}`;
  return sections.map((section, index) => `;\r\n ${name}*${index}*=${index === 0 ? "utf-8''" : ""}${section}`).join("");
}

/** The value percent-encoded and cut so that each section's line holds it; a character is never cut. */
function sectionsOf(name: string, value: string): string[] {
  // " name*NN*=utf-8''" and the semicolon behind it.
  const room = LINE_LENGTH - name.length - " *00*=utf-8'';".length;
  const sections: string[] = [];
  let section = "";
  for (const character of value) {
    const encoded = ATTRIBUTE_CHAR.test(character) ? character : percentEncoded(character);
    if (section.length + encoded.length > room) {
      sections.push(section);
      section = "";
    }
    section += encoded;
  }
  sections.push(section);
  return sections;
}

function percentEncoded(character: string): string {
  let written = "";
  for (const octet of encoder.encode(character)) written += `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
  return written;
}
