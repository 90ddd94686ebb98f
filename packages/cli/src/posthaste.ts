#!/usr/bin/env node
import { CommanderError } from "commander";
import { EXIT, report } from "./exit.ts";
import { createProgram } from "./program.ts";

// Whoever read what is printed may be gone (`| head -1`), or the disk behind it full. Mail that is under way goes on, and
// the exit code says what came of it.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

const program = createProgram((code) => (process.exitCode = code));
for (const command of [program, ...program.commands]) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else process.exitCode = report(error);
}
