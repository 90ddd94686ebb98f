import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { mailSettingsFrom } from "posthaste";
import ts from "typescript";
import { environment } from "./peer/posthaste.ts";
import { type SmtpPeer, startSmtpPeer } from "./peer/smtp-peer.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** The source of each entry point, by the name under which it is imported. */
function entryPoints(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const file of globSync("packages/*/package.json", { cwd: ROOT })) {
    const { name, exports } = JSON.parse(read(file)) as {
      name: string;
      exports: Record<string, { "posthaste-source"?: string }>;
    };
    for (const [key, { "posthaste-source": source }] of Object.entries(exports))
      if (source !== undefined) found[join(name, key)] = join(ROOT, dirname(file), source);
  }
  return found;
}

/**
 * The names that the entry points export and the members of their types, and which of them have no doc comment. Members
 * that are inherited from elsewhere, private ones and the `type` by which the kinds of a union are told apart need none.
 */
function documented(entries: Readonly<Record<string, string>>, sources?: Readonly<Record<string, string>>) {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    strict: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    noLib: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  if (sources !== undefined) {
    host.getSourceFile = (file, target) => ts.createSourceFile(file, sources[file] ?? "", target);
    host.fileExists = (file) => file in sources;
  }
  // Only our own sources: what the packages of others declare is not read, and would take seconds.
  host.resolveModuleNameLiterals = (literals, importer) =>
    literals.map(({ text: name }) => {
      const path = name.startsWith(".") ? resolve(dirname(importer), name) : entries[name];
      if (path === undefined) return { resolvedModule: undefined };
      return { resolvedModule: { resolvedFileName: path, extension: ts.Extension.Ts } };
    });
  const program = ts.createProgram({ rootNames: Object.values(entries), options, host });
  const checker = program.getTypeChecker();
  const all: string[] = [];
  const bare = new Set<string>();
  const look = (symbol: ts.Symbol, name: string): void => {
    all.push(name);
    if (ts.displayPartsToString(symbol.getDocumentationComment(checker)).trim() === "") bare.add(name);
  };
  for (const file of Object.values(entries)) {
    const source = program.getSourceFile(file);
    const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
    assert.ok(module !== undefined, `${file} is a module`);
    for (const exported of checker.getExportsOfModule(module)) {
      const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
      const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported;
      look(symbol, exported.name);
      for (const member of membersOf(symbol, checker)) look(member, `${exported.name}.${member.name}`);
    }
  }
  return { all, bare: [...bare] };
}

function membersOf(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol[] {
  const { Interface, Class, TypeAlias } = ts.SymbolFlags;
  if ((symbol.flags & (Interface | Class | TypeAlias)) === 0) return [];
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  const kinds = type.isUnion() ? type.types : [type];
  const isObject = (kind: ts.Type): boolean => kind.isIntersection() || (kind.flags & ts.TypeFlags.Object) !== 0;
  const members = kinds.filter(isObject).flatMap((kind) => checker.getPropertiesOfType(kind));
  return members.filter(({ valueDeclaration: declaration }) => {
    if (declaration === undefined || ts.isPrivateIdentifier((declaration as ts.PropertyDeclaration).name)) return false;
    if ((ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Private) !== 0) return false;
    const isTag = ts.isPropertySignature(declaration) && declaration.type?.kind === ts.SyntaxKind.LiteralType;
    return !(isTag && kinds.length > 1);
  });
}

test("every name that a package exports has a doc comment, and so has every member of it", () => {
  const { all, bare } = documented(entryPoints());
  for (const name of ["sendMail", "SmtpOptions.host", "memoryTransport", "testTransport", "InboxMessage.links"])
    assert.ok(all.includes(name), name);
  for (const name of ["Worker.run", "sqliteDialect", "createAccounts", "Limits.login", "EmailMessage.attach"])
    assert.ok(all.includes(name), name);
  assert.deepEqual(bare, []);
});

test("a name or member without a doc comment is found, wherever it is declared", () => {
  const sources = {
    "/entry.ts": 'export { bare, noted as renamed, Kind } from "./parts.ts"; export type * from "./types.ts";',
    "/parts.ts": `
      export const bare = 1;
      /** Noted. */
      export const noted = 2;
      /** Noted. */
      export class Kind {
        #hidden = 1;
        private own = 2;
        open = 3;
        /** Noted. */
        known = 4;
        act() {}
      }`,
    "/types.ts": `
      interface Hidden {
        inherited: number;
        /** Noted. */
        said: number;
      }
      /** Noted. */
      export interface Shown extends Hidden {
        first: number;
        /** Noted. */
        second: number;
      }
      // A remark.
      export type Bare = 1;
      /** Noted. */
      export type Either = { type: "a"; one: number } | {
        type: "b";
        /** Noted. */
        two: number;
      };
      /** Noted. */
      export type Both = Hidden & { third: number };`,
  };
  assert.deepEqual(
    documented({ entry: "/entry.ts" }, sources).bare.sort(),
    [
      "Bare",
      "Both.inherited",
      "Both.third",
      "Either.one",
      "Kind.act",
      "Kind.open",
      "Shown.first",
      "Shown.inherited",
      "bare",
    ].sort(),
  );
});

test("each row of docs/django.md names what is here and the tests that prove it, and they are there", () => {
  const rows = read("docs/django.md").matchAll(/^\| (.+) \| (.+) \| (.*) \|$/gm);
  let count = 0;
  for (const [row, django, here, proof = ""] of rows) {
    if (proof === "proved by") continue;
    count++;
    assert.ok(django !== "–" && here !== "–", row);
    const files = [...proof.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file);
    assert.ok(files.length > 0, row);
    for (const file of files)
      assert.ok(existsSync(join(ROOT, file)) || existsSync(join(ROOT, "packages/mail/src", file)), `${file}: ${row}`);
  }
  assert.ok(count > 80, String(count));
});

/** How many examples in TypeScript each file has, and the test that runs every one. There is no exception. */
const EXAMPLES: Readonly<Record<string, readonly [count: number, test: string]>> = {
  "README.md": [2, "test/readme.test.ts"],
  "README.ko.md": [2, "test/readme.test.ts"],
  "docs/mailers.md": [2, "test/documentation.test.ts"],
  "docs/settings.md": [1, "test/documentation.test.ts"],
  "docs/smtp.md": [3, "packages/mail/src/transport/smtp-documentation.test.ts"],
  "docs/transports.md": [4, "test/documentation.test.ts"],
  "packages/accounts/README.md": [1, "test/readme.test.ts"],
  "packages/inbox/README.md": [1, "packages/inbox/src/readme.test.ts"],
  "packages/mail/README.md": [2, "test/readme.test.ts"],
  "packages/outbox/README.md": [1, "test/readme.test.ts"],
};

const examplesOf = (file: string, language = "ts"): string[] =>
  [...read(file).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, code = ""]) => code);

test("each example in TypeScript, in whichever file, is run by a test", () => {
  const files = globSync(["*.md", "{docs,decisions,examples}/**/*.md", "packages/*/*.md"], { cwd: ROOT });
  const counts = files.map((file) => [
    file,
    (read(file).match(/^ *```(?:ts|js|typescript|javascript)\b/gm) ?? []).length,
  ]);
  assert.deepEqual(
    Object.fromEntries(counts.filter(([, count]) => count !== 0)),
    Object.fromEntries(Object.entries(EXAMPLES).map(([file, [count]]) => [file, count])),
  );
  for (const [file, [, runner]] of Object.entries(EXAMPLES))
    assert.ok(
      [file, file.split("/").at(-1) ?? ""].some((name) => read(runner).includes(name)),
      `${runner}: ${file}`,
    );
});

const NODE = [
  "--conditions=posthaste-source",
  "--no-warnings",
  "--test-reporter=tap",
  "--input-type=module-typescript",
];

/** Runs each example against a server of its own, to which both hosts lead, and gives what it printed and sent. */
function run(file: string): Promise<{ readonly printed: string; readonly messages: SmtpPeer["messages"] }[]> {
  return Promise.all(
    examplesOf(file).map(async (code) => {
      await using peer = await startSmtpPeer();
      const here = code.replaceAll(/host: "(?:mail|backup)\.example\.com"/g, `host: "127.0.0.1", port: ${peer.port}`);
      const extra = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port), ADMINS: "ops@example.com" };
      const env = { ...environment(extra), NODE_TEST_CONTEXT: undefined };
      const child = spawn(process.execPath, [...NODE, "--eval", here], { cwd: ROOT, env });
      const output = Promise.all([text(child.stdout), text(child.stderr)]);
      const [status] = (await once(child, "close")) as [number | null];
      const printed = (await output).join("\n");
      assert.equal(status, 0, printed);
      return { printed, messages: peer.messages };
    }),
  );
}

test("the examples of docs/transports.md run, and do what they say", async () => {
  const [failing, memory, bridge, own] = await run("docs/transports.md");
  assert.equal(failing?.printed.trim(), "");
  assert.equal(memory?.printed.trim(), "Hello Kim");
  assert.deepEqual(bridge?.messages[0]?.forwardPaths, ["lee@example.com"]);
  assert.match(own?.printed ?? "", /^# pass 12\n# fail 0$/m);
});

test("the examples of docs/mailers.md run, and do what they say", async () => {
  const [mailer, log] = await run("docs/mailers.md");
  assert.match(mailer?.printed ?? "", /> accepted\n.*> refused\n/s);
  assert.match(mailer?.printed ?? "", /accepted: 1,\s+refused: 1,\s+deferred: 0,\s+unknown: 0,\s+total: 2/);
  assert.deepEqual(log?.messages[0]?.forwardPaths, ["ops@example.com"]);
  assert.match(log?.messages[0]?.content ?? "", /^Subject: .*ERROR: the import failed\r$/m);
});

test("the examples of docs/settings.md are settings, in TypeScript and in JSON", async () => {
  await run("docs/settings.md");
  const [json = ""] = examplesOf("docs/settings.md", "json");
  const { mailers } = mailSettingsFrom({ MAILERS: json });
  assert.deepEqual(
    Object.values(mailers).map(({ alias, backend, host, failSilently }) => [alias, backend, host, failSilently]),
    [
      ["default", "smtp", "mail.example.com", false],
      ["newsletter", "smtp", "bulk.example.com", true],
      ["archive", "file", "localhost", false],
    ],
  );
});
