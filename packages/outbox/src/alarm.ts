/** What the worker waits by. */
export interface Alarm {
  /** Ends the current sleep, or the next one at once. */
  wake(): void;
  /** Resolves after so many milliseconds, at a wake(), or when the worker is stopped. */
  sleep(milliseconds: number): Promise<void>;
  /** As sleep, but wake() does not end it. */
  pause(milliseconds: number): Promise<void>;
}

/** An alarm that the signal silences for good. */
export function createAlarm(stopped: AbortSignal): Alarm {
  let woken = false;
  let endSleep: (() => void) | undefined;

  const wait = (milliseconds: number, starting: (end: () => void) => void): Promise<void> =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        stopped.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, stopped.aborted ? 0 : milliseconds);
      stopped.addEventListener("abort", end);
      starting(end);
    });

  return {
    wake() {
      woken = true;
      endSleep?.();
    },
    async sleep(milliseconds) {
      if (!woken) await wait(milliseconds, (end) => (endSleep = end));
      woken = false;
      endSleep = undefined;
    },
    pause: (milliseconds) => wait(milliseconds, () => undefined),
  };
}
