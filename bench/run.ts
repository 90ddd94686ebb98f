/** `npm run bench -- NAME`: sets the folder up where that is needed, and runs one of its files. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What stands in a folder of its own is part of the bench of that name. */
const PARTS = ["run", "measure"];
const names = readdirSync(import.meta.dirname)
  .flatMap((file) => /^(.+)\.ts$/.exec(file)?.[1] ?? [])
  .filter((name) => !PARTS.includes(name));
const [name = "", ...parameters] = process.argv.slice(2);

if (!names.includes(name)) {
  console.error(`usage: npm run bench -- NAME, where NAME is one of ${names.join(", ")}`);
  process.exit(2);
}
if (!existsSync(join(import.meta.dirname, "node_modules"))) run("npm", ["ci"]);
run(process.execPath, [
  "--conditions=posthaste-source",
  "--expose-gc",
  join(import.meta.dirname, `${name}.ts`),
  ...parameters,
]);

function run(command: string, given: readonly string[]): void {
  const { status } = spawnSync(command, given, { cwd: import.meta.dirname, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
