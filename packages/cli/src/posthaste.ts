#!/usr/bin/env node
import { CommanderError } from "commander";
import { EXIT, report } from "./exit.ts";
import { createProgram } from "./program.ts";

const program = createProgram((code) => (process.exitCode = code));
for (const command of [program, ...program.commands]) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else process.exitCode = report(error);
}
