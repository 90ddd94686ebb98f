import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { environment } from "../../../../test/peer/posthaste.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { resolveOptions } from "../smtp/client/options.ts";

const ROOT = join(import.meta.dirname, "../../../..");
const page = readFileSync(join(ROOT, "docs/smtp.md"), "utf8");
const FLAGS = ["--conditions=posthaste-source", "--no-warnings", "--input-type=module-typescript", "--eval"];

test("every example of docs/smtp.md runs, and says what it says", async () => {
  const blocks = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""]) => code);
  const printed = await Promise.all(
    blocks.map(async (code) => {
      await using peer = await startSmtpPeer({ authOptional: true });
      const [host, port] = ["127.0.0.1", String(peer.port)];
      const extra = { MAIL_HOST: host, MAIL_PORT: port, EMAIL_HOST: host, EMAIL_PORT: port, MAIL_PASSWORD: "secret" };
      const child = spawn(process.execPath, [...FLAGS, code], { cwd: ROOT, env: environment(extra) });
      const output = Promise.all([text(child.stdout), text(child.stderr)]);
      const [status] = (await once(child, "close")) as [number | null];
      assert.equal(status, 0, (await output).join("\n"));
      return (await output).join("");
    }),
  );
  assert.equal(printed.length, 3);
  assert.match(printed[0] ?? "", /^0 accepted .*\n1 accepted /);
  assert.match(printed[1] ?? "", /envelopeId: 'invoice-7'/);
  assert.match(printed[2] ?? "", /^\d+ open .*C: MAIL FROM:<from@example\.com>.*ended/s);
});

test("the table of options has each option, and none that there is not", () => {
  const table = page.slice(page.indexOf("| option |"), page.indexOf("## Schedules"));
  const rows = [...table.matchAll(/^\| (`[^|]+?`) +\|/gm)].map(([, names = ""]) => names);
  const named = new Set(rows.flatMap((row) => row.replaceAll("`", "").split(", ")));
  const resolved = Object.keys(resolveOptions({ host: "mail.example.com" }));
  const ours: Record<string, string> = { schedule: "pipelining", clearAuth: "" };
  for (const name of resolved.map((key) => ours[key] ?? key))
    assert.ok(name === "" || [...named].some((each) => each === name || each.startsWith(`${name}.`)), name);
  for (const name of named)
    assert.ok(name.startsWith("timeouts.") || resolved.includes(name) || name === "pipelining", name);
});
