import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { consoleTransport } from "./console.ts";
import { testTransport, type ReceivedMessage } from "./contract.ts";
import { dummyTransport } from "./dummy.ts";
import { failover, roundRobin } from "./failover.ts";
import { fileTransport } from "./file.ts";
import { memoryTransport, type MemoryTransport } from "./memory.ts";
import { smtpTransport } from "./smtp.ts";

const inBoxes = (...transports: MemoryTransport[]): ReceivedMessage[] =>
  transports.flatMap(({ box }) =>
    box.map(({ envelope, content }) => ({ forwardPaths: envelope.forwardPaths, content })),
  );

testTransport("memory", () => {
  const transport = memoryTransport();
  return { transport, received: () => inBoxes(transport), readAhead: 1 };
});

testTransport("dummy", () => ({ transport: dummyTransport(), readAhead: 1 }));

testTransport("console", () => ({
  transport: consoleTransport({ stream: new Writable({ write: (_chunk, _encoding, done) => done() }) }),
  readAhead: 1,
}));

for (const format of ["eml", "log"] as const) {
  testTransport(`file as ${format}`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "posthaste-"));
    return {
      transport: fileTransport({ directory, format }),
      received: () => (format === "eml" ? inFiles(directory) : inLogs(directory)),
      readAhead: 1,
      dispose: () => rm(directory, { recursive: true }),
    };
  });
}

async function inFiles(directory: string): Promise<ReceivedMessage[]> {
  const names = (await readdir(directory)).sort();
  return Promise.all(names.map(async (name) => asReceived(await readFile(join(directory, name)))));
}

async function inLogs(directory: string): Promise<ReceivedMessage[]> {
  const [name] = await readdir(directory);
  if (name === undefined) return [];
  const parts = (await readFile(join(directory, name), "latin1")).split(`\n${"-".repeat(79)}\n`).slice(0, -1);
  return parts.map((part) => asReceived(Buffer.from(part.replaceAll("\n", "\r\n"), "latin1")));
}

/** A file has no envelope: the messages of the contract have one recipient each, in To. */
function asReceived(content: Buffer): ReceivedMessage {
  return { forwardPaths: [/^To: (.*)$/m.exec(content.toString())?.[1]?.trim() ?? ""], content };
}

testTransport("smtp", async () => {
  const peer = await startSmtpPeer();
  return {
    transport: smtpTransport({ host: "127.0.0.1", port: peer.port }),
    received: () => peer.messages.map(({ forwardPaths, content }) => ({ forwardPaths, content: Buffer.from(content) })),
    dispose: () => peer.close(),
  };
});

testTransport("lmtp", async () => {
  const server = await startFaultServer({ protocol: "lmtp" });
  return {
    transport: smtpTransport({ host: "127.0.0.1", port: server.port, protocol: "lmtp", connections: 2 }),
    received: () =>
      server.accepted.map(({ forwardPaths, content }) => ({
        forwardPaths,
        content,
      })),
    dispose: () => server[Symbol.asyncDispose](),
  };
});

testTransport("failover", () => {
  const [first, second] = [memoryTransport(), memoryTransport()];
  return { transport: failover(first, second), received: () => inBoxes(first, second), readAhead: 2 };
});

testTransport("failover from a server that nobody runs", async () => {
  const [gone, peer] = [await startSmtpPeer(), await startSmtpPeer()];
  await gone.close();
  return {
    transport: failover(
      smtpTransport({ host: "127.0.0.1", port: gone.port }),
      smtpTransport({ host: "127.0.0.1", port: peer.port }),
    ),
    received: () => peer.messages.map(({ forwardPaths, content }) => ({ forwardPaths, content: Buffer.from(content) })),
    dispose: () => peer.close(),
  };
});

testTransport("round-robin", () => {
  const boxes = [memoryTransport(), memoryTransport(), memoryTransport()];
  return { transport: roundRobin(...boxes), received: () => inBoxes(...boxes), readAhead: 4 };
});
