import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "../peer/posthaste.ts";

const exec = promisify(execFile);

/** Where distributions keep daemons, which an ordinary user's PATH leaves out. */
const DAEMON_FOLDERS = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/** The program that an environment variable names, or else the first of the names that is in PATH. */
export function findProgram(variable: string, ...names: readonly string[]): string | undefined {
  const named = process.env[variable];
  if (named !== undefined && named !== "") return named;
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...DAEMON_FOLDERS];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const isRoot = process.getuid?.() === 0;

/** Runs a program to its end. @throws with what it printed when it fails. */
export async function runProgram(program: string, ...parameters: readonly string[]): Promise<Buffer> {
  const { stdout } = await exec(program, parameters, { encoding: "buffer", maxBuffer: 256 * 1024 * 1024 });
  return stdout;
}

/** Runs a program that leaves a daemon behind, which must not hold on to this process's pipes. */
export async function startDaemon(program: string, ...parameters: readonly string[]): Promise<void> {
  const child = spawn(program, parameters, { stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`${program} ${parameters.join(" ")} ended with ${code ?? "a signal"}`);
}

/** The number of a user or group of this system, or undefined where there is none. */
export async function userId(name: string, kind: "-u" | "-g"): Promise<number | undefined> {
  return await runProgram("id", kind, name).then(Number, () => undefined);
}

/** A loopback port that was free a moment ago, for daemons that cannot choose one by themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Resolves when a server greets on the port. */
export async function untilItGreets(port: number): Promise<void> {
  await eventually(async () => {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "data", { signal: AbortSignal.timeout(1_000) });
      return true;
    } catch {
      return undefined;
    } finally {
      socket.destroy();
    }
  }, `a greeting on port ${port}`);
}
