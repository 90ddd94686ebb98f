import { constants } from "node:os";

/** npm passes the terminal's Ctrl-C on, so that one press arrives twice; in milliseconds. */
const SAME_PRESS = 500;

/**
 * Resolves at the first SIGINT, SIGTERM or, from a terminal that is gone, SIGHUP. A second SIGINT or SIGTERM ends the
 * process at once, as somebody who presses Ctrl-C again expects. To be called before anything says that it runs: who
 * reads that may send the signal at once.
 */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    let stoppedAt = 0;
    const onSignal = (signal: "SIGINT" | "SIGTERM"): void => {
      if (stoppedAt === 0) {
        stoppedAt = Date.now();
        resolve();
      } else if (Date.now() - stoppedAt > SAME_PRESS) process.exit(128 + constants.signals[signal]);
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
    process.on("SIGHUP", () => {
      if (stoppedAt === 0) onSignal("SIGTERM");
    });
  });
}
