import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

const PACKAGE = new URL("../", import.meta.url);

test("the example of the README runs and passes", async () => {
  const readme = await readFile(new URL("README.md", PACKAGE), "utf8");
  const example = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1] ?? "";
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const flags = ["--conditions=posthaste-source", "--test-reporter=tap", "--input-type=module-typescript"];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--eval", example], { cwd: PACKAGE, env });
  assert.match(stdout, /^# pass 1$/m);
});
