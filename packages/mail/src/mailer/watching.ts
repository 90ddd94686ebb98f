import type { Receipt } from "../delivery.ts";
import type { Observer } from "./mailer-options.ts";

/** How far a series of messages has come. */
export interface Progress {
  /** Messages that at least one recipient's server accepted. */
  readonly accepted: number;
  /** Messages that were refused for good. */
  readonly refused: number;
  /** Messages that a later attempt may bring through. */
  readonly deferred: number;
  /** Messages that may have been accepted: the connection died between the end of data and its reply. */
  readonly unknown: number;
  /** How many there are in all, where the source knows: an array, Set or Map. */
  readonly total?: number;
}

/** An observer, and whether it failed before. */
export interface Watcher {
  readonly observe: Observer;
  failed: boolean;
}

export function watcher(observe: Observer): Watcher {
  return { observe, failed: false };
}

/**
 * Shows it the receipt. A promise is awaited, so that a slow observer slows the sending and does not fill the memory.
 * Its error must not end the sending, and must not pass unseen either.
 */
export async function watch(each: Watcher, receipt: Receipt): Promise<void> {
  try {
    await each.observe(receipt);
  } catch (error) {
    if (each.failed) return;
    each.failed = true;
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(`an observer of a mailer failed, and may fail again in silence: ${reason}`, {
      code: "POSTHASTE_OBSERVER",
    });
  }
}

/** An observer that counts. */
export function progressOf(source: object, onProgress: (progress: Progress) => void): Observer {
  const total = totalOf(source);
  const counts = { accepted: 0, refused: 0, deferred: 0, unknown: 0 };
  return ({ status }) => {
    counts[status === "partial" ? "accepted" : status]++;
    onProgress({ ...counts, ...(total !== undefined && { total }) });
  };
}

function totalOf(source: object): number | undefined {
  if (Array.isArray(source)) return source.length;
  return source instanceof Set || source instanceof Map ? source.size : undefined;
}
