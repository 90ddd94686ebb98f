import assert from "node:assert/strict";
import { test } from "node:test";
import { saslPrep } from "./saslprep.ts";

const PREPARED: readonly (readonly [string, string, string | undefined])[] = [
  // RFC 4013 section 3.
  ["a soft hyphen is mapped to nothing", "I\u00adX", "IX"],
  ["lower case stays", "user", "user"],
  ["upper case stays", "USER", "USER"],
  ["a feminine ordinal is an a", "\u00aa", "a"],
  ["a Roman nine is two letters", "\u2168", "IX"],
  ["a control is prohibited", "\u0007", undefined],
  ["a right-to-left text that ends with a digit", "\u06271", undefined],
  // RFC 3454 section 6.
  ["a right-to-left text", "\u0627\u0628 1 \u0627", "\u0627\u0628 1 \u0627"],
  ["both directions", "\u0627a\u0627", undefined],
  ["a right-to-left text that begins with a digit", "1\u05d0", undefined],
  ["one right-to-left letter", "\u05d0", "\u05d0"],
  // Spelled in two ways, the same octets.
  ["Hangul in conjoining letters", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"],
  ["Hangul in syllables", "한글", "한글"],
  ["halfwidth Katakana", "\uff76\uff9e", "ガ"],
  ["an e and its accent", "e\u0301", "é"],
  ["a no-break space", "a\u00a0b", "a b"],
  ["an ideographic space", "a\u3000b", "a b"],
  ["an Ogham space mark", "a\u1680b", "a b"],
  ["a variation selector and a joiner", "a\ufe0f\u200db", "ab"],
  [
    "printable ASCII as it is",
    " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~ ",
    " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~ ",
  ],
  // What Unicode 3.2 did not have yet is kept.
  ["an emoji", "pass😀", "pass😀"],
  // Prohibited, by table.
  ["C.1.2 and B.1: a zero width space", "a\u200bb", undefined],
  ["C.2.1: a tab", "a\tb", undefined],
  ["C.2.1: DEL", "a\u007f", undefined],
  ["C.2.2: NEL", "a\u0085", undefined],
  ["C.2.2: a line separator", "a\u2028b", undefined],
  ["C.3: private use", "\ue000", undefined],
  ["C.4: a noncharacter", "\ufdd0", undefined],
  ["C.4: a noncharacter beyond the BMP", "\u{1fffe}", undefined],
  ["C.5: a lone surrogate", "a\ud800", undefined],
  ["C.6: the replacement character", "\ufffd", undefined],
  ["C.6: the object replacement character", "\ufffc", undefined],
  ["C.7: an ideographic description character", "\u2ff0", undefined],
  ["C.8: a right-to-left override", "a\u202eb", undefined],
  ["C.8: the tone marks become ones that are allowed, as NFKC comes first", "a\u0340", "à"],
  ["C.9: a tag", "a\u{e0041}", undefined],
  ["nothing", "", undefined],
  ["nothing left", "\u00ad", undefined],
];

for (const [name, text, prepared] of PREPARED) {
  test(`SASLprep: ${name}`, () => assert.equal(saslPrep(text), prepared));
}
