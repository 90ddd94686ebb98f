import assert from "node:assert/strict";
import { test } from "node:test";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { EndOfData, Receipt, Transport } from "../delivery.ts";
import { AuthError, PosthasteError, SettingsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { failover, roundRobin } from "./failover.ts";
import { memoryTransport, type MemoryTransport } from "./memory.ts";
import { smtpTransport } from "./smtp.ts";

const message = (to: string): Message => new Message({ subject: to, text: "a", from: "from@example.com", to: [to] });

const messages = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) => message(`to${index}@example.com`));

const server = (port: number, options: object = {}): Transport =>
  smtpTransport({ host: "127.0.0.1", port, ...options });

async function deliver(transport: Transport, source: Iterable<Message>): Promise<Receipt[]> {
  const receipts = await Array.fromAsync(transport.deliver(source));
  return receipts.sort((one, other) => one.index - other.index);
}

const statuses = (receipts: readonly Receipt[]): string[] => receipts.map(({ status }) => status);
const subjects = ({ box }: MemoryTransport): string[] => box.map(({ subject }) => subject);

test("where nobody listens, the next takes over, under the caller's indexes", async () => {
  const gone = await startSmtpPeer();
  await gone.close();
  const second = memoryTransport();
  const told: EndOfData[] = [];
  const list = messages(20);
  const transport = failover(server(gone.port), second);
  const receipts = await Array.fromAsync(
    transport.deliver(list, { beforeEndOfData: (batch) => void told.push(...batch) }),
  );
  await transport.close();
  assert.deepEqual(
    receipts.map(({ index, messageId, status }) => [index, messageId, status]),
    list.map(({ messageId }, index) => [index, messageId, "accepted"]),
  );
  assert.deepEqual(
    subjects(second),
    list.map(({ subject }) => subject),
  );
  assert.deepEqual(
    told,
    list.map(({ messageId }, index) => ({ index, messageId })),
  );
});

test("close() ends a delivery whose source would never end", async () => {
  for (const over of [failover, roundRobin]) {
    await using one = await startFaultServer();
    await using other = await startFaultServer();
    const transport = over(server(one.port), server(other.port));
    let isLeft = false;
    async function* source(): AsyncGenerator<Message> {
      try {
        for (let index = 0; ; index++) yield message(`to${index}@example.com`);
      } finally {
        isLeft = true;
      }
    }
    let closed: Promise<void> | undefined;
    const receipts: Receipt[] = [];
    for await (const receipt of transport.deliver(source())) {
      receipts.push(receipt);
      closed ??= transport.close();
    }
    await closed;
    assert.ok(isLeft && receipts.length < 30, `${receipts.length} receipts`);
    assert.equal(
      one.accepted.length + other.accepted.length,
      statuses(receipts).filter((each) => each === "accepted").length,
    );
  }
});

test("a server that goes away before an end of data: each message is accepted once, by one or the other", async () => {
  for (const verb of ["MAIL", "RCPT", "DATA"]) {
    let taken = 0;
    await using faulty = await startFaultServer({
      onAccepted: () => void taken++,
      plan: (step) => (step.verb === verb && taken >= 5 ? { kind: "close", done: false } : undefined),
    });
    const second = memoryTransport();
    const transport = failover(server(faulty.port), second);
    const receipts = await deliver(transport, messages(40));
    await transport.close();
    assert.ok(
      statuses(receipts).every((status) => status === "accepted"),
      verb,
    );
    const came = [...faulty.accepted.map(({ forwardPaths }) => forwardPaths[0]), ...subjects(second)].sort();
    assert.deepEqual(
      came,
      messages(40)
        .map(({ subject }) => subject)
        .sort(),
      verb,
    );
    assert.ok(faulty.accepted.length >= 5 && second.box.length > 0, verb);
  }
});

test("what is unknown is never sent again", async () => {
  let data = 0;
  await using lost = await plainServer((line) => (line === "." && ++data === 3 ? null : undefined));
  const second = memoryTransport();
  const transport = failover(server(lost.port, { pipelining: "off" }), second);
  const receipts = await deliver(transport, messages(6));
  await transport.close();
  assert.equal(receipts[2]?.status, "unknown");
  assert.ok(!subjects(second).includes("to2@example.com"));
  assert.equal(statuses(receipts).filter((status) => status === "accepted").length, 5);
  assert.equal(data - 1 + second.box.length, 5);
});

test("a verdict is a verdict: what is refused or deferred by a reply goes nowhere else", async () => {
  await using peer = await startSmtpPeer();
  const second = memoryTransport();
  const transport = failover(server(peer.port), second);
  const list = ["refused@example.com", "deferred@example.com", "x@example.com"].map(message);
  const receipts = await deliver(transport, [...list, new Message({ subject: "a\n", from: "a@example.com" })]);
  await transport.close();
  assert.deepEqual(statuses(receipts), ["refused", "deferred", "accepted", "refused"]);
  assert.equal(second.box.length, 0);
});

test("a server that says 421 is passed over until it has rested, and again in the middle of a delivery", async (t) => {
  let now = 1_000;
  t.mock.method(performance, "now", () => now);
  let isClosed = true;
  await using first = await plainServer((line) => (isClosed && line === "" ? "421 not today\r\n" : undefined));
  const second = memoryTransport();
  const transport = failover(server(first.port), second, { retryAfter: 5_000 });
  assert.deepEqual(statuses(await deliver(transport, messages(3))), ["accepted", "accepted", "accepted"]);
  const connections = first.connections;
  assert.ok(connections > 0);
  now += 4_999;
  await deliver(transport, messages(3));
  assert.deepEqual([first.connections, second.box.length], [connections, 6]);
  isClosed = false;
  const list = messages(10);
  function* source(): Generator<Message> {
    for (const [index, each] of list.entries()) {
      if (index === 4) now += 1;
      yield each;
    }
  }
  assert.ok(statuses(await deliver(transport, source())).every((status) => status === "accepted"));
  await transport.close();
  assert.equal(first.lines.filter((line) => line === ".").length + second.box.length - 6, 10);
  assert.ok(first.lines.includes("RCPT TO:<to9@example.com>"));
});

test("wrong credentials go to the next too; where they are wrong everywhere, the error says where it stopped", async () => {
  await using peer = await startSmtpPeer({ authOptional: false });
  const wrong = (): Transport => server(peer.port, { auth: { user: "me", password: "hunter2" } });
  const second = memoryTransport();
  const one = failover(wrong(), second);
  assert.deepEqual(statuses(await deliver(one, messages(3))), ["accepted", "accepted", "accepted"]);
  await one.close();
  const none = failover(wrong(), wrong());
  await assert.rejects(deliver(none, messages(3)), (error) => error instanceof AuthError && error.nextIndex === 0);
  await none.close();
  assert.equal(peer.messages.length, 0);
});

test("where every transport fails, a message is deferred, and a mailing ends after three rounds", async () => {
  const gone = await startSmtpPeer();
  await gone.close();
  for (const make of [failover, roundRobin]) {
    const transport = make(server(gone.port), server(gone.port), { retryAfter: 0 });
    const [receipt] = await deliver(transport, messages(1));
    assert.deepEqual([receipt?.status, (receipt?.error as PosthasteError).code], ["deferred", "connect"]);
    const receipts: Receipt[] = [];
    let read = 0;
    async function* endless(): AsyncGenerator<Message> {
      for (;;) yield message(`to${read++}@example.com`);
    }
    await assert.rejects(
      async () => {
        for await (const each of transport.deliver(endless())) receipts.push(each);
      },
      (error) => {
        assert.ok(error instanceof PosthasteError);
        const indexes = receipts.map(({ index }) => index).sort((a, b) => a - b);
        assert.deepEqual(indexes, [...Array(error.nextIndex).keys()]);
        return true;
      },
    );
    assert.ok(read < 50, `${read} messages were read`);
    await transport.close();
  }
});

test("a transport that ends without saying where is not trusted: what it had is unknown, and its error is thrown", async () => {
  const broken: Transport = {
    async *deliver(source) {
      for await (const { messageId } of source) {
        if (messageId !== "") throw new TypeError("broken");
        yield { index: 0, messageId, status: "accepted", recipients: [] };
      }
    },
    close: async () => undefined,
  };
  const second = memoryTransport();
  const receipts: Receipt[] = [];
  await assert.rejects(async () => {
    for await (const each of failover(broken, second).deliver(messages(2))) receipts.push(each);
  }, TypeError);
  assert.deepEqual(statuses(receipts), ["unknown"]);
  assert.equal(second.box.length, 0);
});

test("round-robin gives each a message in turn, within a delivery and from one to the next", async () => {
  const boxes = [memoryTransport(), memoryTransport(), memoryTransport()] as const;
  const transport = roundRobin(...boxes);
  await deliver(transport, messages(7));
  assert.deepEqual(
    boxes.map(({ box }) => box.map(({ subject }) => subject[2])),
    [
      ["0", "3", "6"],
      ["1", "4"],
      ["2", "5"],
    ],
  );
  for (const box of boxes) box.clear();
  for (const each of messages(4)) await deliver(transport, [each]);
  assert.deepEqual(
    boxes.map(({ box }) => box.length),
    [1, 2, 1],
  );
});

test("round-robin: the share of one that failed goes to the next, and no message is lost or doubled", async () => {
  const gone = await startSmtpPeer();
  await gone.close();
  const [second, third] = [memoryTransport(), memoryTransport()];
  const transport = roundRobin(server(gone.port), second, third);
  const receipts = await deliver(transport, messages(30));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ index, status }) => [index, status]),
    messages(30).map((_, index) => [index, "accepted"]),
  );
  const came = [...subjects(second), ...subjects(third)].sort();
  assert.deepEqual(
    came,
    messages(30)
      .map(({ subject }) => subject)
      .sort(),
  );
  assert.equal(third.box.length, 10);
});

test("whoever gives something else than transports is told", async () => {
  const one = memoryTransport();
  const rows: readonly [unknown[], string][] = [
    [[], "transports"],
    [[{ retryAfter: 5 }], "transports"],
    [[one, one], "transports"],
    [[one, { retryAfter: -1 }], "retryAfter"],
    [[one, { retryAfter: Number.NaN }], "retryAfter"],
    [[one, { retryafter: 1 }], "retryafter"],
    [[{ retryAfter: 5 }, one], "transports"],
  ];
  for (const [given, setting] of rows) {
    for (const make of [failover, roundRobin]) {
      assert.throws(
        () => make(...(given as Transport[])),
        (error) => error instanceof SettingsError && error.setting === setting,
      );
    }
  }
});

test("closing it closes them all, though one cannot be", async () => {
  const closed: number[] = [];
  const fails = new Error("cannot be closed");
  const transports = [1, 2, 3].map((number): Transport => ({
    deliver: (source) => memoryTransport().deliver(source),
    close: async () => {
      closed.push(number);
      if (number === 1) throw fails;
    },
  }));
  await assert.rejects(failover(...transports).close(), fails);
  assert.deepEqual(closed, [1, 2, 3]);
});
