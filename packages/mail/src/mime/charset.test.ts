import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeText, isCharset } from "./charset.ts";

const TEXTS: readonly [charset: string, text: string][] = [
  ["us-ascii", "plain"],
  ["iso-8859-1", "Firstname Sürname ÿ"],
  ["iso-8859-2", "Gżegżółka"],
  ["iso-8859-15", "10 €"],
  ["windows-1252", "“10 €”"],
  ["koi8-r", "Привет"],
  ["euc-kr", "한글과 ASCII 끝"],
  ["shift_jis", "日本語ｱ～"],
  ["euc-jp", "日本語"],
  ["big5", "中文"],
  ["gb2312", "中文"],
  ["iso-2022-jp", "日本語 and ASCII 本文\n次の行"],
];

test("text in each charset reads back", () => {
  for (const [charset, text] of TEXTS) {
    const encoded = encodeText(text, charset);
    assert.ok("octets" in encoded, charset);
    assert.equal(new TextDecoder(charset).decode(encoded.octets), text, charset);
  }
});

test("what a charset does not have is named", () => {
  for (const [charset, text] of [
    ["iso-8859-1", "€"],
    ["us-ascii", "é"],
    ["euc-kr", "a😀"],
    ["iso-8859-1", "한"],
    ["iso-2022-jp", "한"],
  ] as const) {
    const encoded = encodeText(text, charset);
    assert.ok("unencodable" in encoded && text.endsWith(encoded.unencodable), charset);
  }
});

test("a charset that text cannot be sent in is none", () => {
  for (const charset of ["utf-16", "utf-16le", "no-such-charset", "iso-2022-kr", "", "x-user-defined"])
    assert.equal(isCharset(charset), false, charset);
  for (const charset of ["UTF-8", "latin1", "EUC-KR"]) assert.equal(isCharset(charset), true, charset);
});
