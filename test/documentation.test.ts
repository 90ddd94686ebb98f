import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import ts from "typescript";

const SOURCES = join(import.meta.dirname, "../packages/mail/src");

/** The names that each file exports, and those among them whose declaration has no doc comment. */
function exportedNames(
  files: readonly string[],
  host?: ts.CompilerHost,
): { readonly all: readonly string[]; readonly undocumented: readonly string[] } {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    allowImportingTsExtensions: true,
    noEmit: true,
    noLib: true,
    types: [],
  };
  const program = ts.createProgram({ rootNames: files, options, ...(host === undefined ? {} : { host }) });
  const checker = program.getTypeChecker();
  const symbols = files.flatMap((file) => {
    const source = program.getSourceFile(file);
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
    assert.ok(module !== undefined, `${file} is a module`);
    return checker.getExportsOfModule(module);
  });
  const declared = symbols.map((symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
  );
  const isDocumented = (symbol: ts.Symbol): boolean =>
    ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() !== "";
  return {
    all: symbols.map(({ name }) => name),
    undocumented: declared.filter((symbol) => !isDocumented(symbol)).map(({ name }) => name),
  };
}

test("every name that posthaste and posthaste/testing export has a doc comment", () => {
  const { all, undocumented } = exportedNames([join(SOURCES, "index.ts"), join(SOURCES, "testing.ts")]);
  for (const name of ["sendMail", "Message", "SmtpOptions", "memoryTransport", "testTransport"])
    assert.ok(all.includes(name), name);
  assert.deepEqual(undocumented, []);
});

test("an exported name without a doc comment is found through a re-export", () => {
  const files: Readonly<Record<string, string>> = {
    "/entry.ts": 'export { bare, noted as renamed } from "./parts.ts"; export type { Bare } from "./parts.ts";',
    "/parts.ts": "export const bare = 1;\n/** Noted. */\nexport const noted = 2;\n// A remark.\nexport type Bare = 1;",
  };
  const host = ts.createCompilerHost({});
  host.fileExists = (file) => file in files;
  host.readFile = (file) => files[file];
  host.getSourceFile = (file, target) => {
    const text = files[file];
    return text === undefined ? undefined : ts.createSourceFile(file, text, target);
  };
  assert.deepEqual(exportedNames(["/entry.ts"], host), {
    all: ["bare", "renamed", "Bare"],
    undocumented: ["bare", "Bare"],
  });
});
