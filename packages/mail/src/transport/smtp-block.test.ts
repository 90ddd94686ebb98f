import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { type FaultServer, startFaultServer } from "../../../../test/peer/fault-server.ts";
import { letterFor } from "../../../../test/peer/letter.ts";
import type { DeliverableMessage } from "../delivery.ts";
import { MessageError, SmtpError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { memoryTransport } from "./memory.ts";
import { smtpTransport } from "./smtp.ts";

/** A message, the end of data, and another message that nobody wrote. */
const SMUGGLED = [
  "Subject: x",
  "",
  "text",
  ".",
  "MAIL FROM:<smuggled@evil.example>",
  "RCPT TO:<victim@evil.example>",
  "DATA",
  "Subject: smuggled",
  "",
].join("\r\n");

/** What is no octets, though a stream gives it: where a program is not in TypeScript, or a Readable has an encoding. */
const NO_OCTETS: readonly (readonly [name: string, open: () => AsyncIterable<unknown>])[] = [
  ["a string", () => Readable.from([SMUGGLED])],
  [
    "a Readable with an encoding",
    () => Readable.from([Buffer.from(SMUGGLED)], { objectMode: false }).setEncoding("utf8"),
  ],
  ["a DataView", () => Readable.from([new DataView(new TextEncoder().encode(SMUGGLED).buffer)])],
  ["numbers of 16 bits", () => Readable.from([Uint16Array.of(0x0a2e, 0x0d0a)])],
  ["an ArrayBuffer", () => Readable.from([new TextEncoder().encode(SMUGGLED).buffer])],
  ["an array", () => Readable.from([[...Buffer.from(SMUGGLED)]])],
  ["a number", () => Readable.from([7])],
  ["an object", () => Readable.from([{ length: 7 }])],
];

/** Of what was accepted. */
const sendersOf = ({ accepted }: FaultServer): string[] => accepted.map(({ reversePath }) => reversePath);

for (const [name, open] of NO_OCTETS) {
  test(`a message whose stream gives ${name} is refused, and nothing of it is accepted`, async () => {
    for (const pipelining of ["off", "auto", { bdatWindow: 4 }] as const) {
      await using server = await startFaultServer();
      const envelope = { reversePath: "from@example.com", forwardPaths: ["to@example.com"] };
      const streaming = {
        size: undefined,
        eightBit: false,
        smtpUtf8: false,
        open: open as () => AsyncIterable<Uint8Array>,
      };
      const message: DeliverableMessage = {
        messageId: "<1@example.com>",
        envelope: () => envelope,
        toBytes: () => assert.fail("streamed"),
        streaming,
      };
      const transport = smtpTransport({ host: "127.0.0.1", port: server.port, pipelining });
      const [receipt] = await Array.fromAsync(transport.deliver([message]));
      await transport.close();
      assert.deepEqual(sendersOf(server), []);
      // It would be no other the next time.
      assert.equal(receipt?.status, "refused", String(receipt?.error));
    }
  });

  test(`an attachment whose stream gives ${name} is no empty attachment: its message is refused`, async () => {
    await using server = await startFaultServer();
    const content = open as () => AsyncIterable<Uint8Array>;
    const message = new Message({
      from: "from@example.com",
      to: ["to@example.com"],
      attachments: [{ filename: "report.pdf", content }],
    });
    const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
    const [receipt] = await Array.fromAsync(transport.deliver([message]));
    await transport.close();
    assert.deepEqual(sendersOf(server), []);
    assert.equal(receipt?.status, "refused", String(receipt?.error));
  });
}

test("a stream of unknown length that passes the server's SIZE ends the connection, and is refused; the next message has another", async () => {
  for (const pipelining of ["off", "auto", { bdatWindow: 4 }] as const) {
    await using server = await startFaultServer({ keywords: ["PIPELINING", "CHUNKING", "SIZE 1000000"] });
    let blocks = 0;
    let isLeft = false;
    async function* open(): AsyncGenerator<Uint8Array> {
      try {
        for (; blocks < 100; blocks++) yield Buffer.alloc(60_000, "a line of what is too much\r\n");
      } finally {
        isLeft = true;
      }
    }
    const streaming = { size: undefined, eightBit: false, smtpUtf8: false, open };
    const messages = [letterFor("before"), { ...letterFor("large"), streaming }, letterFor("behind")];
    const transport = smtpTransport({ host: "127.0.0.1", port: server.port, pipelining });
    const receipts = await Array.fromAsync(transport.deliver(messages));
    await transport.close();
    assert.deepEqual(
      receipts
        .toSorted((one, other) => one.index - other.index)
        .map(({ status, error }) => [status, (error as SmtpError | undefined)?.code]),
      [
        ["accepted", undefined],
        ["refused", "too-large"],
        ["accepted", undefined],
      ],
    );
    assert.deepEqual(
      server.accepted.map(({ reversePath, connection }) => [reversePath, connection]),
      [
        ["before@from.example", 1],
        ["behind@from.example", 2],
      ],
    );
    // The seventeenth passes it.
    assert.deepEqual([blocks, isLeft], [16, true]);
  }
});

test("a stream that gives octets above 127, though its message says that there are none, is refused, by any transport", async () => {
  const streaming = {
    size: undefined,
    eightBit: false,
    smtpUtf8: false,
    open: () => Readable.from([Buffer.from("Subject: x\r\n\r\n"), Buffer.from("café\r\n")]),
  };
  const envelope = { reversePath: "from@example.com", forwardPaths: ["to@example.com"] };
  const message: DeliverableMessage = {
    messageId: "<1@example.com>",
    envelope: () => envelope,
    toBytes: () => assert.fail("streamed"),
    streaming,
  };
  await using server = await startFaultServer({ keywords: ["PIPELINING", "8BITMIME"] });
  const memory = memoryTransport();
  for (const transport of [smtpTransport({ host: "127.0.0.1", port: server.port }), memory]) {
    const truthful = { ...message, streaming: { ...streaming, eightBit: true } };
    const receipts = await Array.fromAsync(transport.deliver([message, truthful]));
    await transport.close();
    const [lied, told] = receipts.toSorted((a, b) => a.index - b.index);
    assert.deepEqual([lied?.status, told?.status], ["refused", "accepted"], String(lied?.error));
    const error = lied?.error instanceof SmtpError ? lied.error.cause : lied?.error;
    assert.ok(error instanceof MessageError);
    assert.deepEqual([error.code, error.field], ["bad-value", "streaming.eightBit"]);
  }
  assert.deepEqual([server.accepted.length, memory.box.length], [1, 1]);
});

test("a message whose octets change after it was taken smuggles nothing", async () => {
  // A program that writes each message into one and the same buffer.
  const octets = Buffer.alloc(SMUGGLED.length, "x");
  const message: DeliverableMessage = {
    messageId: "<1@example.com>",
    envelope: () => ({ reversePath: "from@example.com", forwardPaths: ["to@example.com"] }),
    toBytes: () => octets,
  };
  function* source(): Generator<DeliverableMessage> {
    yield message;
    octets.write(SMUGGLED);
  }
  await using server = await startFaultServer();
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  await Array.fromAsync(transport.deliver(source()));
  await transport.close();
  assert.deepEqual(sendersOf(server), ["from@example.com"]);
});
