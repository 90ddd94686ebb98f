import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTo, createServer } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { KEYWORDS, type ServerVerb } from "../../../../test/peer/server-session.ts";
import type { DeliverableMessage, Receipt } from "../delivery.ts";
import { TimeoutError } from "../errors.ts";
import type { SmtpOptions, SmtpTimeouts } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

function letter(content = Buffer.from("Subject: x\r\n\r\ny\r\n")): DeliverableMessage {
  const envelope = { reversePath: "from@example.com", forwardPaths: ["to@example.com"] };
  return { messageId: "<1@example.com>", envelope: () => envelope, toBytes: () => content };
}

async function deliver(port: number, options: Partial<SmtpOptions>, message = letter()): Promise<Receipt | undefined> {
  const transport = smtpTransport({ host: "127.0.0.1", port, ...options });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  await transport.close();
  return receipt;
}

test("each wait has its own time, and the error says for what it was", async () => {
  // Hours stand for the waits that must not be the ones that end it.
  const far = 3_600_000;
  const others: SmtpTimeouts = { command: far, greeting: far, data: far, content: far, endOfData: far };
  const rows: readonly (readonly [ServerVerb, keyof SmtpTimeouts, status: string])[] = [
    ["greeting", "greeting", "deferred"],
    ["EHLO", "command", "deferred"],
    ["MAIL", "command", "deferred"],
    ["RCPT", "command", "deferred"],
    ["DATA", "data", "deferred"],
    ["end-of-data", "endOfData", "unknown"],
  ];
  for (const pipelining of ["off", "auto"] as const) {
    for (const [verb, name, status] of rows) {
      await using server = await startFaultServer({
        plan: (step) => (step.verb === verb ? { kind: "stall", done: false } : undefined),
      });
      const receipt = await deliver(server.port, { pipelining, timeouts: { ...others, [name]: 30 } });
      assert.ok(receipt?.error instanceof TimeoutError, `${verb}: ${String(receipt?.error)}`);
      assert.deepEqual([receipt.status, receipt.error.verb], [status, verb]);
    }
  }
});

test("command stands for all that is not set, but never for the end of data", async () => {
  for (const verb of ["greeting", "MAIL", "DATA"] as const) {
    await using server = await startFaultServer({
      plan: (step) => (step.verb === verb ? { kind: "stall", done: false } : undefined),
    });
    const receipt = await deliver(server.port, { timeouts: { command: 300 } });
    assert.ok(receipt?.error instanceof TimeoutError && receipt.error.verb === verb);
  }
  await using late = await startFaultServer({
    plan: ({ verb }) => (verb === "end-of-data" ? { kind: "stall", done: true } : undefined),
  });
  const start = performance.now();
  const receipt = await deliver(late.port, { timeouts: { command: 300, endOfData: 450 } });
  assert.ok(performance.now() - start >= 440);
  assert.deepEqual([receipt?.status, receipt?.error instanceof TimeoutError], ["unknown", true]);
});

test("the reply to BDAT is one to the end of data", async () => {
  await using server = await startFaultServer({
    keywords: KEYWORDS,
    plan: ({ verb }) => (verb === "BDAT" ? { kind: "stall", done: true } : undefined),
  });
  const start = performance.now();
  const options = { pipelining: { bdatWindow: 4 }, timeouts: { command: 300, endOfData: 450 } };
  const receipt = await deliver(server.port, options);
  assert.ok(performance.now() - start >= 440);
  assert.deepEqual([receipt?.status, (receipt?.error as TimeoutError).verb], ["unknown", "BDAT"]);
});

test("a server that does not take the content runs into the time of a block, and the message surely did not leave", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined).write("220 s\r\n");
    socket.on("data", (chunk: Buffer) => {
      const isData = chunk.toString("latin1") === "DATA\r\n";
      socket.write(isData ? "354 go on\r\n" : "250 ok\r\n");
      if (isData) socket.pause();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const large = letter(Buffer.from(`Subject: x\r\n\r\n${"y\r\n".repeat(7_000_000)}`));
  const receipt = await deliver(port, { timeouts: { content: 100 } }, large);
  server.close();
  assert.ok(receipt?.error instanceof TimeoutError, String(receipt?.error));
  assert.deepEqual([receipt.status, receipt.error.verb], ["deferred", "content"]);
});

/** The same octets as a stream that takes its time: in milliseconds, before each block. */
function streamed(blocks: readonly Uint8Array[], pause: number): DeliverableMessage {
  async function* open(): AsyncGenerator<Uint8Array> {
    for (const block of blocks) {
      await setTimeout(pause);
      yield block;
    }
  }
  return { ...letter(), streaming: { size: undefined, eightBit: false, smtpUtf8: false, open } };
}

test("a source that is slow costs the server none of its time, in all nor at once", async () => {
  await using server = await startFaultServer();
  const block = Buffer.from(`${"x".repeat(62)}\r\n`);
  const patient = { timeouts: { content: 60 } };
  for (const pause of [20, 150]) {
    const message = streamed(Array<Uint8Array>(6).fill(block), pause);
    const receipt = await deliver(server.port, patient, message);
    assert.equal(receipt?.status, "accepted", String(receipt?.error));
  }
  assert.equal(server.accepted[1]?.content.length, 6 * block.length);
});

test("a block of a stream is cut where it is more than the server has the time for", async () => {
  await using server = await startFaultServer();
  const line = Buffer.from(`${"x".repeat(998)}\r\n`);
  const message = streamed([Buffer.concat(Array<Uint8Array>(900).fill(line))], 0);
  const written: number[] = [];
  const connect: SmtpOptions["connect"] = async ({ signal }) => {
    const socket = connectTo(server.port, "127.0.0.1");
    await once(socket, "connect", { signal });
    const write = socket.write.bind(socket);
    const recorded = (octets: Uint8Array): boolean => {
      written.push(octets.length);
      return write(octets);
    };
    return Object.assign(socket, { write: recorded });
  };
  const receipt = await deliver(server.port, { connect, tls: "none" }, message);
  assert.equal(receipt?.status, "accepted", String(receipt?.error));
  assert.equal(server.accepted[0]?.content.length, 900_000);
  assert.ok(Math.max(...written) <= 64 * 1024, `${Math.max(...written)} octets in one write`);
});
