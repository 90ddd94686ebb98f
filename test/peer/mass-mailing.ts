import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "csv-parse/sync";
import { type Ended, environment } from "./posthaste.ts";

const COMMAND = join(import.meta.dirname, "../../packages/cli/src/posthaste.ts");

/** A `posthaste send-mass` that runs. */
export interface MassMailing extends AsyncDisposable {
  readonly pid: number;
  /** How it ended; the code is null where a signal ended it. */
  readonly ended: Promise<Ended>;
  /** Sends the signal, and resolves when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
}

/** Starts one in the folder. */
export function startMassMailing(parameters: readonly string[], cwd: string, extra: NodeJS.ProcessEnv): MassMailing {
  const child = spawn(process.execPath, ["--conditions=posthaste-source", COMMAND, "send-mass", ...parameters], {
    cwd,
    env: environment(extra),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const printed = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (printed.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (printed.stderr += chunk.toString()));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, ...printed }));
  const kill = (signal: NodeJS.Signals): Promise<Ended> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  return {
    pid: child.pid ?? 0,
    ended,
    kill,
    [Symbol.asyncDispose]: async () => void (await kill("SIGKILL")),
  };
}

/** One line of a report. */
export interface ReportLine {
  readonly row: string;
  readonly line: string;
  readonly message_id: string;
  readonly address: string;
  readonly status: string;
  readonly code: string;
  readonly enhanced: string;
  readonly text: string;
  readonly may_have_arrived_twice: string;
}

export async function readReport(path: string): Promise<ReportLine[]> {
  return parse(await readFile(path), { columns: true });
}

/** The Message-ID of a message as it arrived. */
export function messageIdOf(content: string): string {
  return /^Message-ID: (\S+)/im.exec(content)?.[1] ?? "";
}
