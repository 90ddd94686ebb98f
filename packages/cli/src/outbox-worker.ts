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

/** How long the mail in flight may take to end once the service stops, in milliseconds. */
const STOP_GRACE = 20_000;

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
      // A server may owe its reply to the end of data for ten minutes. What is *committing* then is so durably, and the
      // next start settles it by the message's policy.
      const grace = setTimeout(() => void thread.terminate(), STOP_GRACE);
      await ended;
      clearTimeout(grace);
    },
  };
}
