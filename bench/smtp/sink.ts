/** The servers that the messages go to: each takes everything and keeps nothing. */
import { existsSync } from "node:fs";
import { serve, type Server, serveProgram } from "./program.ts";

/** Where distributions put the test programs that ship with Postfix. */
const FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/opt/homebrew/sbin"];

/** The path of `smtp-sink` or `smtp-source`, where Postfix is installed. */
export function postfixProgram(name: "smtp-sink" | "smtp-source"): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${name}`).find(existsSync);
}

/** What {@link startSink} starts. */
export const SINK = postfixProgram("smtp-sink") === undefined ? "the sink of this bench" : "Postfix's smtp-sink";

/** Postfix's sink, else the one of this bench. */
export async function startSink(): Promise<Server> {
  const program = postfixProgram("smtp-sink");
  if (program === undefined) return await startChunkingSink();
  // It does not run for root.
  const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  return await serveProgram(program, (port) => [...user, `127.0.0.1:${port}`, "64"]);
}

/** The sink of this bench, which offers CHUNKING; Postfix's does not. */
export async function startChunkingSink(): Promise<Server> {
  return await serve("chunking-sink.ts");
}
