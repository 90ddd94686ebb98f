import { EXIT } from "../exit.ts";
import type { MailingCounts } from "./journal.ts";

/** How a mailing ended. */
export interface Ending {
  readonly counts: MailingCounts;
  readonly rows: number;
  /** Undefined where it could not be written. */
  readonly reportPath: string | undefined;
  readonly isStopped: boolean;
  /** Something but the verdicts went wrong. */
  readonly hasFailed: boolean;
  /** Nothing is known of anybody, and there is no journal any more. */
  readonly isDiscarded: boolean;
}

/** `1 row`, `2 rows`. */
export function rowsText(count: number): string {
  return count === 1 ? "1 row" : `${count} rows`;
}

/** What the process answers its caller with: of the whole mailing, earlier runs included. */
export function exitCode({ counts, rows, reportPath, isStopped, hasFailed }: Ending): number {
  const { accepted, partial, untried } = counts;
  if (isStopped && untried > 0) return EXIT.stopped;
  if (accepted === rows) return hasFailed || reportPath === undefined ? EXIT.trouble : EXIT.ok;
  return accepted + partial === 0 ? EXIT.failure : EXIT.partial;
}

/** Prints the counts, where the report is, and how to go on. */
export function summarize(ending: Ending, json: boolean): void {
  const { counts, rows, reportPath, isStopped } = ending;
  const { repeated, ...kinds } = counts;
  if (json) {
    console.log(JSON.stringify({ rows, ...counts, stopped: isStopped, report: reportPath ?? null }));
    return;
  }
  const said = Object.entries(kinds).filter(([, count]) => count > 0);
  console.log(`${rowsText(rows)}: ${said.map(([kind, count]) => `${count} ${WORDS[kind] ?? kind}`).join(", ")}`);
  if (repeated > 0) console.log(`${rowsText(repeated)} may have arrived twice; the report names them`);
  if (reportPath !== undefined) console.log(`The report is ${reportPath}`);
  const next = nextStep(ending);
  if (next !== undefined) console.log(next);
}

function nextStep({ counts, isStopped, isDiscarded }: Ending): string | undefined {
  if (isDiscarded) return "Nothing was sent, so there is nothing to go on with: the next command begins anew.";
  if (isStopped && counts.untried > 0) return "Stopped. The same command with --resume goes on.";
  const { untried, deferred, partial, unknown, error } = counts;
  if (untried + deferred + partial + unknown + error === 0) return undefined;
  return "The same command with --resume tries the rows that are neither accepted nor refused.";
}

const WORDS: Readonly<Record<string, string>> = {
  partial: "accepted for some recipients",
  error: "without a message",
  untried: "not tried",
};
