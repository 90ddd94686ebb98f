/** What every transport must do, as tests: whoever writes one calls {@link testTransport} in a test file of its own. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeliverableMessage, EndOfData, Receipt, Transport } from "../delivery.ts";
import { Message } from "../message/message.ts";

/** What came out of a transport at its other end. */
export interface ReceivedMessage {
  /** The recipients to whom it came, in the envelope's order. */
  readonly forwardPaths: readonly string[];
  /** Its octets, as SMTP would carry them: lines end with CRLF. */
  readonly content: Uint8Array;
}

/** A transport to be tested, and what is behind it. */
export interface TestedTransport {
  /** A new one, that no other test has used. The test closes it, twice. */
  readonly transport: Transport;
  /** What came out so far; left out where nothing comes out that could be compared. */
  readonly received?: (() => readonly ReceivedMessage[] | Promise<readonly ReceivedMessage[]>) | undefined;
  /** How many messages it may read before the first receipt is taken. Default: 100. */
  readonly readAhead?: number | undefined;
  /** Called when the test is over, after the transport was closed. */
  readonly dispose?: (() => void | PromiseLike<void>) | undefined;
}

type Check = (tested: TestedTransport) => Promise<void>;

/**
 * Declares the tests of the transport contract, with `node:test`.
 *
 * @param name what the tests are listed under.
 * @param open makes a transport of its own for each test, which takes whatever message can be rendered.
 */
export function testTransport(name: string, open: () => TestedTransport | Promise<TestedTransport>): void {
  void describe(`${name}: the transport contract`, () => {
    for (const [title, check] of Object.entries(CHECKS)) {
      void it(title, async () => {
        const tested = await open();
        try {
          await check(tested);
          await tested.transport.close();
        } finally {
          await tested.transport.close();
          await tested.dispose?.();
        }
      });
    }
  });
}

const CHECKS: Readonly<Record<string, Check>> = {
  "each message has one receipt, with its index and Message-ID, and its bytes arrive": everyMessage,
  "what cannot be rendered or has no recipient is refused with its error, and the others go out": refusals,
  "streamed content arrives, and a stream that fails defers its message alone": streams,
  "the source is read no further than needed, and left when the receipts are": backPressure,
  "what the source throws is thrown, behind the receipts": brokenSource,
  "an abort ends it, though the source never gives another message": abort,
  "an abort from within the source ends it there, whatever its end throws": abortWithin,
  "what is aborted before it begins delivers nothing": abortedBefore,
  "beforeEndOfData is awaited before a message leaves": endOfData,
  "where beforeEndOfData rejects, nothing leaves and the message is deferred": heldBack,
  "deliveries at the same time do not meet": parallel,
  "without messages there is no receipt, and closing twice is closing once": nothing,
};

const letter = (name: string, fields: object = {}): Message =>
  new Message({
    subject: `${name}: 제목`,
    text: `.${name}\n..점\n`,
    from: "from@example.com",
    to: [`${name}@example.com`],
    ...fields,
  });

const letters = (count: number, prefix = "to"): Message[] =>
  Array.from({ length: count }, (_, index) => letter(`${prefix}${index}`));

const all = async (receipts: AsyncIterable<Receipt>): Promise<Receipt[]> =>
  (await Array.fromAsync(receipts)).sort((one, other) => one.index - other.index);

const statuses = (receipts: readonly Receipt[]): unknown[] => receipts.map(({ index, status }) => [index, status]);

async function everyMessage({ transport, received }: TestedTransport): Promise<void> {
  const messages = [...letters(12), letter("attached", { attachments: [{ filename: "a.bin", content: OCTETS }] })];
  const receipts = await all(transport.deliver(messages));
  assert.deepEqual(
    receipts.map(({ index, messageId, status, recipients }) => ({
      index,
      messageId,
      status,
      recipients: recipients.map(({ address, status }) => [address, status]),
    })),
    messages.map(({ messageId, to }, index) => ({
      index,
      messageId,
      status: "accepted",
      recipients: [[to[0], "accepted"]],
    })),
  );
  const came = new Map((await received?.())?.map(({ forwardPaths, content }) => [forwardPaths.join(), text(content)]));
  if (received === undefined) return;
  assert.equal(came.size, messages.length);
  for (const message of messages) assert.equal(came.get(message.to.join()), text(message.toBytes()));
}

const OCTETS = Uint8Array.from({ length: 10_000 }, (_, index) => index % 256);

const text = (octets: Uint8Array): string => Buffer.from(octets).toString("latin1");

async function refusals({ transport, received }: TestedTransport): Promise<void> {
  const foreign: DeliverableMessage = {
    messageId: "<foreign@example.com>",
    envelope: () => ({ reversePath: "", forwardPaths: ["a@example.com>\r\nDATA"] }),
    toBytes: () => Buffer.from("Subject: a\r\n\r\nb\r\n"),
  };
  const messages = [
    letter("first"),
    letter("injected", { subject: "a\r\nBcc: evil@example.com" }),
    letter("nobody", { to: [] }),
    letter("misspelt", { to: ["no address"] }),
    foreign,
    letter("last"),
  ];
  const receipts = await all(transport.deliver(messages));
  const expected = ["accepted", "refused", "refused", "refused", "refused", "accepted"];
  assert.deepEqual(statuses(receipts), [...expected.entries()]);
  const codes = receipts.map(({ error }) => (error as { code?: string } | undefined)?.code);
  assert.deepEqual(codes, [
    undefined,
    "header-control",
    "no-recipients",
    "address-syntax",
    "address-syntax",
    undefined,
  ]);
  if (received !== undefined) assert.equal((await received()).length, 2);
}

async function streams({ transport, received }: TestedTransport): Promise<void> {
  const streamed = (name: string, fails: boolean): Message =>
    letter(name, {
      attachments: [
        {
          filename: "a.bin",
          async *content() {
            for (let octet = 0; octet < 5; octet++) yield new Uint8Array(10_000).fill(octet);
            if (fails) throw new Error("the stream broke");
          },
        },
      ],
    });
  const messages = [streamed("broken", true), streamed("whole", false)];
  const receipts = await all(transport.deliver(messages));
  assert.deepEqual(statuses(receipts), [
    [0, "deferred"],
    [1, "accepted"],
  ]);
  if (received === undefined) return;
  const [came, ...others] = await received();
  assert.equal(others.length, 0, "nothing came of the broken one");
  assert.equal(
    text(came?.content ?? new Uint8Array()),
    text(Buffer.concat(await Array.fromAsync(messages[1]!.toStream()))),
  );
}

async function backPressure({ transport, readAhead = 100 }: TestedTransport): Promise<void> {
  let read = 0;
  let isLeft = false;
  async function* endless(): AsyncGenerator<Message> {
    try {
      for (;;) yield letter(`to${read++}`);
    } finally {
      isLeft = true;
    }
  }
  let taken = 0;
  for await (const { status } of transport.deliver(endless())) {
    assert.equal(status, "accepted");
    assert.ok(read <= taken + readAhead, `${read} messages were read when ${taken} receipts were taken`);
    if (++taken === 5) break;
  }
  assert.equal(isLeft, true);
}

async function brokenSource({ transport }: TestedTransport): Promise<void> {
  const broken = new RangeError("the source broke");
  async function* source(): AsyncGenerator<Message> {
    yield* letters(3);
    throw broken;
  }
  const receipts: Receipt[] = [];
  await assert.rejects(async () => {
    for await (const receipt of transport.deliver(source())) receipts.push(receipt);
  }, broken);
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "accepted", "accepted"],
  );
}

async function abort({ transport }: TestedTransport): Promise<void> {
  const controller = new AbortController();
  async function* source(): AsyncGenerator<Message> {
    yield letter("first");
    await new Promise(() => undefined);
  }
  const receipts: Receipt[] = [];
  for await (const receipt of transport.deliver(source(), { signal: controller.signal })) {
    receipts.push(receipt);
    controller.abort();
  }
  assert.deepEqual(statuses(receipts), [[0, "accepted"]]);
}

async function abortWithin({ transport }: TestedTransport): Promise<void> {
  const controller = new AbortController();
  let ends = 0;
  const end = (): never => assert.fail(`ended ${++ends} times`);
  function* source(): Generator<Message> {
    try {
      yield letter("first");
      controller.abort();
      yield letter("second");
      assert.fail("read on");
    } finally {
      end();
    }
  }
  const receipts = await all(transport.deliver(source(), { signal: controller.signal }));
  assert.ok(receipts.every(({ status }) => status === "accepted" || status === "deferred"));
  assert.equal(ends, 1);
}

async function abortedBefore({ transport, received }: TestedTransport): Promise<void> {
  const receipts = await all(transport.deliver(letters(2), { signal: AbortSignal.abort() }));
  assert.ok(receipts.every(({ status }) => status === "deferred"));
  if (received !== undefined) assert.equal((await received()).length, 0);
}

async function endOfData({ transport, received }: TestedTransport): Promise<void> {
  const messages = letters(6);
  const told: EndOfData[] = [];
  const beforeEndOfData = async (batch: readonly EndOfData[]): Promise<void> => {
    const before = (await received?.())?.map(({ forwardPaths }) => forwardPaths[0]) ?? [];
    await new Promise((resolve) => setImmediate(resolve));
    for (const { index } of batch) assert.ok(!before.includes(messages[index]?.to[0]), `${index} had left already`);
    told.push(...batch);
  };
  for await (const { index } of transport.deliver(messages, { beforeEndOfData }))
    assert.ok(
      told.some((each) => each.index === index),
      `${index} has a verdict, and was never told of`,
    );
  assert.deepEqual(
    told.sort((one, other) => one.index - other.index),
    messages.map(({ messageId }, index) => ({ index, messageId })),
  );
}

async function heldBack({ transport, received }: TestedTransport): Promise<void> {
  const beforeEndOfData = (): Promise<void> => Promise.reject(new Error("the disk is full"));
  const receipts = await all(transport.deliver(letters(3), { beforeEndOfData }));
  assert.deepEqual(statuses(receipts), [
    [0, "deferred"],
    [1, "deferred"],
    [2, "deferred"],
  ]);
  assert.ok(receipts.every(({ error }) => error !== undefined));
  if (received !== undefined) assert.equal((await received()).length, 0);
}

async function parallel({ transport, received }: TestedTransport): Promise<void> {
  const lists = ["a", "b", "c"].map((prefix) => letters(5, prefix));
  const receipts = await Promise.all(lists.map((messages) => all(transport.deliver(messages))));
  receipts.forEach((list, number) =>
    assert.deepEqual(
      list.map(({ messageId, status }) => [messageId, status]),
      lists[number]?.map(({ messageId }) => [messageId, "accepted"]),
    ),
  );
  if (received === undefined) return;
  const came = (await received()).map(({ content }) => text(content)).sort();
  assert.deepEqual(
    came,
    lists
      .flat()
      .map((message) => text(message.toBytes()))
      .sort(),
  );
}

async function nothing({ transport }: TestedTransport): Promise<void> {
  assert.deepEqual(await Array.fromAsync(transport.deliver([])), []);
  await Promise.all([transport.close(), transport.close()]);
  await transport.close();
}
