/** A process: one contender, measured by itself, so that neither heap nor CPU time mix. Its last line is JSON. */
/** What a contender is to do. */
export interface Task {
  readonly port: number;
  readonly count: number;
  /** For so long it sends before it is measured, on the same connection, in milliseconds. */
  readonly warmUp: number;
  /** Of the raw socket: the recording. Of the attachment: the file. */
  readonly path?: string;
}

/** What it took. */
export interface Figures {
  readonly perSecond: number;
  /** Microseconds of CPU time of the contender's process a message; undefined where they are not known. */
  readonly cpu?: number;
}

export interface Sender {
  /** Sends so many messages. Throws unless every one is accepted. */
  send(count: number): Promise<void>;
  close(): void | Promise<void>;
}

/** Each is loaded where it runs, so that its process holds nothing else. */
const SENDERS: Readonly<Record<string, (task: Task) => Promise<Sender>>> = {
  raw: async ({ port, path = "" }) => (await import("./raw-socket.ts")).rawSocket(port, path),
  rendered: async ({ port }) => (await import("./posthaste.ts")).posthasteRendered(port),
  posthaste: async ({ port }) => (await import("./posthaste.ts")).posthaste(port),
  window: async ({ port }) => (await import("./posthaste.ts")).posthaste(port, { bdatWindow: 16 }),
  nodemailer: async ({ port }) => (await import("./peers.ts")).nodemailerPool(port),
  upyo: async ({ port }) => (await import("./peers.ts")).upyo(port),
  "send-mass-mail": async () => (await import("./send-mail.ts")).massMail(),
  "send-mail": async () => (await import("./send-mail.ts")).singleMails(),
};

const WARM_UP_PARTS = 20;

/** No collection in between: it would throw away what the engine compiled for objects of which there are none just then. */
async function measured(sender: Sender, { warmUp, count }: Task): Promise<Figures> {
  const warmUpEnd = performance.now() + warmUp;
  while (performance.now() < warmUpEnd) await sender.send(Math.ceil(count / WARM_UP_PARTS));
  const start = performance.now();
  const before = process.cpuUsage();
  await sender.send(count);
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - start) / 1e3;
  await sender.close();
  return { perSecond: count / seconds, cpu: (user + system) / count };
}

async function main(name: string, task: Task): Promise<unknown> {
  if (name === "memory") return await (await import("./memory.ts")).growthOverMany(task.port, task.count);
  if (name === "attachment") return await (await import("./memory.ts")).largeAttachment(task.port, task.path ?? "");
  const open = SENDERS[name];
  if (open === undefined) throw new Error(`${name}: no such contender`);
  return await measured(await open(task), task);
}

const [name = "", task = "{}"] = process.argv.slice(2);
console.log(JSON.stringify(await main(name, JSON.parse(task) as Task)));
