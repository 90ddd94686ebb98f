import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, createServer, type AddressInfo } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import type { DeliverableMessage, EndOfData } from "../delivery.ts";
import { SmtpError } from "../errors.ts";
import { smtpTransport } from "./smtp.ts";

const CONTENT = Buffer.from("Subject: x\r\n\r\ny\r\n");

function letter(number: number, content = CONTENT): DeliverableMessage {
  const envelope = { reversePath: `from${number}@example.com`, forwardPaths: [`to${number}@example.com`] };
  return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => content };
}

test("replies that lie unread before a reset are read before anything is written to it", async () => {
  // A socket that was reset fails at the next write, and Node throws away what it has not read then.
  const accepted = Promise.withResolvers<void>();
  let connections = 0;
  let isReset = false;
  const connect = (): Duplex => {
    const isFirst = ++connections === 1;
    let inContent = false;
    const channel = new Duplex({
      read: () => undefined,
      write(octets: Buffer, _, done) {
        if (isReset && isFirst) return done(Object.assign(new Error("write ECONNRESET"), { code: "ECONNRESET" }));
        const text = octets.toString("latin1");
        if (text.startsWith("EHLO")) this.push("250-s\r\n250 PIPELINING\r\n");
        else if (text.startsWith("MAIL")) this.push("250 ok\r\n250 ok\r\n354 go on\r\n");
        else if (inContent && isFirst) {
          isReset = true;
          setImmediate(() => this.push("250 queued\r\n"));
          accepted.resolve();
        } else if (inContent) this.push("250 queued\r\n");
        inContent = text.startsWith("MAIL");
        done();
      },
    });
    channel.push("220 s\r\n");
    return channel;
  };
  async function* source(): AsyncGenerator<DeliverableMessage> {
    yield letter(0);
    await accepted.promise;
    yield letter(1);
  }
  const transport = smtpTransport({ host: "127.0.0.1", tls: "none", connect: async () => connect() });
  const receipts = await Array.fromAsync(transport.deliver(source()));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "accepted"],
  );
  assert.equal(connections, 2);
});

test("close() ends although the channel never says that it is closed", async () => {
  await using server = await startFaultServer();
  const connect = async (): Promise<Duplex> => {
    const socket = connectTcp(server.port, "127.0.0.1");
    await once(socket, "connect");
    const channel = new Duplex({
      emitClose: false,
      read: () => undefined,
      write: (octets: Buffer, _, done) => void socket.write(octets, done),
      destroy(error, done) {
        socket.destroy();
        done(error);
      },
    });
    socket.on("data", (octets) => channel.push(octets));
    return channel;
  };
  const transport = smtpTransport({ host: "127.0.0.1", tls: "none", connect });
  const [receipt] = await Array.fromAsync(transport.deliver([letter(0)]));
  assert.equal(receipt?.status, "accepted");
  await transport.close();
});

test("a refusal in the middle of the content is the message's verdict, and the next message goes as fast as before", async () => {
  let connections = 0;
  const commands: string[] = [];
  const server = createServer((socket) => {
    connections++;
    let isContent = false;
    let octetsOfContent = 0;
    socket.on("error", () => undefined).write("220 s\r\n");
    socket.on("data", (octets: Buffer) => {
      const text = octets.toString("latin1");
      if (!isContent) commands.push(text);
      octetsOfContent += isContent ? octets.length : 0;
      if (octetsOfContent > 100_000) {
        octetsOfContent = 0;
        socket.removeAllListeners("data").resume().end("552 5.3.4 too much\r\n");
      } else if (text.startsWith("EHLO")) socket.write("250-s\r\n250 PIPELINING\r\n");
      else if (text.endsWith("\r\n.\r\n") || text.endsWith("QUIT\r\n")) socket.write("250 queued\r\n");
      else if (!isContent) socket.write("250 ok\r\n250 ok\r\n354 go on\r\n");
      isContent = isContent ? !text.endsWith("\r\n.\r\n") : text.endsWith("DATA\r\n");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const transport = smtpTransport({ host: "127.0.0.1", port, pipelining: "grouped" });
  const large = letter(1, Buffer.from(`Subject: x\r\n\r\n${"y\r\n".repeat(8_000_000)}`));
  const receipts = await Array.fromAsync(transport.deliver([letter(0), large, letter(2)]));
  await transport.close();
  server.close();
  assert.deepEqual(
    receipts.map(({ status, reply }) => [status, reply?.code]),
    [
      ["accepted", 250],
      ["refused", 552],
      ["accepted", 250],
    ],
  );
  assert.equal(connections, 2, "it was tried again");
  assert.equal(commands.filter((text) => text.startsWith("MAIL") && text.endsWith("DATA\r\n")).length, 3);
});

test("a stream that is too large is refused at once, whether its iterator comes to an end or not", async () => {
  const server = await startFaultServer({ keywords: ["PIPELINING", "SIZE 1000"] });
  const open = (): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false, value: Buffer.from("0123456\r\n".repeat(200)) }),
      return: () => new Promise(() => undefined),
    }),
  });
  const message = { ...letter(0), streaming: { size: undefined, eightBit: false, smtpUtf8: false, open } };
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const [receipt, next] = await Array.fromAsync(transport.deliver([message, letter(1)]));
  await transport.close();
  await server[Symbol.asyncDispose]();
  assert.deepEqual([receipt?.status, next?.status], ["refused", "accepted"]);
  assert.ok(receipt?.error instanceof SmtpError && receipt.error.code === "too-large");
});

test("beforeEndOfData is told of no message that has its verdict", async () => {
  // The verdict of the first and the 354 of the second come together, when the caller has aborted.
  const controller = new AbortController();
  const read = Promise.withResolvers<void>();
  let held = "";
  const server = await startScriptedServer((line) => {
    if (line === "") return "220 s\r\n";
    if (line.startsWith("EHLO")) return "250-s\r\n250 PIPELINING\r\n";
    const reply = line === "DATA" ? "354 go on\r\n" : "250 ok\r\n";
    if (!/^(?:MAIL|RCPT|RSET|DATA|\.|QUIT)/.test(line)) return undefined;
    if (held === "" && line !== ".") return reply;
    if (line === ".") read.resolve();
    held += reply;
    if (line !== "DATA") return undefined;
    controller.abort();
    return held;
  });
  // An empty line is how the server is told that somebody connects.
  const content = Buffer.from("Subject: x\r\n");
  async function* source(): AsyncGenerator<DeliverableMessage> {
    yield letter(0, content);
    await read.promise;
    yield letter(1, content);
  }
  const told: number[] = [];
  const beforeEndOfData = (batch: readonly EndOfData[]): void => void told.push(...batch.map(({ index }) => index));
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const { signal } = controller;
  const receipts = await Array.fromAsync(transport.deliver(source(), { signal, beforeEndOfData }));
  await transport.close();
  await server[Symbol.asyncDispose]();
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "deferred"],
  );
  assert.deepEqual(told, [0]);
});
