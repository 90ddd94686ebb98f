import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describeInterop, type InteropServer, type StoredMessage } from "./exchange.ts";

/** The first Python that has it; the one in PATH need not be the distribution's. */
const PYTHON = [process.env.POSTHASTE_PYTHON ?? "", "python3", "/usr/bin/python3"].find(
  (python) => python !== "" && spawnSync(python, ["-c", "import aiosmtpd"]).status === 0,
);

async function startAiosmtpd(): Promise<InteropServer> {
  const child = spawn(PYTHON ?? "", [join(import.meta.dirname, "aiosmtpd_peer.py")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const port = Number((await lines.next()).value);
  return {
    port,
    async takeStored() {
      const stored: StoredMessage[] = [];
      child.stdin.write("\n");
      for (let line = (await lines.next()).value; line; line = (await lines.next()).value) {
        const message = JSON.parse(line) as Omit<StoredMessage, "content"> & { content: string };
        stored.push({ ...message, content: Buffer.from(message.content, "base64") });
      }
      return stored;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}

describeInterop({
  name: "aiosmtpd",
  missing:
    PYTHON === undefined
      ? "aiosmtpd is not installed: apt-get install python3-aiosmtpd, or name a Python that has it in POSTHASTE_PYTHON"
      : undefined,
  chunking: false,
  start: startAiosmtpd,
});
