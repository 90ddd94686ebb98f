/** What an SMTP client wrote, flight by flight: what left between one set of replies and the next. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";

/** Octets that left together, and how many lines of reply came before the next left. */
export interface Flight {
  readonly octets: Buffer;
  readonly lines: number;
}

/** A conversation on one connection, up to its last 354: content may follow. */
export interface Recording {
  readonly greetingLines: number;
  /** Up to the first 354. */
  readonly opening: readonly Flight[];
  /** From one 354 to a later one. */
  readonly cycle: readonly Flight[];
}

const LF = 0x0a;

/** Records what `client`, which is given a port, says to the server on another. */
export async function record(port: number, client: (port: number) => Promise<unknown>): Promise<Recording> {
  const flights: { octets: Buffer; lines: number }[] = [{ octets: Buffer.alloc(0), lines: 0 }];
  let connections = 0;
  const proxy = createServer({ noDelay: true }, (from) => {
    connections++;
    const to = connect({ port, host: "127.0.0.1", noDelay: true });
    from.on("data", (octets) => {
      const flight = flights.at(-1);
      if (flight === undefined || flight.lines > 0) flights.push({ octets, lines: 0 });
      else flight.octets = Buffer.concat([flight.octets, octets]);
    });
    to.on("data", (octets) => {
      const flight = flights.at(-1);
      if (flight !== undefined) flight.lines += countLines(octets);
    });
    // Whoever is written to may be gone already: QUIT is answered to nobody.
    from.on("error", () => to.destroy());
    to.on("error", () => from.destroy());
    from.pipe(to).pipe(from);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const address = proxy.address();
  await client(typeof address === "object" && address !== null ? address.port : 0);
  proxy.close();
  if (connections !== 1) throw new Error(`nothing to replay: the client made ${connections} connections`);
  return divided(flights);
}

function divided([greeting, ...flights]: readonly Flight[]): Recording {
  const first = flights.findIndex(endsInData);
  const last = flights.findLastIndex(endsInData);
  if (greeting === undefined || last <= first) throw new Error("nothing to replay: the client did not pipeline DATA");
  return {
    greetingLines: greeting.lines,
    opening: flights.slice(0, first + 1),
    cycle: flights.slice(first + 1, last + 1),
  };
}

/** Whether 354 is the answer: the next flight begins with content. */
export function endsInData({ octets }: Flight): boolean {
  return octets.subarray(-6).toString("latin1") === "DATA\r\n";
}

export function countLines(octets: Uint8Array): number {
  let lines = 0;
  for (let at = octets.indexOf(LF); at !== -1; at = octets.indexOf(LF, at + 1)) lines++;
  return lines;
}

export function writeRecording(path: string, recording: Recording): void {
  const plain = (flights: readonly Flight[]): unknown =>
    flights.map(({ octets, lines }) => ({ octets: octets.toString("latin1"), lines }));
  writeFileSync(
    path,
    JSON.stringify({ ...recording, opening: plain(recording.opening), cycle: plain(recording.cycle) }),
  );
}

export function readRecording(path: string): Recording {
  return JSON.parse(readFileSync(path, "utf8"), (name, value: unknown) =>
    name === "octets" ? Buffer.from(value as string, "latin1") : value,
  ) as Recording;
}
