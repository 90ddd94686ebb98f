/** The processes of this bench: servers, which run until they are stopped, and tasks, which run to their end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A server in a process of its own, on a port of 127.0.0.1. */
export interface Server {
  readonly port: number;
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();
process.on("exit", stopAll);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

function stopAll(): void {
  for (const child of running) child.kill();
}

function started(command: string, parameters: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(command, parameters, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  running.add(child);
  child.once("close", () => running.delete(child));
  return child;
}

/** The parameters that run one of the files beside this one. */
function source(file: string): string[] {
  return ["--conditions=posthaste-source", "--expose-gc", join(import.meta.dirname, file)];
}

/** Starts one of the files beside this one; its first line is its port, and it ends with its standard input. */
export async function serve(file: string, ...parameters: readonly string[]): Promise<Server> {
  const child = started(process.execPath, [...source(file), ...parameters]);
  const [line] = (await Promise.race([
    once(createInterface(child.stdout!), "line"),
    once(child, "close").then(() => Promise.reject(new Error(`${file} ended before it listened`))),
  ])) as [string];
  return { port: Number(line), stop: () => stop(child) };
}

/** Starts a program that must be told its port. */
export async function serveProgram(command: string, parameters: (port: number) => string[]): Promise<Server> {
  const port = await freePort();
  const child = started(command, parameters(port));
  while (!(await answers(port))) {
    if (child.exitCode !== null) throw new Error(`${command} ended before it listened`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { port, stop: () => stop(child) };
}

/** Runs a program to its end. @returns its last line as JSON; the lines before go to `onLine`. */
export async function run<Result>(
  command: string,
  parameters: readonly string[],
  { environment, onLine }: { environment?: NodeJS.ProcessEnv; onLine?: (line: string) => void } = {},
): Promise<Result> {
  const child = started(command, parameters, environment);
  const closed = once(child, "close");
  let last = "null";
  for await (const line of createInterface(child.stdout!)) {
    onLine?.(line);
    last = line;
  }
  const [code] = (await closed) as [number | null];
  if (code !== 0) throw new Error(`${command} ${parameters.join(" ")} ended with ${code ?? "a signal"}`);
  return JSON.parse(last) as Result;
}

/** Runs one of the files beside this one to its end, as {@link run}. */
export async function runSource<Result>(
  file: string,
  parameters: readonly string[],
  options?: Parameters<typeof run>[2],
): Promise<Result> {
  return await run<Result>(process.execPath, [...source(file), ...parameters], options);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill();
  await closed;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return await new Promise((resolve) => {
    socket.once("data", () => resolve(true)).once("error", () => resolve(false));
  }).then((answered) => {
    socket.destroy();
    return answered as boolean;
  });
}
