import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type FaultServer, startFaultServer } from "../../../../test/peer/fault-server.ts";
import type { DeliverableMessage, EndOfData, Receipt } from "../delivery.ts";
import { TimeoutError } from "../errors.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const CONTENT = Buffer.from("Subject: x\r\n\r\ny\r\n");
const WINDOW = { pipelining: { bdatWindow: 4 } } as const;

function letter(number: number, content = CONTENT): DeliverableMessage {
  const envelope = { reversePath: `from${number}@example.com`, forwardPaths: [`to${number}@example.com`] };
  return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => content };
}

const to = ({ port }: FaultServer, options: Partial<SmtpOptions> = {}): ReturnType<typeof smtpTransport> =>
  smtpTransport({ host: "127.0.0.1", port, ...WINDOW, ...options });

/** In the order of the messages. */
const statuses = (receipts: readonly Receipt[]): string[] =>
  receipts.toSorted((one, other) => one.index - other.index).map(({ status }) => status);

/** It takes the first message, so that the window is open, and never says what became of the second. */
const stallsAtSecond = (): Promise<FaultServer> =>
  startFaultServer({
    plan: ({ verb, reversePath }) =>
      verb === "BDAT" && reversePath === "from1@example.com" ? { kind: "stall", done: true } : undefined,
  });

/** Each message is there when the one before it was told to the hook, so that no two are told at once. */
function singly(count: number): { source: AsyncGenerator<DeliverableMessage>; next: () => void } {
  let told = Promise.withResolvers<void>();
  async function* source(): AsyncGenerator<DeliverableMessage> {
    for (let number = 0; number < count; number++) {
      yield letter(number);
      await told.promise;
      told = Promise.withResolvers();
    }
  }
  return { source: source(), next: () => told.resolve() };
}

test("a chunk that waits for its leave when the caller aborts does not leave", async () => {
  await using server = await stallsAtSecond();
  await using transport = to(server, { timeouts: { endOfData: 150 } });
  const controller = new AbortController();
  const { source, next } = singly(3);
  const beforeEndOfData = (batch: readonly EndOfData[]): void => {
    if (batch[0]?.index === 2) controller.abort();
    next();
  };
  const receipts = await Array.fromAsync(transport.deliver(source, { signal: controller.signal, beforeEndOfData }));
  assert.deepEqual(statuses(receipts), ["accepted", "unknown", "deferred"]);
  assert.ok(!server.steps.some(({ reversePath }) => reversePath === "from2@example.com"));
});

test("a verdict that lies before a reset is read before the chunk that had to wait for its leave is written", async () => {
  const error = Object.assign(new Error("ECONNRESET"), { code: "ECONNRESET" });
  let connections = 0;
  let isReset = false;
  let reset = (): void => assert.fail("the second chunk has not come");
  const connect = async (): Promise<Duplex> => {
    const isFirst = ++connections === 1;
    let chunks = 0;
    const channel = new Duplex({
      read: () => undefined,
      write(octets: Buffer, _, done) {
        if (isFirst && isReset) return done(error);
        const text = octets.toString("latin1");
        const commands = text.split("\r\n").filter((line) => /^(?:EHLO|RSET|MAIL|RCPT|BDAT|DATA|\.)/.test(line));
        for (const command of commands) {
          if (command.startsWith("EHLO")) this.push("250-s\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
          else if (isFirst && command.startsWith("BDAT") && ++chunks === 2) {
            reset = () => {
              isReset = true;
              setImmediate(() => {
                this.push("250 queued\r\n");
                this.destroy(error);
              });
            };
          } else this.push(command === "DATA" ? "354 go on\r\n" : "250 ok\r\n");
        }
        done();
      },
    });
    channel.push("220 s\r\n");
    return channel;
  };
  await using transport = smtpTransport({ host: "127.0.0.1", tls: "none", connect, ...WINDOW });
  const { source, next } = singly(3);
  const beforeEndOfData = async (batch: readonly EndOfData[]): Promise<void> => {
    next();
    if (batch[0]?.index === 2) reset();
    await Promise.resolve();
  };
  const receipts = await Array.fromAsync(transport.deliver(source, { beforeEndOfData }));
  assert.deepEqual(statuses(receipts), ["accepted", "accepted", "accepted"]);
});

test("messages keep their order, whenever the one that waits for its leave gets it", async () => {
  for (let late = 0; late < 4; late++) {
    for (let later = 0; later < 8; later++) {
      await using server = await startFaultServer();
      await using transport = to(server);
      const gate = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      const after = async (promise: Promise<void>, ticks: number): Promise<void> => {
        await promise;
        for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      };
      async function* source(): AsyncGenerator<DeliverableMessage> {
        yield letter(0);
        await asked.promise;
        yield letter(1);
        await after(gate.promise, later);
        yield letter(2);
        yield letter(3);
      }
      const beforeEndOfData = async (batch: readonly EndOfData[]): Promise<void> => {
        if (batch[0]?.index === 0) return asked.resolve();
        if (batch[0]?.index !== 1) return;
        void turn()
          .then(() => turn())
          .then(() => gate.resolve());
        await after(gate.promise, late);
      };
      assert.deepEqual(
        statuses(await Array.fromAsync(transport.deliver(source(), { beforeEndOfData }))),
        Array(4).fill("accepted"),
      );
      const order = server.accepted.map(({ reversePath }) => reversePath);
      assert.deepEqual(
        order,
        [0, 1, 2, 3].map((number) => `from${number}@example.com`),
        `${late}, ${later}`,
      );
    }
  }
});

test("a message that waits for its leave gives the server no more time for the one before it", async () => {
  await using server = await stallsAtSecond();
  await using transport = to(server, { timeouts: { endOfData: 150 } });
  const { source, next } = singly(3);
  const gate = Promise.withResolvers<void>();
  const beforeEndOfData = async (batch: readonly EndOfData[]): Promise<void> => {
    next();
    if (batch[0]?.index === 2) await gate.promise;
  };
  const receipts: Receipt[] = [];
  for await (const receipt of transport.deliver(source, { beforeEndOfData })) {
    receipts.push(receipt);
    // Only now, when the second has its receipt although the third still waits.
    if (receipt.index === 1) gate.resolve();
  }
  // The third surely had not left, so it went by another connection.
  assert.deepEqual(statuses(receipts), ["accepted", "unknown", "accepted"]);
  const error = receipts.find(({ index }) => index === 1)?.error;
  assert.ok(error instanceof TimeoutError && error.verb === "BDAT");
});

test("what is large goes by DATA, which has a time for each block of it", async () => {
  await using server = await startFaultServer({ keywords: ["PIPELINING", "CHUNKING"] });
  await using transport = to(server);
  const large = Buffer.from(`Subject: x\r\n\r\n${"y".repeat(70)}\r\n`.padEnd(1024 * 1024 + 1, "z"));
  const receipts = await Array.fromAsync(transport.deliver([letter(0), letter(1, large), letter(2)]));
  assert.deepEqual(statuses(receipts), ["accepted", "accepted", "accepted"]);
  const verbs = server.steps.flatMap(({ verb }) => (verb === "BDAT" || verb === "DATA" ? [verb] : []));
  assert.deepEqual(verbs, ["BDAT", "DATA", "BDAT"]);
});
