/** What the client does with its socket: how it writes, that it goes on reading, and that it lets the process end. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { environment } from "../../../../test/peer/posthaste.ts";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { type AcceptedMessage, ServerSession } from "../../../../test/peer/server-session.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { DeliverableMessage, Receipt } from "../delivery.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

function letter(body: string, forwardPaths: readonly string[] = ["to@example.com"]): DeliverableMessage {
  const envelope = { reversePath: "from@example.com", forwardPaths };
  const content = Buffer.from(`Subject: x\r\n\r\n${body}\r\n`);
  return { messageId: "<1@example.com>", envelope: () => envelope, toBytes: () => content };
}

const statuses = (receipts: readonly Receipt[]): string[] => receipts.map(({ status }) => status);

/** What a write is made of: the verbs of its commands, and where there is content. */
function partsOf(octets: Buffer): string {
  const parts = octets
    .toString("latin1")
    .trimEnd()
    .split("\r\n")
    .map((line) => /^(?:EHLO|RSET|MAIL|RCPT|DATA|BDAT|QUIT|\.$)/.exec(line)?.[0] ?? "content");
  return parts.filter((part, index) => part !== "content" || parts[index - 1] !== "content").join(" ");
}

/** Passes on what the socket does, and tells what a client asks of it. */
class RecordingSocket extends Duplex {
  readonly writes: string[] = [];
  readonly delays: string[] = [];
  readonly #socket: Socket;

  constructor(port: number) {
    super();
    this.#socket = connect(port, "127.0.0.1")
      .on("data", (octets) => this.push(octets))
      .on("end", () => this.push(null));
  }

  setNoDelay(on: boolean): void {
    this.delays.push(`${on}, before write ${this.writes.length + 1}`);
  }

  override _read(): void {
    // What came is pushed as it comes.
  }

  /** What was written while the stream was corked comes here at once, and so reaches the system at once. */
  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#put(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#put(chunk, callback);
  }

  override _final(callback: () => void): void {
    this.#socket.end(callback);
  }

  #put(octets: Buffer, callback: () => void): void {
    this.writes.push(partsOf(octets));
    this.#socket.write(octets, callback);
  }
}

/** What leaves for four messages to two recipients each, behind EHLO and before QUIT. */
const FLIGHTS = [
  ["off", Array<readonly string[]>(4).fill(["MAIL", "RCPT", "RCPT", "DATA", "content ."]).flat()],
  ["grouped", Array<readonly string[]>(4).fill(["MAIL RCPT RCPT DATA", "content ."]).flat()],
  ["auto", ["MAIL RCPT RCPT DATA", ...Array<string>(3).fill("content . RSET MAIL RCPT RCPT DATA"), "content ."]],
  // The first chunk shows whether the server eats chunks.
  [
    { bdatWindow: 4 },
    [
      "MAIL RCPT RCPT",
      "BDAT content",
      ["", "RSET ", "RSET "].map((reset) => `${reset}MAIL RCPT RCPT BDAT content`).join(" "),
    ],
  ],
] as const;

test("what leaves together is one write, be it short or long, on a socket that was told not to wait for more", async () => {
  for (const body of ["short", "a line of a long one\r\n".repeat(2_000)]) {
    for (const [pipelining, flights] of FLIGHTS) {
      await using server = await startFaultServer();
      const sockets: RecordingSocket[] = [];
      const connect = (): Promise<Duplex> => {
        const socket = new RecordingSocket(server.port);
        sockets.push(socket);
        return Promise.resolve(socket);
      };
      const transport = smtpTransport({ host: "localhost", tls: "none", pipelining, connect });
      const messages = Array.from({ length: 4 }, () => letter(body, ["a@example.com", "b@example.com"]));
      const receipts = await Array.fromAsync(transport.deliver(messages));
      await transport.close();
      assert.deepEqual(statuses(receipts), Array(4).fill("accepted"));
      assert.deepEqual(
        sockets.map(({ writes, delays }) => [delays, writes]),
        [[["true, before write 1"], ["EHLO", ...flights, "QUIT"]]],
      );
    }
  }
});

/**
 * A server that reads nothing while a reply of its own is not taken, as a process with one thread and blocking writes
 * does; and its replies to RCPT are long.
 */
async function startBlockingServer() {
  const accepted: AcceptedMessage[] = [];
  const seen = { blocked: 0, accepted };
  const filler = "250-and another thing about this recipient\r\n".repeat(500);
  const serve = async (socket: Socket): Promise<void> => {
    const session = new ServerSession({ keywords: ["PIPELINING", "CHUNKING"] }, (message) => accepted.push(message));
    const say = async (): Promise<void> => {
      for (let step = session.next(); step !== undefined; step = session.next()) {
        if (socket.write(`${step.verb === "RCPT" ? filler : ""}${step.perform()}\r\n`)) continue;
        seen.blocked++;
        await once(socket, "drain");
      }
    };
    await say();
    for await (const octets of socket) {
      session.push(octets as Buffer);
      await say();
    }
  };
  // A client that is gone is no failure of the server's.
  const server = createServer((socket) => void serve(socket).catch(() => undefined)).listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(seen, { server, port: (server.address() as AddressInfo).port });
}

test("a server that reads no further until its replies are read gets them read, while much is still to be written", async () => {
  const blocking = await startBlockingServer();
  const options = { pipelining: { bdatWindow: 2 }, timeouts: { command: 20_000, endOfData: 20_000 } } as const;
  const transport = smtpTransport({ host: "127.0.0.1", port: blocking.port, ...options });
  const many = Array.from({ length: 400 }, (_, index) => `to${index}@example.com`);
  const long = letter("x".repeat(78).concat("\r\n").repeat(100_000), many);
  const receipts = await Array.fromAsync(transport.deliver([letter("opens the window"), long]));
  await transport.close();
  blocking.server.close();
  assert.deepEqual(statuses(receipts), ["accepted", "accepted"], String(receipts[1]?.error));
  assert.ok(blocking.blocked > 0, "the server waited for the client");
  assert.deepEqual(
    blocking.accepted.map(({ content }) => content.length),
    [letter("opens the window").toBytes().length, long.toBytes().length],
  );
});

const FLAGS = ["--conditions=posthaste-source", "--no-warnings", "--input-type=module-typescript", "--eval"];

/** Nothing in it is closed. */
const PROGRAM = `
import { createMailer, EmailMessage, smtpTransport } from "posthaste";
const transport = smtpTransport(JSON.parse(process.env.OPTIONS ?? ""));
const mailer = createMailer({ transport, from: "from@example.com" });
const messages = Array.from({ length: 4 }, () => new EmailMessage({ to: ["to@example.com"] }));
for await (const { status } of mailer.sendAll(messages)) console.log(status);
`;

async function runProgram(options: SmtpOptions): Promise<{ code: number | null; output: string }> {
  const env = environment({ OPTIONS: JSON.stringify(options) });
  const child = spawn(process.execPath, [...FLAGS, PROGRAM], { cwd: join(import.meta.dirname, "../../../.."), env });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const giveUp = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(giveUp);
  return { code, output: (await output).join("") };
}

const ENDED = { code: 0, output: "accepted\n".repeat(4) };

test("a process with a connection that is open and idle ends by itself, whatever secures the connection", async () => {
  const { cert, key } = await localhostCertificate();
  for (const tls of ["none", "starttls", "implicit"] as const) {
    await using peer = await startSmtpPeer({ cert, key, secure: tls === "implicit" });
    const options = { host: "localhost", port: peer.port, tls, ca: cert, idleTimeout: 600_000 };
    assert.deepEqual(await runProgram(options), ENDED, tls);
    assert.equal(peer.sessions.length, 1);
  }
});

test("a connection that came when all was done already keeps no process alive either", async () => {
  const done = Promise.withResolvers<void>();
  let ends = 0;
  await using server = await plainServer((line, connection) => {
    if (line === "." && ++ends === 4) done.resolve();
    return line === "" && connection === 2 ? done.promise.then(() => "220 late\r\n") : undefined;
  });
  const options = { host: "127.0.0.1", port: server.port, connections: 2 };
  assert.deepEqual(await runProgram(options), ENDED);
  assert.equal(server.connections, 2);
});
