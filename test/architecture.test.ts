import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { test } from "node:test";
import ts from "typescript";

const ROOT = join(import.meta.dirname, "..");
const DOCUMENT = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");

/** The rows of the table whose header begins with the given cell. */
function table(firstHeader: string): string[][] {
  const lines = DOCUMENT.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${firstHeader} |`));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  const rows = lines.slice(start + 2, end);
  return rows.map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}

const list = (cell: string | undefined): string[] =>
  cell === undefined || cell === "–" ? [] : cell.split(",").map((item) => item.trim());

function importsOf(file: string): string[] {
  return ts
    .preProcessFile(readFileSync(join(ROOT, file), "utf8"), true, true)
    .importedFiles.map(({ fileName }) => fileName);
}

const sources = globSync("packages/*/src/**/*.ts", { cwd: ROOT }).map((file) => file.replaceAll("\\", "/"));
const shipped = sources.filter((file) => !file.endsWith(".test.ts"));

const PACKAGE_NAMES: Readonly<Record<string, string>> = Object.fromEntries(
  globSync("packages/*/package.json", { cwd: ROOT }).map((file) => {
    const { name } = JSON.parse(readFileSync(join(ROOT, file), "utf8")) as { name: string };
    return [name, dirname(file).split(/[\\/]/).at(-1) ?? ""];
  }),
);

/** The package of ours that a specifier names, or undefined. */
function ours(specifier: string): string | undefined {
  const name = specifier.startsWith("@") ? specifier.split("/", 2).join("/") : specifier.split("/", 1)[0];
  return name === undefined ? undefined : PACKAGE_NAMES[name];
}

/** The imports that the package table does not allow. */
export function packageViolations(file: string, specifiers: readonly string[]): string[] {
  const self = file.split("/")[1] ?? "";
  const allowed = list(table("package").find(([name]) => name === self)?.[1]);
  return specifiers.filter((specifier) => {
    if (specifier.startsWith(".")) return !posix.join(posix.dirname(file), specifier).startsWith(`packages/${self}/`);
    const target = ours(specifier);
    return target !== undefined && target !== self && !allowed.includes(target);
  });
}

const LAYERS = table("layer").map(([layer = "", places, , may]) => ({ layer, places: list(places), may: list(may) }));
const LAYER_0_FILES = LAYERS[0]?.places ?? [];

/** The folder or file of the table that a path under packages/mail/src belongs to. */
function placeOf(path: string): string | undefined {
  return LAYERS.flatMap(({ places }) => places).find((place) => path === place || path.startsWith(`${place}/`));
}

/** The imports that the layer table does not allow. */
export function layerViolations(path: string, specifiers: readonly string[]): string[] {
  const place = placeOf(path);
  if (place === undefined) return [`${path} stands in no row of the table`];
  const row = LAYERS.find(({ places }) => places.includes(place));
  const may = new Set([place, ...(row?.may ?? []).flatMap((item) => (item === "0" ? LAYER_0_FILES : [item]))]);
  return specifiers
    .filter((specifier) => specifier.startsWith("."))
    .filter((specifier) => !may.has(placeOf(posix.join(posix.dirname(path), specifier)) ?? ""));
}

test("packages import only what stands below them", () => {
  assert.ok(shipped.length > 50, "the sources were found");
  for (const file of shipped) assert.deepEqual(packageViolations(file, importsOf(file)), [], file);
});

test("inside packages/mail arrows point down only", () => {
  const inside = shipped.filter(
    (file) =>
      /^packages\/mail\/src\/.+\//.test(file) || LAYER_0_FILES.some((name) => file.endsWith(`mail/src/${name}`)),
  );
  assert.ok(inside.length > 20, "the sources were found");
  for (const file of inside)
    assert.deepEqual(layerViolations(file.replace("packages/mail/src/", ""), importsOf(file)), [], file);
});

test("an arrow that points up or sideways is found", () => {
  assert.deepEqual(
    packageViolations("packages/mail/src/x.ts", ["@posthaste/outbox", "../../outbox/src/index.ts", "node:fs"]),
    ["@posthaste/outbox", "../../outbox/src/index.ts"],
  );
  assert.deepEqual(packageViolations("packages/inbox/src/x.ts", ["@posthaste/accounts", "posthaste"]), [
    "@posthaste/accounts",
  ]);
  assert.deepEqual(layerViolations("address/x.ts", ["../mime/base64.ts", "../errors.ts"]), ["../mime/base64.ts"]);
  assert.deepEqual(layerViolations("smtp/protocol/x.ts", ["../client/session.ts", "../sasl/plain.ts", "./reply.ts"]), [
    "../client/session.ts",
    "../sasl/plain.ts",
  ]);
  assert.equal(layerViolations("elsewhere/x.ts", []).length, 1);
});

test("the protocol machine knows no Node module, and only settings and the command line read the environment", () => {
  for (const file of shipped) {
    if (file.startsWith("packages/mail/src/smtp/protocol/"))
      assert.deepEqual(
        importsOf(file).filter((specifier) => specifier.startsWith("node:")),
        [],
        file,
      );
    if (!file.startsWith("packages/cli/") && !file.startsWith("packages/mail/src/settings/"))
      assert.doesNotMatch(readFileSync(join(ROOT, file), "utf8"), /process\.env(?!`)/, file);
  }
});

test("packages import nothing that their package.json does not name", () => {
  for (const file of shipped) {
    const manifest = JSON.parse(
      readFileSync(join(ROOT, "packages", file.split("/")[1] ?? "", "package.json"), "utf8"),
    ) as { name: string; dependencies?: Record<string, string> };
    const allowed = [manifest.name, ...Object.keys(manifest.dependencies ?? {})];
    const foreign = importsOf(file).filter((specifier) => !specifier.startsWith(".") && !specifier.startsWith("node:"));
    assert.deepEqual(
      foreign.filter((specifier) => !allowed.some((name) => specifier === name || specifier.startsWith(`${name}/`))),
      [],
      file,
    );
  }
});

test("entry files are export lists", () => {
  for (const file of shipped.filter((each) => each.endsWith("src/index.ts"))) {
    const source = ts.createSourceFile(file, readFileSync(join(ROOT, file), "utf8"), ts.ScriptTarget.Latest);
    assert.ok(
      source.statements.every((statement) => ts.isExportDeclaration(statement)),
      file,
    );
  }
});

test("no file is called utils, helpers, common or manager", () => {
  const names = globSync("{packages,test,examples}/**/*.ts", {
    cwd: ROOT,
    exclude: ["**/node_modules/**", "**/dist/**"],
  });
  assert.deepEqual(
    names.filter((name) => /(^|[\\/])(utils?|helpers?|common|misc|managers?)(\.|[\\/])/i.test(name)),
    [],
  );
});
