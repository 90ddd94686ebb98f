import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { environment, inboxMessage, startService, temporaryFolder } from "./peer/posthaste.ts";
import { startSmtpPeer } from "./peer/smtp-peer.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

/** The code blocks of a language. */
function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, code = ""]) => code);
}

async function output(
  command: string,
  parameters: readonly string[],
  cwd: string,
  extra: NodeJS.ProcessEnv,
  until?: RegExp,
): Promise<string> {
  const child = spawn(command, parameters, { cwd, env: environment(extra), stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => {
    printed += chunk.toString();
    if (until?.test(printed) === true && !child.killed) child.kill("SIGINT");
  });
  child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  assert.equal(code, 0, printed);
  return printed;
}

const skip = spawnSync("curl", ["--version"]).status === 0 ? false : "curl is not installed";

const EVAL = ["--conditions=posthaste-source", "--no-warnings", "--input-type=module-typescript", "--eval"];

function runTypeScript(code: string, extra: NodeJS.ProcessEnv, until?: RegExp): Promise<string> {
  return output(process.execPath, [...EVAL, code], ROOT, extra, until);
}

for (const file of ["README.md", "README.ko.md", "packages/mail/README.md"]) {
  test(`the examples of ${file} run`, async () => {
    const examples = blocks(read(file), "ts");
    assert.equal(examples.length, 2);
    for (const code of examples) {
      await using peer = await startSmtpPeer();
      await runTypeScript(code, { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) });
      assert.ok(peer.messages.length > 0 || code.includes("memoryTransport"));
    }
  });
}

for (const file of ["README.md", "README.ko.md"]) {
  test(`the commands of ${file} sign up, activate and log in by JSON`, { skip }, async () => {
    await using folder = await temporaryFolder();
    await using service = await startService(folder.path);
    const script = blocks(read(file), "sh").find((code) => code.includes("curl")) ?? "";
    const printed = await output(
      "bash",
      ["-euc", script.replaceAll("http://127.0.0.1:8000", service.origin)],
      folder.path,
      {},
    );
    assert.match(printed, /"email":"kim@example\.com".*"is_active":true.*"token":"/s);
    assert.equal((await inboxMessage(service, "kim@example.com")).envelope.forwardPaths[0], "kim@example.com");
  });
}

test("the example of packages/outbox/README.md sends what was committed, and ends at SIGINT", async () => {
  await using folder = await temporaryFolder();
  await using peer = await startSmtpPeer();
  const [code = ""] = blocks(read("packages/outbox/README.md"), "ts");
  const here = code
    .replaceAll('"application.sqlite"', JSON.stringify(join(folder.path, "a.sqlite")))
    .replace("2525", String(peer.port));
  assert.match(await runTypeScript(here, {}, /"state":"accepted"/), /accepted: 1/);
  assert.equal(peer.messages.length, 1);
});

test("the example of packages/accounts/README.md answers", async () => {
  await using folder = await temporaryFolder();
  const [code = ""] = blocks(read("packages/accounts/README.md"), "ts");
  const here = code.replaceAll('"app.db"', JSON.stringify(join(folder.path, "app.db")));
  assert.equal(await runTypeScript(here, { POSTHASTE_KEYS: `k1:${"A".repeat(44)}` }), "200\n");
});

test("the Korean README is level with the English one", () => {
  const shape = (file: string): unknown => {
    const text = read(file);
    return [
      text.match(/^#+ /gm),
      text.match(/^\| /gm)?.length,
      text.match(/`[A-Z_]{4,}(?:…)?`/g)?.length,
      blocks(text, "sh"),
    ];
  };
  assert.deepEqual(shape("README.ko.md"), shape("README.md"));
});
