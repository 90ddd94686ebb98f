import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createConnection } from "node:net";
import { temporaryFolder } from "./posthaste.ts";

/** Postfix's test server, on a Unix socket; a server that nobody here wrote. */
export interface SmtpSink extends AsyncDisposable {
  /** Of its Unix socket. */
  readonly path: string;
  /** What it wrote down of each message, its commands' arguments among it. */
  dumps(): Promise<string[]>;
}

const PROGRAM = "smtp-sink";
const PATH = `${process.env.PATH ?? ""}:/usr/sbin`;

/** It does not run as root but when told so. */
const AS_ROOT = process.getuid?.() === 0 ? ["-u", "root"] : [];

/** Why a test that needs it is to be skipped, if it is. */
export const withoutSmtpSink: string | false =
  spawnSync(PROGRAM, { env: { PATH } }).error === undefined ? false : "smtp-sink is not installed";

export async function startSmtpSink(parameters: readonly string[] = []): Promise<SmtpSink> {
  const folder = await temporaryFolder();
  const path = join(folder.path, "socket");
  const child = spawn(PROGRAM, [...AS_ROOT, ...parameters, "-d", join(folder.path, "dump."), `unix:${path}`, "100"], {
    env: { PATH },
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  await untilItListens(path, child);
  return {
    path,
    async dumps() {
      const names = (await readdir(folder.path)).filter((name) => name.startsWith("dump."));
      return Promise.all(names.map((name) => readFile(join(folder.path, name), "latin1")));
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** It says nothing when it is ready. */
async function untilItListens(path: string, child: { readonly exitCode: number | null }): Promise<void> {
  for (;;) {
    const socket = createConnection(path);
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    if (child.exitCode !== null) throw new Error(`${PROGRAM} ended with ${child.exitCode}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
