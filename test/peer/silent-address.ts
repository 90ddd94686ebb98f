import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { SilentListener } from "./silent-listener.ts";

/** An address that answers nothing, as behind a firewall that drops what comes: a connection to it is not even refused. */
export interface SilentAddress extends AsyncDisposable {
  /** From here on it passes every octet on to the same port of 127.0.0.1, also of connections that repeat their SYN. */
  wake(): void;
}

/** Why a test that needs one is to be skipped, if it is. */
export const withoutSilentAddress: string | false =
  process.platform !== "linux" && "only Linux drops what a full backlog has no room for, and has all of 127.0.0.0/8";

/** As many connections as Linux completes for a backlog of 1 while nobody accepts them. */
const QUEUED = 2;

/**
 * Listens with the shortest queue, in a thread that sleeps, and fills the queue. The kernel drops what comes then.
 *
 * @param port where the server is that it stands in front of.
 */
export async function startSilentAddress(host: string, port: number): Promise<SilentAddress> {
  const workerData: SilentListener = { host, port, awake: new Int32Array(new SharedArrayBuffer(4)) };
  const thread = new Worker(join(import.meta.dirname, "silent-listener.ts"), { workerData });
  await once(thread, "message");
  const queued: Socket[] = [];
  const stop = async (): Promise<void> => {
    for (const socket of queued) socket.destroy();
    await thread.terminate();
  };
  for (let count = 0; count < QUEUED; count++) {
    const socket = connect(port, host).on("error", () => undefined);
    queued.push(socket);
    await once(socket, "connect");
  }
  return {
    wake() {
      workerData.awake[0] = 1;
      Atomics.notify(workerData.awake, 0);
    },
    [Symbol.asyncDispose]: stop,
  };
}
