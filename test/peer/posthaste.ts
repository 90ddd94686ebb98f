import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const COMMAND = join(ROOT, "packages/cli/src/posthaste.ts");

/** A folder of the test's own. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "posthaste-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The environment of a run: nothing of this process's mail settings. */
export function environment(extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const clean = Object.entries(process.env).filter(
    ([name]) =>
      !/^(EMAIL_|DEFAULT_FROM|POSTHASTE_|PORT$|HOST$|DATABASE_URL|PUBLIC_URL|INBOX_|NODE_ENV|NODE_TEST)/.test(name),
  );
  return { ...Object.fromEntries(clean), ...extra };
}

function start(script: string, parameters: readonly string[], cwd: string, extra: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, ["--conditions=posthaste-source", script, ...parameters], {
    cwd,
    env: environment(extra),
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** What a command printed, and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script of the repository to its end. */
export async function run(
  script: string,
  parameters: readonly string[],
  cwd: string,
  extra: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const child = start(join(ROOT, script), parameters, cwd, extra);
  const printed = collect(child);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: printed.stdout, stderr: printed.stderr };
}

/** Runs the command `posthaste` to its end. */
export function posthaste(parameters: readonly string[], cwd: string, extra: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return run("packages/cli/src/posthaste.ts", parameters, cwd, extra);
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const printed = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => (printed.stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (printed.stderr += chunk.toString()));
  return printed;
}

/** A service that runs. */
export interface Service extends AsyncDisposable {
  readonly origin: string;
  /** Of the development inbox; undefined without one. */
  readonly smtpPort: number | undefined;
  readonly printed: { readonly stdout: string; readonly stderr: string };
  /** Sends the signal and resolves with the exit code, null where the signal ended it. */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts `posthaste serve` on ports that the system chooses, and waits until it listens. */
export async function startService(cwd: string, extra: NodeJS.ProcessEnv = {}, command = "serve"): Promise<Service> {
  const child = start(COMMAND, [command, "--port", "0", "--inbox-smtp-port", "0"], cwd, extra);
  const printed = collect(child);
  const ended = once(child, "close") as Promise<[number | null]>;
  while (!printed.stdout.includes("Ctrl-C")) {
    const [event] = await Promise.race([once(child.stdout!, "data"), ended.then(() => ["ended"])]);
    if (event === "ended") throw new Error(`the service ended: ${printed.stderr}`);
  }
  const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return (await ended)[0];
  };
  return {
    origin: /http:\/\/[\d.]+:\d+/.exec(printed.stdout)?.[0] ?? "",
    smtpPort: Number(/(?:SMTP on 127\.0\.0\.1:|EMAIL_PORT=)(\d+)/.exec(printed.stdout)?.[1]) || undefined,
    printed,
    stop,
    [Symbol.asyncDispose]: async () => void (await stop("SIGKILL")),
  };
}

/** A mail as the inbox's API shows it. */
export interface ApiMessage {
  readonly id: string;
  readonly subject: string;
  readonly text: string;
  readonly links: readonly string[];
  readonly session: string;
  readonly envelope: { readonly reversePath: string; readonly forwardPaths: readonly string[] };
}

/** How often a test looks whether something has come true that no event announces, and for how long; in milliseconds. */
const INTERVAL = 50;
const PATIENCE = 20_000;

/** Resolves with the first result that is not undefined. */
export async function eventually<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}

/** The newest mail of the inbox that matches, once there is one. */
export function inboxMessage(service: Service, query: string): Promise<ApiMessage> {
  return eventually(async () => {
    const response = await fetch(`${service.origin}/inbox/api/messages/latest?query=${encodeURIComponent(query)}`);
    return response.ok ? ((await response.json()) as ApiMessage) : undefined;
  }, `mail for ${query}`);
}
