/** Runs a scene: its server, the proxy in front of it, and its contenders in turn. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import { median } from "../measure.ts";
import type { Figures, Task } from "./contender.ts";
import type { Scene } from "./line.ts";
import { FROM, SUBJECT, TEXT, TO } from "./message.ts";
import { run, runSource, serve, type Server } from "./program.ts";
import { record, writeRecording } from "./recording.ts";
import { postfixProgram, startChunkingSink, startSink } from "./sink.ts";

/** Flights that the raw socket replays again and again. */
const RECORDED = 100;
const PYTHON = ["python3", "/usr/bin/python3"].find(
  (python) => spawnSync(python, ["-c", "import django"]).status === 0,
);

/** Why somebody cannot be measured on this machine; undefined where nothing is missing. */
export function missing(contender: string): string | undefined {
  if (contender === "django" && PYTHON === undefined) return "python3-django is not installed";
  if (contender === "smtp-source" && postfixProgram("smtp-source") === undefined) return "Postfix is not installed";
  return undefined;
}

/** A folder of this run, gone when the process is. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "posthaste-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What each contender took in each round. */
export type Rounds = ReadonlyMap<string, readonly Figures[]>;

/** Runs those of the scene's contenders that are wanted, in alternating rounds. */
export async function runScene(
  scene: Scene,
  contenders: readonly string[],
  folder: string,
  progress: (text: string) => void,
): Promise<Rounds> {
  const { servers, port, environment } = await open(scene, folder);
  const figures = new Map<string, Figures[]>(contenders.map((name) => [name, []]));
  try {
    const path = join(folder, "recording.json");
    if (contenders.includes("raw")) writeRecording(path, await record(port, (to) => measure("rendered", sample(to))));
    for (let round = 1; round <= scene.rounds; round++) {
      for (const name of contenders) {
        progress(`${scene.title}: round ${round} of ${scene.rounds}, ${name}`);
        const task = { port, path, count: scene.contenders[name] ?? 0, warmUp: scene.warmUp };
        figures.get(name)?.push(await measure(name, task, environment));
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  return figures;
}

/**
 * The median of the rounds' ratios: what stands side by side in a round met the same weather, which the medians of each
 * need not have.
 */
export function ratioOf(rounds: Rounds, own: string, peer: string, figure: keyof Figures): number | undefined {
  const ratios = (rounds.get(own) ?? []).flatMap((figures, round) => {
    const [ours, theirs] = [figures[figure], rounds.get(peer)?.[round]?.[figure]];
    return ours === undefined || theirs === undefined ? [] : ours / theirs;
  });
  return ratios.length === 0 ? undefined : median(ratios);
}

/** One more than is recorded: the last message's end of data is followed by nothing. */
function sample(port: number): Task {
  return { port, count: RECORDED + 1, warmUp: 0 };
}

/** The median of each figure. */
export function medians(list: readonly Figures[]): Figures {
  const cpu = list.flatMap((figures) => figures.cpu ?? []);
  return { perSecond: median(list.map(({ perSecond }) => perSecond)), ...(cpu.length > 0 && { cpu: median(cpu) }) };
}

interface OpenScene {
  readonly servers: readonly Server[];
  readonly port: number;
  readonly environment: NodeJS.ProcessEnv;
}

async function open({ server, roundTrip }: Scene, folder: string): Promise<OpenScene> {
  const certificate = server === "submission" ? await writeCertificate(folder) : undefined;
  const start = { sink: startSink, "chunking sink": startChunkingSink };
  const sink =
    certificate === undefined
      ? await start[server as keyof typeof start]()
      : await serve("submission-server.ts", certificate.cert, certificate.key);
  const proxy = roundTrip > 0 ? await serve("delaying-proxy.ts", String(sink.port), String(roundTrip)) : undefined;
  const port = (proxy ?? sink).port;
  const environment = certificate === undefined ? {} : submissionSettings(port, certificate.cert);
  return { servers: proxy === undefined ? [sink] : [proxy, sink], port, environment };
}

/** Django's settings for the submission server. */
function submissionSettings(port: number, authority: string): NodeJS.ProcessEnv {
  return {
    NODE_EXTRA_CA_CERTS: authority,
    EMAIL_HOST: "localhost",
    EMAIL_PORT: String(port),
    EMAIL_USE_TLS: "true",
    EMAIL_HOST_USER: "user",
    EMAIL_HOST_PASSWORD: "password",
  };
}

/** A certificate for localhost that is its own authority, made for this run. */
async function writeCertificate(folder: string): Promise<{ cert: string; key: string }> {
  const made = await generate([{ name: "commonName", value: "localhost" }], {
    keySize: 2048,
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
    ],
  });
  const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  writeFileSync(files.cert, made.cert);
  writeFileSync(files.key, made.private);
  return files;
}

/** One contender, once. */
async function measure(name: string, task: Task, environment: NodeJS.ProcessEnv = {}): Promise<Figures> {
  if (name === "smtp-source") return await measureSmtpSource(task);
  if (name !== "django") return await runSource("contender.ts", [name, JSON.stringify(task)], { environment });
  const script = join(import.meta.dirname, "django_mass_mail.py");
  const message = { subject: SUBJECT, text: TEXT, from: FROM, to: TO };
  return await run(PYTHON ?? "python3", [script, JSON.stringify({ ...task, ...message })]);
}

/** The whole run of the program, whose start is lost in it. */
async function measureSmtpSource({ port, count }: Task): Promise<Figures> {
  const program = postfixProgram("smtp-source") ?? "smtp-source";
  const addresses = ["-f", "from@example.com", "-t", "to@example.com"];
  const start = performance.now();
  await run(program, ["-d", "-s", "1", "-m", String(count), "-l", "2000", ...addresses, `127.0.0.1:${port}`]);
  return { perSecond: count / ((performance.now() - start) / 1e3) };
}
