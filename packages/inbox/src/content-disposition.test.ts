import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attachmentDisposition } from "./content-disposition.ts";

describe("a file name becomes a safe Content-Disposition", () => {
  const cases: readonly [filename: string | null, ascii: string, extended: string][] = [
    ["report.pdf", "report.pdf", "report.pdf"],
    ["보고서.pdf", "___.pdf", "%EB%B3%B4%EA%B3%A0%EC%84%9C.pdf"],
    ["it's (1).txt", "it's (1).txt", "it%27s%20%281%29.txt"],
    ["100%41.txt", "100_41.txt", "100%2541.txt"],
    [null, "attachment-0", "attachment-0"],
    ["", "attachment-0", "attachment-0"],
    // Paths.
    ["../../etc/passwd", "passwd", "passwd"],
    ["C:\\Windows\\system.ini", "system.ini", "system.ini"],
    ["..", "attachment-0", "attachment-0"],
    [".bashrc", "bashrc", "bashrc"],
    ["a/", "attachment-0", "attachment-0"],
    // Header injection.
    ["a\r\nSet-Cookie: x=1.txt", "a__Set-Cookie_ x=1.txt", "a__Set-Cookie_%20x%3D1.txt"],
    ['a"; filename="b.exe', "a_; filename=_b.exe", "a_%3B%20filename%3D_b.exe"],
    ["a\0b\u2028c.txt", "a_b_c.txt", "a_b_c.txt"],
    // A name that shows backwards, and one that is not Unicode text.
    ["invoice\u202efdp.exe", "invoice_fdp.exe", "invoice_fdp.exe"],
    ["a\ud800.txt", "a_.txt", "a%EF%BF%BD.txt"],
    ["a".repeat(500), "a".repeat(120), "a".repeat(120)],
  ];
  for (const [filename, ascii, extended] of cases) {
    test(JSON.stringify(filename?.slice(0, 40) ?? null), () => {
      const value = attachmentDisposition(filename, "attachment-0");
      assert.equal(value, `attachment; filename="${ascii}"; filename*=UTF-8''${extended}`);
      assert.equal(new Headers({ "content-disposition": value }).get("content-disposition"), value);
    });
  }
});
