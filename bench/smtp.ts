/** What sending costs: messages a second, CPU time and memory, against peers in the same run. */
import { writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Figures } from "./smtp/contender.ts";
import { type Line, LINES, SCENES, TITLES } from "./smtp/line.ts";
import type { Growth } from "./smtp/memory.ts";
import { runSource } from "./smtp/program.ts";
import { medians, missing, ratioOf, type Rounds, runScene, scratchFolder } from "./smtp/scene.ts";
import { SINK, startSink } from "./smtp/sink.ts";

const MANY = 1_000_000;
const MANY_LIMIT = 20;
const ATTACHMENT_MB = 100;
const ATTACHMENT_LIMIT = 40;
const NAMES = [...new Set(LINES.map(({ name }) => name)), "memory", "attachment"];

const USAGE = `Usage: npm run bench -- smtp [--only NAME,...] [--json]

  --only NAME,...  these lines only, of ${NAMES.join(", ")};
                   memory sends ${MANY.toLocaleString("en")} messages, which takes minutes
  --json           the rows and all medians as JSON
  --help           this text

Examples:
  npm run bench -- smtp
  npm run bench -- smtp --only raw,nodemailer
  npm run bench -- smtp --only memory --json`;

/** What the table says of one target. */
interface Row {
  readonly line: string;
  readonly what: string;
  /** Undefined where the peer is missing on this machine. */
  readonly measured?: string;
  readonly target: string;
  readonly reached?: boolean;
  readonly detail: string;
}

const { only, json } = options();
const folder = scratchFolder();
const rows: Row[] = [];
const summary: Record<string, Record<string, Figures>> = {};

for (const [key, scene] of Object.entries(SCENES) as [keyof typeof SCENES, (typeof SCENES)[keyof typeof SCENES]][]) {
  const lines = LINES.filter((line) => line.scene === key && only.includes(line.name));
  if (lines.length === 0) continue;
  const wanted = new Set(lines.flatMap(({ own, peer }) => [own, peer, ...(own === "rendered" ? ["posthaste"] : [])]));
  const present = [...wanted].filter((name) => missing(name) === undefined);
  const rounds = await runScene(scene, present, folder, progress);
  const figures = new Map([...rounds].map(([name, list]) => [name, medians(list)]));
  summary[scene.title] = Object.fromEntries(figures);
  rows.push(...lines.map((line) => ratio(line, scene.title, figures, rounds)));
}
if (only.includes("memory")) rows.push(await memoryRow());
if (only.includes("attachment")) rows.push(await attachmentRow());
progress("");
print();

function options(): { readonly only: readonly string[]; readonly json: boolean } {
  try {
    const { values } = parseArgs({
      options: { only: { type: "string" }, json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const given = values.only?.split(",") ?? NAMES;
    const unknown = given.find((name) => !NAMES.includes(name));
    if (unknown !== undefined) throw new Error(`--only ${unknown}: no such line`);
    return { only: given, json: values.json ?? false };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}

function ratio(
  { name, own, peer, figure, target }: Line,
  title: string,
  figures: ReadonlyMap<string, Figures>,
  rounds: Rounds,
): Row {
  const isSpeed = figure === "perSecond";
  const unit = isSpeed ? "messages/s" : "µs of CPU a message";
  const row = {
    line: name,
    what: `${title}: ${TITLES[own]} to ${TITLES[peer]}, ${isSpeed ? "messages/s" : "CPU a message"}`,
    target: `${isSpeed ? "≥" : "≤"} ${times(target, target)}`,
  };
  const value = ratioOf(rounds, own, peer, figure);
  if (value === undefined) return { ...row, detail: missing(peer) ?? "not measured" };
  const [ours = Number.NaN, theirs = Number.NaN] = [figures.get(own)?.[figure], figures.get(peer)?.[figure]];
  return {
    ...row,
    measured: times(value, target),
    reached: isSpeed ? value >= target : value <= target,
    detail: `${amount(ours)} to ${amount(theirs)} ${unit}`,
  };
}

/** A part where the target is one, else a multiple. */
function times(value: number, target: number): string {
  if (target < 0.5) return `1/${(1 / value).toFixed(1).replace(/\.0$/, "")}`;
  return `${value.toFixed(2).replace(/\.?0+$/, "")}×`;
}

function amount(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

async function memoryRow(): Promise<Row> {
  const task = (port: number) => ({ port, count: MANY, warmUp: 0 });
  const { before, after, peak, live = Number.NaN } = await growth("memory", task);
  const what = `${MANY.toLocaleString("en")} messages from a generator: growth from the 100,000th to the last`;
  const detail = `resident; ${megabytes(live)} MB of it alive; at most ${megabytes(peak - before)} MB in between`;
  return row("memory", what, after - before, MANY_LIMIT, detail);
}

async function attachmentRow(): Promise<Row> {
  const path = join(folder, "attachment.bin");
  const file = await open(path, "w");
  const piece = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => index * 31));
  for (let index = 0; index < ATTACHMENT_MB; index++) await file.write(piece);
  await file.close();
  const { before, peak } = await growth("attachment", (port) => ({ port, path, count: 1, warmUp: 0 }));
  const what = `an attachment of ${ATTACHMENT_MB} MB by path: peak over idle`;
  return row("attachment", what, peak - before, ATTACHMENT_LIMIT, `${megabytes(before)} MB when idle`);
}

async function growth(name: string, task: (port: number) => object): Promise<Growth> {
  progress(name);
  const sink = await startSink();
  try {
    const onLine = (line: string): void => {
      if (!line.startsWith("{")) progress(`${name}: ${line}`);
    };
    return await runSource<Growth>("contender.ts", [name, JSON.stringify(task(sink.port))], { onLine });
  } finally {
    await sink.stop();
  }
}

function row(line: string, what: string, octets: number, limit: number, detail: string): Row {
  const target = `< ${limit} MB`;
  return { line, what, measured: `${megabytes(octets)} MB`, target, reached: octets < limit * 1e6, detail };
}

function megabytes(octets: number): string {
  return (octets / 1e6).toFixed(1);
}

function progress(text: string): void {
  if (process.stderr.isTTY) writeSync(process.stderr.fd, `\r\u001b[K${text}`);
}

function print(): void {
  const machine = { date: new Date().toISOString().slice(0, 10), node: process.version, cores: availableParallelism() };
  if (json) return console.log(JSON.stringify({ ...machine, sink: SINK, rows, medians: summary }, null, 2));
  console.log(`${machine.date}, Node ${machine.node}, ${machine.cores} cores, to ${SINK}\n`);
  for (const { line, what, measured, target, reached, detail } of rows) {
    const mark = reached === undefined ? "–" : reached ? "✓" : "✗";
    console.log(`${mark} ${line.padEnd(12)} ${(measured ?? "").padStart(8)} ${target.padStart(8)}   ${what}`);
    console.log(`${" ".repeat(34)}${detail}`);
  }
  for (const [title, figures] of Object.entries(summary)) {
    console.log(`\n${title}`);
    for (const [name, { perSecond, cpu }] of Object.entries(figures)) {
      const time = cpu === undefined ? "" : `${amount(cpu).padStart(8)} µs of CPU a message`;
      console.log(`  ${(TITLES[name] ?? name).padEnd(40)} ${amount(perSecond).padStart(8)} messages/s ${time}`);
    }
  }
}
