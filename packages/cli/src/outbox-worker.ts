import { Worker } from "node:worker_threads";
import type { WorkerEvent } from "@posthaste/outbox";
import type { OutboxThreadData, OutboxThreadMessage } from "./outbox-thread.ts";

/** The thread that empties the outbox. */
export interface OutboxWorker {
  /** There is mail. */
  wake(): void;
  /** Finishes what is in flight and gives back the rest. */
  stop(): Promise<void>;
}

/** After a fault that ended the thread, in milliseconds. */
const RESTART_DELAY = 1_000;

/** Sources run as they are, and so does the thread's. */
const THREAD = new URL(`./outbox-thread${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

/**
 * Starts the thread, and starts it anew should it end by a fault: mail must not stop for good while sign-ups go on.
 *
 * @param onFault is told why.
 */
export function startOutboxWorker(
  data: OutboxThreadData,
  onEvent: (event: WorkerEvent) => void,
  onFault: (error: unknown) => void,
): OutboxWorker {
  let stopping = false;
  let restart: NodeJS.Timeout | undefined;
  let thread = start();

  function start(): Worker {
    const started = new Worker(THREAD, { workerData: data });
    started.on("message", onEvent);
    started.on("error", (error) => {
      onFault(error);
      if (!stopping) restart = setTimeout(() => (thread = start()), RESTART_DELAY);
    });
    return started;
  }

  const tell = (message: OutboxThreadMessage): void => thread.postMessage(message);
  return {
    wake: () => tell("wake"),
    async stop() {
      stopping = true;
      clearTimeout(restart);
      if (thread.threadId === -1) return;
      const ended = new Promise((resolve) => thread.once("exit", resolve));
      tell("stop");
      await ended;
    },
  };
}
