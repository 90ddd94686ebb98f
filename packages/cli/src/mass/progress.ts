import type { RowOutcome } from "./mailing.ts";

/** Shows how far a mailing is. */
export interface Progress {
  /** Counts a row. */
  row(outcome: RowOutcome): void;
  /** Prints a line above the bar. */
  readonly say: (line: string) => void;
  /** Takes the bar away, or prints where it ended. */
  stop(): void;
}

/** What a line of progress says. */
export interface ProgressState {
  readonly rows: number;
  /** Rows that came to their end, now or in an earlier run. */
  readonly ended: number;
  readonly accepted: number;
  /** Rows of this run that were not accepted by everyone. */
  readonly failed: number;
  /** Rows a second; 0 where nothing is known yet. */
  readonly rate: number;
}

/** On a terminal, in milliseconds. */
const REDRAW = 200;
/** Elsewhere. */
const LINE_INTERVAL = 5000;
/** The rate is that of so many milliseconds. */
const WINDOW = 10_000;
const BAR_WIDTH = 24;
const USUAL_WIDTH = 80;

/** Shows it on a terminal as a bar, elsewhere as a line every five seconds. */
export function startProgress(rows: number, output: NodeJS.WriteStream = process.stderr): Progress {
  const isTerminal = output.isTTY;
  const count = { rows, ended: 0, accepted: 0, failed: 0 };
  const rate = slidingRate();
  let tried = 0;
  const line = (): string => progressLine({ ...count, rate: rate(tried) }, isTerminal ? widthOf(output) : undefined);
  const draw = (): void => void output.write(isTerminal ? `\r\x1b[K${line()}` : `${line()}\n`);
  const timer = setInterval(draw, isTerminal ? REDRAW : LINE_INTERVAL).unref();
  return {
    row(outcome) {
      count.ended++;
      if (outcome !== "done") tried++;
      if (outcome === "accepted") count.accepted++;
      else if (outcome !== "done") count.failed++;
    },
    say: (text) => void output.write(isTerminal ? `\r\x1b[K${text}\n${line()}` : `${text}\n`),
    stop() {
      clearInterval(timer);
      if (isTerminal) output.write("\r\x1b[K");
    },
  };
}

/** Some terminals say that they have no columns, such as those of containers before somebody looks at them. */
function widthOf({ columns }: NodeJS.WriteStream): number {
  return columns > 0 ? columns : USUAL_WIDTH;
}

/** One line; with the width of a terminal it begins with a bar where there is room, and never breaks. */
export function progressLine({ rows, ended, accepted, failed, rate }: ProgressState, width?: number): string {
  const share = rows === 0 ? 1 : Math.min(1, ended / rows);
  const parts = [`${Math.floor(share * 100)} %`, `${ended} of ${rows} rows`, `${accepted} accepted`, `${failed} not`];
  if (rate > 0)
    parts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s`, `${duration((rows - ended) / rate)} left`);
  const text = parts.join(", ");
  if (width === undefined) return text;
  const full = Math.round(share * BAR_WIDTH);
  const bar = `[${"#".repeat(full)}${"-".repeat(BAR_WIDTH - full)}] `;
  return (bar.length + text.length < width ? bar + text : text).slice(0, Math.max(0, width - 1));
}

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The growth of a number per second, over the last seconds. */
function slidingRate(): (value: number) => number {
  const samples = [{ at: performance.now(), value: 0 }];
  return (value) => {
    const at = performance.now();
    samples.push({ at, value });
    while (samples.length > 2 && at - (samples[1]?.at ?? at) > WINDOW) samples.shift();
    const first = samples[0] ?? { at, value };
    return at === first.at ? 0 : ((value - first.value) * 1000) / (at - first.at);
  };
}
