import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type DeliverableMessage,
  type Receipt,
  type ReceiptStatus,
  type RecipientStatus,
  SmtpError,
  smtpTransport,
  TlsError,
  type Transport,
} from "posthaste";
import { type Letter, letterFor, octetsOf, PITFALLS, schedules, type ScheduleName } from "./peer/letter.ts";
import {
  type Fault,
  type FaultPlan,
  type FaultServer,
  limitsMessages,
  limitsRecipients,
  refusesBehindDot,
  refusesChunks,
  refusesGroups,
  refusesMailBehindDot,
  type ServerStep,
  startFaultServer,
} from "./peer/fault-server.ts";
import { KEYWORDS, type ServerVerb } from "./peer/server-session.ts";

/** How long a client waits for a server that says nothing, in milliseconds, where that is what is tested. */
const SHORT = { command: 1000, endOfData: 1000 };

interface Delivered {
  readonly receipts: readonly Receipt[];
  /** What ended the delivery, if it did not go through. */
  readonly error: unknown;
}

/** One delivery, each message with at most one receipt, and none tried from the index on that an error names. */
async function deliver(
  transport: Transport,
  letters: readonly DeliverableMessage[],
  options?: Parameters<Transport["deliver"]>[1],
): Promise<Delivered> {
  const receipts: Receipt[] = [];
  let error: unknown;
  try {
    for await (const receipt of transport.deliver(letters, options)) receipts.push(receipt);
  } catch (thrown) {
    error = thrown;
  }
  const end = error === undefined ? letters.length : ((error as SmtpError).nextIndex ?? NaN);
  const indexes = receipts.map(({ index }) => index).sort((a, b) => a - b);
  assert.deepEqual(
    indexes,
    Array.from({ length: end }, (_, index) => index),
    `one receipt each; ended by ${String(error)}`,
  );
  for (const { index, messageId } of receipts) assert.equal(messageId, letters[index]?.messageId);
  return { receipts: receipts.toSorted((a, b) => a.index - b.index), error };
}

async function deliverTo(
  server: FaultServer,
  schedule: ScheduleName,
  letters: readonly DeliverableMessage[],
  options: object = {},
): Promise<Delivered> {
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port, ...schedules[schedule], ...options });
  try {
    return await deliver(transport, letters);
  } finally {
    await transport.close();
  }
}

const statuses = ({ receipts }: Delivered): ReceiptStatus[] => receipts.map(({ status }) => status);

/** What the server took is what the letters say: nothing under another's sender, with another's recipients or content. */
function assertOwn(server: FaultServer, letters: readonly Letter[]): void {
  for (const { reversePath, forwardPaths, content } of server.accepted) {
    const letter = letters.find((each) => each.envelope().reversePath === reversePath);
    assert.ok(letter, `accepted under <${reversePath}>`);
    const foreign = forwardPaths.filter((path) => !letter.envelope().forwardPaths.includes(path));
    assert.deepEqual(foreign, [], `recipients of another message under <${reversePath}>`);
    assert.ok(content.equals(octetsOf(letter)), `other content under <${reversePath}>`);
  }
}

/** A server that does not know BDAT would read the message as commands. */
function assertNoChunkUnlessOffered(server: FaultServer, keywords: readonly string[] = KEYWORDS): void {
  if (keywords.includes("CHUNKING")) return;
  assert.deepEqual(
    server.steps.filter(({ verb }) => verb === "BDAT").map(({ line }) => line),
    [],
  );
}

/** How often the server took a message for a recipient. */
function acceptances(server: FaultServer, { reversePath }: { reversePath: string }, address: string): number {
  return server.accepted.filter((each) => each.reversePath === reversePath && each.forwardPaths.includes(address))
    .length;
}

/** The verdicts are true: who is reported accepted was, who is reported deferred or refused was not. */
function assertTrue(server: FaultServer, letters: readonly Letter[], receipts: readonly Receipt[]): void {
  for (const { index, recipients } of receipts) {
    const envelope = letters[index]!.envelope();
    assert.deepEqual(
      recipients.map(({ address }) => address),
      envelope.forwardPaths,
    );
    for (const { address, status } of recipients) {
      const count = acceptances(server, envelope, address);
      const allowed = { accepted: [1], unknown: [0, 1], deferred: [0], refused: [0] }[status];
      assert.ok(allowed.includes(count), `${address} is reported ${status} and was accepted ${count} times`);
    }
  }
}

/** The statuses that a row allows where the network decides, else the one. */
type Expected = ReceiptStatus | readonly ReceiptStatus[];

interface Row {
  readonly fault: Fault;
  /** At MAIL and RCPT; at DATA; at the end of data. */
  readonly expected: readonly [envelope: Expected, data: Expected, endOfData: Expected];
  /** In a window the end of data has left by the time that MAIL is answered. Default: the first, and the last. */
  readonly window?: readonly [envelope: Expected, endOfData: Expected];
}

const reply = (text: string, closes = false): Fault => ({ kind: "reply", text, closes });
const broken: Pick<Row, "expected" | "window"> = {
  expected: ["deferred", "deferred", "unknown"],
  window: ["unknown", "unknown"],
};

/** In a window a reply that nobody asked for can be taken for another's: that is why it is opt-in. */
const WINDOW_CANNOT_TELL = [
  ["accepted", "deferred", "unknown"],
  ["accepted", "deferred", "unknown"],
] as const;

const ROWS: readonly Row[] = [
  { fault: { kind: "close", done: false }, ...broken },
  { fault: { kind: "close", done: true }, ...broken },
  { fault: { kind: "reset", done: false }, ...broken },
  { fault: { kind: "reset", done: true }, ...broken },
  { fault: { kind: "stall", done: false }, ...broken },
  { fault: { kind: "stall", done: true }, ...broken },
  { fault: { kind: "garbage", done: false }, ...broken },
  { fault: { kind: "garbage", done: true }, ...broken },
  { fault: { kind: "endless", done: false }, ...broken },
  // Behind its 354 the content may leave before the end of the connection shows.
  {
    fault: { kind: "close behind the reply" },
    expected: ["deferred", ["deferred", "unknown"], "accepted"],
    window: ["unknown", "accepted"],
  },
  // A reply that was there before the content left is not the reply to its end.
  { fault: { kind: "unasked" }, expected: ["deferred", "deferred", "accepted"], window: WINDOW_CANNOT_TELL },
  { fault: { kind: "octets" }, expected: ["accepted", "accepted", "accepted"] },
  { fault: { kind: "glue" }, expected: ["accepted", "accepted", "accepted"] },
  { fault: reply("421 4.3.2 shutting down", true), expected: ["deferred", "deferred", "deferred"] },
  { fault: reply("451 4.3.0 later"), expected: ["deferred", "deferred", "deferred"] },
  { fault: reply("550 5.7.1 never"), expected: ["refused", "refused", "refused"] },
  { fault: reply("334 continue"), ...broken },
];

const STEPS = ["MAIL", "RCPT", "DATA", "end-of-data"] as const;

const describeFault = (fault: Fault): string =>
  fault.kind === "reply"
    ? fault.text.slice(0, 3)
    : `${fault.kind}${"done" in fault && fault.done === true ? ", done" : ""}`;

/** The letters of a table's row; the second is the one that something happens to. */
const three = (): readonly [Letter, Letter, Letter] => [letterFor("first"), letterFor("marked"), letterFor("third")];

const strikes =
  (verb: ServerVerb, fault: Fault): FaultPlan =>
  (step) =>
    step.verb === verb && step.reversePath === "marked@from.example" ? fault : undefined;

function expectedIn(schedule: ScheduleName, step: (typeof STEPS)[number], row: Row): Expected {
  if (schedule === "window" && row.window !== undefined) return row.window[step === "end-of-data" ? 1 : 0];
  return row.expected[step === "end-of-data" ? 2 : step === "DATA" ? 1 : 0];
}

function assertStatus(actual: ReceiptStatus | undefined, expected: Expected, what: string): void {
  const allowed = typeof expected === "string" ? [expected] : expected;
  assert.ok(
    actual !== undefined && allowed.includes(actual),
    `${what}: ${actual ?? "none"}, not ${allowed.join(" or ")}`,
  );
}

/** Of a message that was ahead of its verdict in a window when the connection broke; 421 says that it was not done. */
function behind(schedule: ScheduleName, fault: Fault): Expected {
  const saysNothing = fault.kind !== "octets" && fault.kind !== "glue" && fault.kind !== "reply";
  const isOutOfStep = fault.kind === "reply" && fault.text.startsWith("3");
  return schedule === "window" && (saysNothing || isOutOfStep) ? ["accepted", "unknown"] : "accepted";
}

async function runRow(schedule: ScheduleName, step: (typeof STEPS)[number], row: Row): Promise<void> {
  const what = `${describeFault(row.fault)} at ${step}, ${schedule}`;
  const verb = schedule === "window" && step === "end-of-data" ? "BDAT" : step;
  await using server = await startFaultServer({ plan: strikes(verb, row.fault) });
  const letters = three();
  const timeouts = row.fault.kind === "stall" ? SHORT : {};
  const delivered = await deliverTo(server, schedule, letters, { timeouts });
  assert.equal(delivered.error, undefined, what);
  const [first, marked, third] = statuses(delivered);
  assertStatus(marked, expectedIn(schedule, step, row), what);
  // Replies that the client has not read yet may be lost when the connection breaks.
  assertStatus(first, row.fault.kind === "reset" ? ["accepted", "unknown"] : "accepted", `${what}, the message before`);
  assertStatus(third, behind(schedule, row.fault), `${what}, the message behind`);
  assertTrue(server, letters, delivered.receipts);
  assertOwn(server, letters);
  const ends = server.steps.filter((each) => each.verb === verb && each.reversePath === "marked@from.example");
  if (marked === "unknown") assert.ok(ends.length <= 1, `${what}: tried again though unknown`);
}

describe("a fault at a step has one verdict, and the messages beside it have theirs", { concurrency: 8 }, () => {
  for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
    for (const row of ROWS) {
      test(`${schedule}: ${describeFault(row.fault)}`, async () => {
        const steps = STEPS.filter((step) => schedule !== "window" || step !== "DATA");
        await Promise.all(steps.map((step) => runRow(schedule, step, row)));
      });
    }
  }
});

const SHUTDOWN = reply("421 4.3.2 shutting down", true);

/** Faults before there is a transaction, on every connection. */
const SESSION_FAULTS: readonly Fault[] = [
  { kind: "close", done: false },
  { kind: "reset", done: false },
  { kind: "stall", done: false },
  { kind: "garbage", done: false },
  { kind: "endless", done: false },
  { kind: "unasked" },
  SHUTDOWN,
  reply("451 4.3.0 later"),
  reply("354 go on"),
];

describe("a session that never begins defers what it was for, and ends the delivery", { concurrency: 8 }, () => {
  for (const verb of ["greeting", "EHLO"] as const) {
    for (const fault of [...SESSION_FAULTS, ...(verb === "greeting" ? [reply("554 5.7.1 no")] : [])]) {
      test(`${describeFault(fault)} at ${verb}`, async () => {
        await using server = await startFaultServer({ plan: (step) => (step.verb === verb ? fault : undefined) });
        const letters = Array.from({ length: 9 }, (_, index) => letterFor(`letter${index}`));
        const timeouts = fault.kind === "stall" ? SHORT : {};
        const delivered = await deliverTo(server, "across", letters, { timeouts });
        assert.ok(delivered.error instanceof SmtpError, String(delivered.error));
        assert.deepEqual(
          [...new Set(statuses(delivered))].filter((status) => status !== "deferred"),
          [],
        );
        assert.equal(server.accepted.length, 0);
      });
    }
  }
});

/**
 * A window rests on a server that obeys RSET and says nothing unasked: the next message is under way before the
 * reply to RSET comes. That is why it is opt-in.
 */
function isWithstoodInWindow(fault: Fault): boolean {
  return fault.kind !== "unasked" && (fault.kind !== "reply" || fault === SHUTDOWN);
}

test("a delivery that ends after three connections has a receipt for every message that is in doubt", async () => {
  for (const schedule of ["lockstep", "grouped", "across", "window", "pool"] as const) {
    await using server = await startFaultServer({
      plan: ({ verb }) => (verb === "end-of-data" || verb === "BDAT" ? { kind: "close", done: true } : undefined),
    });
    const letters = Array.from({ length: 9 }, (_, index) => letterFor(`letter${index}`));
    const { receipts, error } = await deliverTo(server, schedule, letters);
    assert.ok(error instanceof SmtpError, schedule);
    const unknown = receipts.filter(({ status }) => status === "unknown").map(({ index }) => letters[index]!.name);
    const accepted = server.accepted.map(({ reversePath }) => reversePath.split("@", 1)[0]!);
    assert.deepEqual(
      accepted.filter((name) => !unknown.includes(name)),
      [],
      schedule,
    );
    assert.equal(new Set(accepted).size, accepted.length, schedule);
  }
});

test("a server without EHLO gets HELO, and mail", async () => {
  for (const text of ["500 5.5.2 what", "502 5.5.1 no EHLO"]) {
    await using server = await startFaultServer({
      plan: ({ verb }) => (verb === "EHLO" ? reply(text) : undefined),
    });
    const letters = three();
    const delivered = await deliverTo(server, "across", letters);
    assert.deepEqual(statuses(delivered), ["accepted", "accepted", "accepted"]);
    assertOwn(server, letters);
  }
});

describe("what becomes of RSET and QUIT changes no verdict", { concurrency: 8 }, () => {
  for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
    for (const verb of ["RSET", "QUIT"] as const) {
      const faults = SESSION_FAULTS.filter((fault) => schedule !== "window" || isWithstoodInWindow(fault));
      for (const fault of faults) {
        test(`${schedule}: ${describeFault(fault)} at ${verb}`, async () => {
          await using server = await startFaultServer({ plan: (step) => (step.verb === verb ? fault : undefined) });
          const [first, second, third] = three();
          const letters = [first, letterFor("nobody", ["refused@to.example"]), second, third];
          const timeouts = fault.kind === "stall" ? SHORT : {};
          const delivered = await deliverTo(server, schedule, letters, { timeouts });
          assert.equal(delivered.error, undefined);
          const [a, b, c, d] = statuses(delivered);
          assert.deepEqual([a, b], ["accepted", "refused"]);
          const rest = schedule === "window" && fault !== SHUTDOWN ? (["accepted", "unknown"] as const) : "accepted";
          for (const status of [c, d]) assertStatus(status, rest, "behind it");
          assertTrue(server, letters, delivered.receipts);
          assertOwn(server, letters);
        });
      }
    }
  }
});

/** Servers that are as they should not be, and what becomes of three messages. */
const DEVIANTS: readonly {
  readonly name: string;
  readonly options: Parameters<typeof startFaultServer>[0];
  readonly expected: Partial<Record<ScheduleName, Expected>> & { readonly all: Expected };
}[] = [
  { name: "503 to all that stands behind a dot", options: { plan: refusesBehindDot }, expected: { all: "accepted" } },
  {
    name: "503 to all that stands behind a dot but RSET",
    options: { plan: refusesMailBehindDot },
    expected: { all: "accepted" },
  },
  {
    name: "PIPELINING on offer, and 500 to each command of a group but the first",
    options: { plan: refusesGroups },
    expected: { all: "refused", lockstep: "accepted" },
  },
  {
    name: "421 to MAIL after one message of a connection",
    options: { plan: limitsMessages(1, "MAIL", "421 4.7.0 enough", true) },
    expected: { all: "accepted" },
  },
  {
    name: "452 to MAIL after one message of a connection",
    options: { plan: limitsMessages(1, "MAIL", "452 4.7.0 enough", false) },
    expected: { all: "accepted" },
  },
  {
    name: "554 to RSET after one message of a connection, and its end",
    options: { plan: limitsMessages(1, "RSET", "554 5.7.0 enough", true) },
    expected: { all: "accepted", window: ["accepted", "unknown"] },
  },
  {
    name: "SIZE of one octet",
    options: { keywords: ["PIPELINING", "CHUNKING", "SIZE 1"] },
    expected: { all: "refused" },
  },
  { name: "no extension at all", options: { keywords: [] }, expected: { all: "accepted" } },
  { name: "PIPELINING without CHUNKING", options: { keywords: ["PIPELINING"] }, expected: { all: "accepted" } },
  { name: "CHUNKING without PIPELINING", options: { keywords: ["CHUNKING"] }, expected: { all: "accepted" } },
  {
    name: "CHUNKING on offer, and BDAT refused, its chunk eaten",
    options: { plan: refusesChunks },
    expected: { all: "accepted" },
  },
  {
    name: "CHUNKING on offer, and BDAT refused, its chunk read as commands",
    options: { readsChunksAsCommands: true },
    expected: { all: "accepted" },
  },
];

describe("servers that lie about what they can", { concurrency: 8 }, () => {
  for (const { name, options, expected } of DEVIANTS) {
    for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
      test(`${schedule}: ${name}`, async () => {
        await using server = await startFaultServer(options);
        const letters = three();
        const delivered = await deliverTo(server, schedule, letters);
        assert.equal(delivered.error, undefined);
        for (const { status, index } of delivered.receipts)
          assertStatus(status, expected[schedule] ?? expected.all, `message ${index}`);
        assertNoChunkUnlessOffered(server, options?.keywords);
        assertTrue(server, letters, delivered.receipts);
        assertOwn(server, letters);
      });
    }
  }
});

describe("a transaction that came to nothing leaves no sender behind", { concurrency: 8 }, () => {
  const refused = ["refused1@to.example", "refused2@to.example"];
  const marked = (verb: ServerVerb, fault: Fault): FaultPlan => strikes(verb, fault);
  const cases: readonly [name: string, Parameters<typeof startFaultServer>[0], forwardPaths: readonly string[]][] = [
    ["all recipients refused", {}, refused],
    ["all recipients refused, and yet 354", { dataWithoutRecipient: 354 }, refused],
    ["DATA refused", { plan: marked("DATA", reply("550 5.7.1 never")) }, ["marked@to.example"]],
    ["MAIL refused", { plan: marked("MAIL", reply("550 5.7.1 never")) }, ["marked@to.example"]],
    [
      "MAIL refused, and yet its recipients accepted",
      { plan: marked("MAIL", { kind: "reply", text: "550 5.7.1 never", done: true }) },
      ["marked@to.example"],
    ],
  ];
  for (const [name, options, forwardPaths] of cases) {
    for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
      // A window has sent the message before the lie about MAIL can show.
      if (schedule === "window" && (name === "DATA refused" || name.startsWith("MAIL refused, and yet"))) continue;
      test(`${schedule}: ${name}`, async () => {
        await using server = await startFaultServer(options);
        const letters = [letterFor("first"), letterFor("marked", forwardPaths), letterFor("third")];
        const delivered = await deliverTo(server, schedule, letters);
        assert.deepEqual(statuses(delivered), ["accepted", "refused", "accepted"]);
        assert.equal(delivered.error, undefined);
        assertTrue(server, letters, delivered.receipts);
        assertOwn(server, letters);
        assert.deepEqual(
          server.accepted.map(({ reversePath }) => reversePath),
          ["first@from.example", "third@from.example"],
        );
      });
    }
  }
});

test("more recipients than a transaction takes go in as many transactions as it needs", async () => {
  for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
    await using server = await startFaultServer({ plan: limitsRecipients(2) });
    const many = ["a", "b", "refused", "c", "d", "e"].map((name) => `${name}@to.example`);
    const letters = [letterFor("first"), letterFor("many", many), letterFor("third")];
    const delivered = await deliverTo(server, schedule, letters);
    assert.deepEqual(statuses(delivered), ["accepted", "partial", "accepted"], schedule);
    assert.deepEqual(
      delivered.receipts[1]?.recipients.map(({ status }) => status),
      many.map((address) => (address.startsWith("refused") ? "refused" : "accepted")),
      schedule,
    );
    assertTrue(server, letters, delivered.receipts);
    assertOwn(server, letters);
  }
});

test("bytes behind the 220 of STARTTLS are an error, and no mail leaves", async () => {
  await using server = await startFaultServer({
    keywords: ["STARTTLS"],
    plan: ({ verb }) => (verb === "STARTTLS" ? { kind: "unasked" } : undefined),
  });
  const letters = three();
  const delivered = await deliverTo(server, "across", letters, { tls: "starttls" });
  assert.ok(delivered.error instanceof SmtpError);
  for (const { error, status } of delivered.receipts) {
    assert.equal(status, "deferred");
    assert.ok(error instanceof TlsError && error.code === "starttls-injection", String(error));
  }
  assert.deepEqual([...new Set(server.steps.map(({ verb }) => verb))], ["greeting", "EHLO", "STARTTLS"]);
});

describe("LMTP has a verdict of its own for each recipient", { concurrency: 8 }, () => {
  const forwardPaths = ["a@to.example", "late@to.example", "refused@to.example", "b@to.example"];
  for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
    test(`${schedule}: accepted, refused after the end of data, refused before`, async () => {
      await using server = await startFaultServer({ protocol: "lmtp" });
      const letters = [letterFor("first"), letterFor("marked", forwardPaths), letterFor("third")];
      const delivered = await deliverTo(server, schedule, letters, { protocol: "lmtp" });
      assert.deepEqual(statuses(delivered), ["accepted", "partial", "accepted"]);
      assert.deepEqual(
        delivered.receipts[1]?.recipients.map(({ status }) => status),
        ["accepted", "refused", "refused", "accepted"],
      );
      assertTrue(server, letters, delivered.receipts);
      assertOwn(server, letters);
    });
  }
  for (const schedule of ["lockstep", "grouped", "across"] as const) {
    test(`${schedule}: the connection ends between the replies`, async () => {
      const half = { kind: "reply", text: "250 2.1.5 <a@to.example> accepted", done: true, closes: true } as const;
      await using server = await startFaultServer({ protocol: "lmtp", plan: strikes("end-of-data", half) });
      const letters = [letterFor("first"), letterFor("marked", forwardPaths), letterFor("third")];
      const delivered = await deliverTo(server, schedule, letters, { protocol: "lmtp" });
      assert.deepEqual(statuses(delivered), ["accepted", "partial", "accepted"]);
      assert.deepEqual(
        delivered.receipts[1]?.recipients.map(({ status }) => status),
        ["accepted", "unknown", "refused", "unknown"],
      );
    });
  }
});

/** How a message's content is handed over. */
type Handing = (content: Buffer) => DeliverableMessage["streaming"];

const streaming = (open: () => AsyncIterable<Uint8Array>): DeliverableMessage["streaming"] => ({
  size: undefined,
  eightBit: false,
  smtpUtf8: false,
  open,
});

const HANDINGS: Readonly<Record<string, Handing>> = {
  bytes: () => undefined,
  "a stream of one piece": (content) =>
    streaming(async function* () {
      yield await Promise.resolve(content);
    }),
  "a stream of octets": (content) =>
    streaming(async function* () {
      for (const octet of content) yield await Promise.resolve(Uint8Array.of(octet));
    }),
};

/** Contents that end, or seem to end, where a careless encoder goes wrong (RFC 5321 sections 2.3.8 and 4.5.2). */
const CONTENTS: readonly string[] = [
  "",
  ".",
  "..",
  ".\r\n",
  "..\r\n",
  ".\r\n.\r\n.\r\n",
  ".\n.\n.",
  ".\r.\r.",
  "\r\n.\r\n",
  "\n.\n",
  "\r.\r",
  "\n.\r\n",
  "\r\n.\r",
  "\r\n",
  "\n",
  "\r",
  "\r\r\n",
  "\n\r",
  "no line end",
  "a bare carriage return\r",
  "a dot behind it\r\n.",
  "two lines\r\nthe last without an end",
  ".".repeat(70_000),
  ".\r\n".repeat(30_000),
  `${"x".repeat(65_535)}\r\n.\r\nMAIL FROM:<smuggled@evil.example>\r\n`,
];

function letterOf(name: string, content: Buffer, handing: Handing): Letter {
  const letter = letterFor(name);
  return { ...letter, toBytes: () => content, streaming: handing(content) };
}

describe("whatever the content is, the server has it, and nothing behind it", { concurrency: 8 }, () => {
  for (const schedule of ["lockstep", "grouped", "across", "window"] as const) {
    for (const [name, handing] of Object.entries(HANDINGS)) {
      test(`${schedule}: ${name}`, async () => {
        await using server = await startFaultServer();
        const contents = name === "a stream of octets" ? CONTENTS.filter(({ length }) => length < 100) : CONTENTS;
        const letters = contents.map((content, index) => letterOf(`letter${index}`, Buffer.from(content), handing));
        const delivered = await deliverTo(server, schedule, letters);
        assert.deepEqual(new Set(statuses(delivered)), new Set(["accepted"]));
        for (const [index, content] of contents.entries()) {
          // A last line without an end gets one (section 4.1.1.4).
          const lines = content.replace(/\r\n|\r|\n/g, "\r\n");
          const expected = lines === "" || lines.endsWith("\r\n") ? lines : `${lines}\r\n`;
          const taken = server.accepted[index];
          assert.equal(taken?.reversePath, `letter${index}@from.example`);
          assert.ok(taken.content.equals(Buffer.from(expected)), JSON.stringify(content.slice(0, 60)));
        }
        assert.equal(server.accepted.length, contents.length);
      });
    }
  }
});

/** What a stream gives before it fails; as text, each piece of its own. */
const BROKEN_OFF: readonly (readonly string[])[] = [
  [],
  [""],
  ["Subject: x"],
  ["Subject: x\r\n\r\nwhole lines\r\n"],
  // If what was given ended the message, it would be accepted as it is.
  ["Subject: x\r\n\r\nend\r\n.\r\n"],
  ["Subject: x\r\n\r\nend\r\n", ".", "\r\n"],
  ["Subject: x\r\n\r\nend\r\n.\r\nQUIT\r\n"],
  ["Subject: x\r\n\r\n", "y".repeat(70_000)],
  // More than the connection takes at once.
  Array.from({ length: 14 }, () => "z".repeat(65_534) + "\r\n"),
];

describe(
  "of a message whose stream fails the server accepts nothing, and of its neighbours all",
  { concurrency: 8 },
  () => {
    for (const schedule of ["lockstep", "grouped", "across", "window", "pool"] as const) {
      for (const [index, pieces] of BROKEN_OFF.entries()) {
        test(`${schedule}: behind ${pieces.length} pieces (${index})`, async () => {
          await using server = await startFaultServer();
          const [first, marked, third] = three();
          async function* broken(): AsyncGenerator<Uint8Array> {
            for (const piece of pieces) yield await Promise.resolve(Buffer.from(piece));
            throw new Error("the file is gone");
          }
          const letters = [first, { ...marked, streaming: streaming(broken) }, third];
          const delivered = await deliverTo(server, schedule, letters);
          assert.deepEqual(statuses(delivered), ["accepted", "deferred", "accepted"]);
          assert.match(String(delivered.receipts[1]?.error?.cause), /the file is gone/);
          assert.deepEqual(server.accepted.map(({ reversePath }) => reversePath).toSorted(), [
            "first@from.example",
            "third@from.example",
          ]);
          assertOwn(server, letters);
        });
      }
    }
  },
);

/** A source of chance that gives the same from the same seed (mulberry32). */
type Chance = () => number;

function chanceFrom(...seeds: readonly number[]): Chance {
  let state = seeds.reduce((mixed, seed) => Math.imul(mixed ^ seed, 0x9e3779b1) ^ (mixed >>> 15), 0x2545f491);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (chance: Chance, end: number): number => Math.floor(chance() * end);
const pick = <T>(chance: Chance, from: readonly T[]): T => from[below(chance, from.length)]!;

/** What a reply says names whom it is about, so that one that is taken for another's shows. */
function randomFault(chance: Chance, schedule: ScheduleName, step: ServerStep): Fault {
  const about = `${step.line.startsWith("RCPT") ? step.line : ""} <${step.reversePath ?? ""}>`;
  const done = chance() < 0.5;
  const kinds: readonly Fault[] = [
    { kind: "close", done },
    { kind: "close", done },
    { kind: "close behind the reply" },
    { kind: "reset", done },
    { kind: "stall", done },
    { kind: "garbage", done },
    { kind: "endless", done },
    { kind: "octets" },
    { kind: "glue" },
    reply(`421 4.3.2 shutting down ${about}`, true),
    reply(`421 4.3.2 shutting down ${about}`, true),
    reply(`451 4.3.0 later ${about}`),
    reply(`452 4.2.2 full ${about}`),
    reply(`550 5.7.1 never ${about}`),
    // A server that says 354 and then reads commands cannot be withstood.
    reply(`${step.verb === "DATA" ? "250" : "354"} what ${about}`),
    // Within a group nobody can tell which of the replies was the one too many.
    ...(step.verb === "DATA" || (schedule === "grouped" && step.verb === "end-of-data")
      ? [{ kind: "unasked" } as const]
      : []),
  ];
  const isReset = step.verb === "RSET" && schedule === "window";
  return pick(chance, isReset ? kinds.filter((fault) => fault.kind !== "reply" || fault.closes === true) : kinds);
}

/** How often a step goes wrong; the end of data more often than the rest, since that is where doubt comes from. */
const FAULT_RATE = 0.03;
const END_FAULT_RATE = 0.2;

/** The same faults for the same steps of the same connection, whatever the other connections do meanwhile. */
function randomPlan(seed: number, schedule: ScheduleName): FaultPlan {
  const chances = new Map<number, Chance>();
  const deviation = pick<FaultPlan>(chanceFrom(seed, 1), [
    ...Array.from({ length: 6 }, () => () => undefined),
    refusesBehindDot,
    refusesMailBehindDot,
    limitsMessages(3, "MAIL", "421 4.7.0 enough", true),
    limitsMessages(3, "RSET", "554 5.7.0 enough", true),
    limitsRecipients(2),
  ]);
  return (step) => {
    const chance = chances.get(step.connection) ?? chanceFrom(seed, step.connection, 2);
    chances.set(step.connection, chance);
    const isEnd = step.verb === "end-of-data" || step.verb === "BDAT";
    const goesWrong = chance() < (isEnd ? END_FAULT_RATE : FAULT_RATE);
    return goesWrong ? randomFault(chance, schedule, step) : deviation(step);
  };
}

const RANDOM_KEYWORDS: readonly (readonly string[])[] = [
  KEYWORDS,
  KEYWORDS,
  KEYWORDS,
  ["PIPELINING", "8BITMIME"],
  ["CHUNKING", "SIZE 0", "8BITMIME"],
  [],
];

function randomLetter(chance: Chance, name: string): Letter {
  const forwardPaths = Array.from(
    { length: 1 + below(chance, 4) },
    (_, index) => `${chance() < 0.1 ? "refused-" : ""}${name}-${index}@to.example`,
  );
  const lines = Array.from(
    { length: below(chance, 12) },
    () => pick(chance, PITFALLS) + pick(chance, ["\r\n", "\n", "\r"]),
  );
  // Now and then more than a socket takes at once, so that the client has to wait for room.
  const bulk = chance() < 0.04 ? `${".".repeat(70)}\r\n`.repeat(3000) : "";
  return letterFor(`${chance() < 0.04 ? "refused-" : ""}${name}`, forwardPaths, bulk + lines.join(""));
}

/** What an outbox keeps of one recipient of a message. */
interface Entry {
  readonly letter: Letter;
  readonly address: string;
  state: RecipientStatus | "queued";
  /** How many verdicts said accepted, and how many unknown. */
  accepted: number;
  unknown: number;
}

/** How often what was deferred is tried again before the server is well, and then; a slow machine runs into timeouts. */
const FAULTY_ROUNDS = 6;
const HEALTHY_ROUNDS = 10;
const LETTERS = 25;
const EPISODES = 8;

/** What is to be tried now, each message for the recipients that still wait. */
function queuedMessages(entries: readonly Entry[]): readonly Letter[] {
  const waiting = Map.groupBy(
    entries.filter(({ state }) => state === "queued"),
    ({ letter }) => letter,
  );
  return [...waiting].map(([letter, rows]) => {
    const envelope = { ...letter.envelope(), forwardPaths: rows.map(({ address }) => address) };
    return { ...letter, envelope: () => envelope };
  });
}

/** Writes a receipt down, as an outbox does: what is deferred stays queued, and so does half of what is unknown. */
function enter(entries: readonly Entry[], message: Letter, receipt: Receipt): void {
  const { reversePath, forwardPaths } = message.envelope();
  if (receipt.recipients.length === 0) assert.fail(`a receipt without recipients: ${String(receipt.error)}`);
  assert.deepEqual(
    receipt.recipients.map(({ address }) => address),
    forwardPaths,
  );
  for (const { address, status, reply: said } of receipt.recipients) {
    const entry = entries.find((each) => each.address === address)!;
    if (status === "accepted") entry.accepted++;
    if (status === "unknown") entry.unknown++;
    const isResent = status === "unknown" && /[02468]$/.test(message.name);
    entry.state = status === "deferred" || isResent ? "queued" : status;
    if (status === "deferred" || status === "unknown") continue;
    const text = said?.lines.join(" ") ?? String(receipt.error);
    const isOwn = text.includes(`<${reversePath}>`) || text.includes(`<${address}>`) || text.includes("8BITMIME");
    assert.ok(isOwn, `${address}, ${reversePath}: ${status} by a reply that is about another: ${text}`);
  }
}

interface Tally {
  verdicts: Record<string, number>;
  duplicates: number;
  connections: number;
  inGroup: number;
  behindDot: number;
  chunks: number;
}

/** A server that goes wrong as chance has it, and an outbox that goes on until every recipient has a verdict. */
async function runEpisode(schedule: ScheduleName, seed: number, tally: Tally): Promise<void> {
  const chance = chanceFrom(seed, 0);
  const committed = new Set<string>();
  const uncommitted: string[] = [];
  const keywords = schedule === "window" ? KEYWORDS : pick(chance, RANDOM_KEYWORDS);
  await using server = await startFaultServer({
    plan: randomPlan(seed, schedule),
    keywords,
    dataWithoutRecipient: pick(chance, [354, 554]),
    onAccepted: ({ reversePath }) => {
      if (!committed.has(`<${reversePath}>`)) uncommitted.push(reversePath);
    },
  });
  const letters = Array.from({ length: LETTERS }, (_, index) => randomLetter(chance, `letter${seed}-${index}`));
  const entries = letters.flatMap((letter) =>
    letter
      .envelope()
      .forwardPaths.map((address): Entry => ({ letter, address, state: "queued", accepted: 0, unknown: 0 })),
  );
  const isSlow = chance() < 0.5;
  const beforeEndOfData = async (batch: readonly { messageId: string }[]): Promise<void> => {
    // As long as a commit takes: long enough for an end of data that did not wait to be at the server before it.
    for (let turn = 0; isSlow && turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    for (const { messageId } of batch) committed.add(messageId);
  };
  const options = { host: "127.0.0.1", port: server.port, timeouts: { command: 200, endOfData: 200 } };
  const transport = smtpTransport({ ...options, ...schedules[schedule] });
  for (let round = 0; round < FAULTY_ROUNDS + HEALTHY_ROUNDS; round++) {
    if (round === FAULTY_ROUNDS) server.heal();
    const messages = queuedMessages(entries);
    const { receipts } = await deliver(transport, messages, { beforeEndOfData });
    for (const receipt of receipts) enter(entries, messages[receipt.index]!, receipt);
    for (const { status } of receipts) tally.verdicts[status] = (tally.verdicts[status] ?? 0) + 1;
  }
  await transport.close();
  assert.deepEqual(uncommitted, [], "accepted before it was committed to leave");
  assertOwn(server, letters);
  assertNoChunkUnlessOffered(server, keywords);
  for (const { letter, address, state, accepted, unknown } of entries) {
    assert.notEqual(state, "queued", `${address} is lost`);
    const count = acceptances(server, letter.envelope(), address);
    const what = `${address} was accepted ${count} times, and reported accepted ${accepted} and unknown ${unknown} times`;
    assert.ok(accepted <= count && count <= accepted + unknown, what);
    if (count > 1) tally.duplicates++;
  }
  tally.connections += server.connections;
  tally.inGroup += server.steps.filter(({ inGroup }) => inGroup).length;
  tally.behindDot += server.steps.filter(({ behindDot }) => behindDot).length;
  tally.chunks += server.steps.filter(({ verb }) => verb === "BDAT").length;
}

test("a server that ends a connection after many refusals teaches no limit of messages", async () => {
  const errors = new Map<number, number>();
  const plan: FaultPlan = ({ connection, verb, line, recipients }) => {
    const count = errors.get(connection) ?? 0;
    if (count >= 20) return { kind: "reply", text: "421 4.7.0 too many errors", closes: true };
    if (verb === "end-of-data") errors.set(connection, 0);
    const isError = (verb === "RCPT" && line.includes("<refused")) || (verb === "DATA" && recipients === 0);
    if (isError) errors.set(connection, count + 1);
    return undefined;
  };
  await using server = await startFaultServer({ plan });
  const refused = (_: unknown, index: number): Letter =>
    letterFor(`bad${index}`, [`refused${index}@to.example`, `refused-too${index}@to.example`]);
  const letters = [
    ...Array.from({ length: 30 }, refused),
    ...Array.from({ length: 100 }, (_, index) => letterFor(`good${index}`)),
  ];
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const { receipts } = await deliver(transport, letters);
  await transport.close();
  assert.equal(receipts.filter(({ status }) => status === "accepted").length, 100);
  assert.ok(server.connections < 10, `${server.connections} connections`);
});

describe("1000 messages through random faults", { concurrency: 5 }, () => {
  const base = Number(process.env.POSTHASTE_SEED ?? Date.now() % 1_000_000);
  for (const [place, schedule] of (["lockstep", "grouped", "across", "window", "pool"] as const).entries()) {
    test(`${schedule}: none lost, none reported accepted that was not, duplicates only among the unknown`, async (t) => {
      t.diagnostic(`POSTHASTE_SEED=${base}`);
      const tally: Tally = { verdicts: {}, duplicates: 0, connections: 0, inGroup: 0, behindDot: 0, chunks: 0 };
      for (let episode = 0; episode < EPISODES; episode++) {
        try {
          await runEpisode(schedule, base + place * EPISODES + episode, tally);
        } catch (cause) {
          throw new Error(`with POSTHASTE_SEED=${base}, episode ${episode}: ${String(cause)}`, { cause });
        }
      }
      t.diagnostic(JSON.stringify(tally));
      // Else it would be another schedule that went through the faults.
      if (schedule !== "lockstep") assert.ok(tally.inGroup > 0, "nothing went in a group");
      if (schedule === "across" || schedule === "pool") assert.ok(tally.behindDot > 0, "nothing went across messages");
      assert.equal(tally.chunks > 0, schedule === "window");
    });
  }
});
