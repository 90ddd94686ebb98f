import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { createInbox } from "@posthaste/inbox";
import { environment, type Ended } from "../peer/posthaste.ts";
import { PROGRAMS, programText } from "./programs.ts";

const ROOT = join(import.meta.dirname, "../..");
const MODULES = join(ROOT, "node_modules");
const OURS = ["mail", "outbox", "inbox", "accounts", "cli"];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const MANIFESTS: readonly Manifest[] = OURS.map(
  (folder) => JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8")) as Manifest,
);

/** What npm says of a package that is not in its cache while no registry can be reached. */
const REGISTRY_IS_AWAY = /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT/;

let folder = "";

/** What `npm run` tells its script about the project; a registry and a cache that were set are kept. */
const OF_THIS_RUN = /^(npm_(package|lifecycle)_|npm_config_(local_prefix|.*workspace)|INIT_CWD$|NODE_OPTIONS$)/;

/** Runs a program as from a shell in the folder, and with this Node as `node`. */
function execute(
  program: string,
  parameters: readonly string[],
  cwd: string,
  extra: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const inherited = Object.entries(environment({})).filter(([name]) => !OF_THIS_RUN.test(name));
  const path = [dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
  const env = { ...Object.fromEntries(inherited), PATH: path, ...extra };
  return new Promise((resolve) => {
    execFile(program, parameters, { cwd, env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr });
    });
  });
}

const node = (parameters: readonly string[], cwd: string, extra?: NodeJS.ProcessEnv): Promise<Ended> =>
  execute(process.execPath, parameters, cwd, extra);

/** `npm run` says where npm is; only a bare run has to find it in PATH. */
function npm(parameters: readonly string[], cwd: string, extra?: NodeJS.ProcessEnv): Promise<Ended> {
  const script = process.env.npm_execpath;
  return script === undefined ? execute("npm", parameters, cwd, extra) : node([script, ...parameters], cwd, extra);
}

async function succeeds(run: Promise<Ended>): Promise<string> {
  const { code, stdout, stderr } = await run;
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  return stdout;
}

/** A copy of the workspace, so that what an earlier build left in dist/ is not packed, and nothing is left there. */
function copyWorkspace(target: string): void {
  const modules = join(target, "node_modules");
  mkdirSync(join(modules, "@posthaste"), { recursive: true });
  for (const file of ["package.json", "tsconfig.json"]) cpSync(join(ROOT, file), join(target, file));
  for (const each of OURS) {
    const from = join(ROOT, "packages", each);
    const filter = (path: string): boolean => !["dist", "node_modules"].some((name) => path === join(from, name));
    cpSync(from, join(target, "packages", each), { recursive: true, filter });
  }
  for (const name of readdirSync(MODULES)) {
    if (name === "posthaste" || name === "@posthaste") continue;
    symlinkSync(join(MODULES, name), join(modules, name), "junction");
  }
  for (const [index, { name }] of MANIFESTS.entries())
    symlinkSync(join(target, "packages", OURS[index] ?? ""), join(modules, name), "junction");
}

/** The package and those of ours that it depends on. */
function closure(name: string): string[] {
  const dependencies = Object.keys(MANIFESTS.find((each) => each.name === name)?.dependencies ?? {});
  const ours = dependencies.filter((each) => MANIFESTS.some((manifest) => manifest.name === each));
  return [...new Set([name, ...ours.flatMap(closure)])];
}

const tarballOf = (name: string): string => {
  const { version } = MANIFESTS.find((each) => each.name === name) ?? { version: "" };
  return join(folder, `${name.replace("@", "").replace("/", "-")}-${version}.tgz`);
};

/** Installs the package into an empty project; undefined, and the test is skipped, where npm cannot reach a registry. */
async function emptyProject(name: string, t: TestContext): Promise<string | undefined> {
  const project = join(folder, "projects", name);
  await mkdir(project, { recursive: true });
  await writeFile(join(project, "package.json"), '{ "name": "empty", "private": true }\n');
  const options = ["--prefer-offline", "--fetch-retries=0", "--no-audit", "--no-fund"];
  const installed = await npm(["install", ...options, ...closure(name).map(tarballOf)], project);
  if (installed.code !== 0 && REGISTRY_IS_AWAY.test(installed.stderr)) {
    t.skip("its dependencies are not in npm's cache, and no registry can be reached");
    return undefined;
  }
  assert.equal(installed.code, 0, installed.stderr);
  return project;
}

/** A stranger's settings: strict, and what the packages declare is checked too. */
const STRANGERS_TSCONFIG = {
  compilerOptions: {
    target: "es2024",
    lib: ["esnext"],
    module: "nodenext",
    strict: true,
    noEmit: true,
    allowJs: true,
    checkJs: true,
    types: ["node"],
    typeRoots: [join(MODULES, "@types")],
    skipLibCheck: false,
  },
  files: ["program.mts", "program.mjs", "program.cjs"],
};

/** The script of a tool that is installed here, or undefined. */
function toolScript(name: string, command: string): string | undefined {
  const manifest = join(MODULES, name, "package.json");
  if (!existsSync(manifest)) return undefined;
  const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin: string | Record<string, string> };
  return join(MODULES, name, typeof bin === "string" ? bin : (bin[command] ?? ""));
}

describe("the packages as npm would publish them", () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "posthaste-packaging-"));
    const workspace = join(folder, "workspace");
    copyWorkspace(workspace);
    await succeeds(npm(["run", "build", "--workspaces"], workspace));
    await succeeds(npm(["pack", "--workspaces", "--pack-destination", folder], workspace));
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const { name } of MANIFESTS.filter((each) => each.name in PROGRAMS)) {
    test(`${name} works from TypeScript, from an ES module and through require()`, async (t) => {
      const program = PROGRAMS[name];
      assert.ok(program !== undefined);
      const project = await emptyProject(name, t);
      if (project === undefined) return;
      const esm = programText(program, "esm");
      await writeFile(join(project, "program.mts"), esm.replace("main()", "main(): Promise<void>"));
      await writeFile(join(project, "program.mjs"), esm);
      await writeFile(join(project, "program.cjs"), programText(program, "commonjs"));
      for (const file of STRANGERS_TSCONFIG.files)
        assert.equal(await succeeds(node([file], project)), `${program.prints}\n`, file);
      await writeFile(join(project, "tsconfig.json"), JSON.stringify(STRANGERS_TSCONFIG));
      await succeeds(node([join(MODULES, "typescript/bin/tsc"), "--project", "."], project));
    });
  }

  test("@posthaste/cli brings the command posthaste, which sends", async (t) => {
    const project = await emptyProject("@posthaste/cli", t);
    if (project === undefined) return;
    await using inbox = await createInbox();
    const settings = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(inbox.smtpPort) };
    const command = ["exec", "--offline", "--", "posthaste", "sendtestemail", "lee@example.com"];
    assert.match(await succeeds(npm(command, project, settings)), /^accepted {2}lee@example\.com {2}250 /);
    assert.deepEqual(
      inbox.messages().map(({ envelope }) => envelope.forwardPaths),
      [["lee@example.com"]],
    );
  });

  for (const { name, exports } of MANIFESTS) {
    test(`publint finds nothing in ${name}`, async (t) => {
      const script = toolScript("publint", "publint");
      if (script === undefined) return t.skip("publint is not installed");
      await succeeds(node([script, "run", tarballOf(name), "--strict"], folder));
    });

    test(`attw finds no wrong type in ${name}`, async (t) => {
      assert.ok(exports !== undefined, "a package without exports opens every file to everyone");
      const script = toolScript("@arethetypeswrong/cli", "attw");
      if (script === undefined) return t.skip("@arethetypeswrong/cli is not installed");
      await succeeds(node([script, tarballOf(name), "--profile", "esm-only"], folder));
    });
  }
});
