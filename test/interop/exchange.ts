import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Receipt, type ReceiptStatus, smtpTransport } from "posthaste";
import { type Letter, octetsOf, PITFALLS } from "../peer/letter.ts";

/** A message as a server keeps it. */
export interface StoredMessage {
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  /** With CRLF, and without the trace fields that the server put in front. */
  readonly content: Buffer;
  /** Which connection it came over, in the server's own terms. */
  readonly connection: string;
}

/** A server of somebody else's, started for the tests, that keeps what it accepts. */
export interface InteropServer extends AsyncDisposable {
  readonly port: number;
  readonly protocol?: "smtp" | "lmtp";
  /** The authority of its certificate, where it offers STARTTLS. */
  readonly ca?: string;
  /** What was stored since the last call, in the order in which it came. */
  takeStored(): Promise<readonly StoredMessage[]>;
}

/** How to get at a server, or what to say where it is not there. */
export interface InteropSubject {
  readonly name: string;
  /** Why it cannot be tested here, and how to change that; undefined: it can. */
  readonly missing: string | undefined;
  /** What it offers, which says which schedules there are to test. */
  readonly chunking: boolean;
  readonly startTls?: boolean;
  /** Whether there are no senders that it refuses. Default: false. */
  readonly takesAnySender?: boolean;
  start(): Promise<InteropServer>;
}

/** How many messages each schedule takes: recipients are letter0, letter1 … and other3, other13 … at to.example. */
export const MESSAGES = 200;

interface Schedule {
  readonly name: string;
  readonly options: object;
  /** What the server must offer for it. */
  readonly needs?: "chunking" | "startTls";
}

const SCHEDULES: readonly Schedule[] = [
  { name: "lockstep", options: { pipelining: "off" } },
  { name: "grouped", options: { pipelining: "grouped" } },
  { name: "across messages", options: { pipelining: "auto" } },
  { name: "across messages, 4 connections", options: { pipelining: "auto", connections: 4 } },
  { name: "across messages by STARTTLS", options: { pipelining: "auto", tls: "starttls" }, needs: "startTls" },
  { name: "BDAT window of 4", options: { pipelining: { bdatWindow: 4 } }, needs: "chunking" },
  { name: "BDAT window of 16", options: { pipelining: { bdatWindow: 16 } }, needs: "chunking" },
];

/** A letter with what the server is to say of it, and to whom it must have gone. */
interface Trial {
  readonly letter: Letter;
  readonly expected: ReceiptStatus;
  readonly recipients: readonly string[];
}

/** Refusals in between: one recipient of several, all recipients, the sender, and one who is to come back later. */
function trial(index: number, { takesAnySender }: InteropSubject): Trial {
  const own = `letter${index}@to.example`;
  const other = `other${index}@to.example`;
  const [refused, deferred] = ["refused", "deferred"].map((kind) => `${kind}${index}@to.example`) as [string, string];
  const of = (
    expected: ReceiptStatus,
    recipients: readonly string[],
    forwardPaths = recipients,
    sender = "",
  ): Trial => ({
    letter: interopLetter(`${sender}letter${index}@from.example`, forwardPaths, index),
    expected,
    recipients,
  });
  // So many refusals in a row that Postfix (421) and Exim (554) end the connection.
  if ((index >= 100 && index < 130) || index % 20 === 7)
    return of("refused", [], [refused, `refused-too${index}@to.example`]);
  if (index % 10 === 3) return of("partial", [own, other], [own, refused, other]);
  if (index % 20 === 17 && takesAnySender !== true) return of("refused", [], [own], "refused-");
  if (index % 40 === 11 && takesAnySender !== true) return of("deferred", [], [deferred]);
  return of("accepted", [own]);
}

/** Whole header sections, so that no server has a reason to add to them; lines with dots; Korean in 8-bit UTF-8. */
function interopLetter(reversePath: string, forwardPaths: readonly string[], index: number): Letter {
  const lines = [
    `From: <${reversePath}>`,
    "To: undisclosed-recipients:;",
    `Subject: letter ${index}`,
    `Message-ID: <letter${index}.${reversePath}>`,
    "Date: Mon, 5 Jan 2026 09:00:00 +0900",
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "",
    ...PITFALLS,
    ...(index % 2 === 0 ? ["안녕하세요, 포스트헤이스트입니다.".repeat(20)] : []),
    ...(index % 50 === 25 ? Array.from({ length: 4000 }, () => ".".repeat(70)) : []),
    `marker ${index}`,
    ...(index % 3 === 0 ? [""] : []),
    "",
  ];
  const content = Buffer.from(lines.join("\r\n"));
  const envelope = { reversePath, forwardPaths };
  return {
    name: `letter${index}`,
    messageId: `<letter${index}.${reversePath}>`,
    envelope: () => envelope,
    toBytes: () => content,
  };
}

async function deliverAll(server: InteropServer, options: object, trials: readonly Trial[]): Promise<Receipt[]> {
  const { port, protocol = "smtp", ca } = server;
  const transport = smtpTransport({ host: "127.0.0.1", port, protocol, ca, ...options });
  try {
    const receipts = await Array.fromAsync(transport.deliver(trials.map(({ letter }) => letter)));
    return receipts.sort((a, b) => a.index - b.index);
  } finally {
    await transport.close();
  }
}

/**
 * The verdicts are those that the server's rules give. Where a server ends the connection, those that were ahead of
 * their verdicts in a window are unknown, and nothing else is.
 */
function assertVerdicts(receipts: readonly Receipt[], trials: readonly Trial[], isWindow: boolean): number {
  const isDoubted = ({ status }: Receipt): boolean => isWindow && status === "unknown";
  assert.deepEqual(
    receipts.map((receipt) => `${receipt.index} ${isDoubted(receipt) ? "unknown" : receipt.status}`),
    trials.map(({ expected }, index) => `${index} ${isDoubted(receipts[index]!) ? "unknown" : expected}`),
  );
  return receipts.filter(isDoubted).length;
}

/** Each message that was accepted is there once, as it was, and behind those before it; nothing else is there. */
function assertStored(stored: readonly StoredMessage[], trials: readonly Trial[], receipts: readonly Receipt[]): void {
  const bySender = new Map(trials.map((each, index) => [each.letter.envelope().reversePath, { ...each, index }]));
  const last = new Map<string, number>();
  for (const { reversePath, forwardPaths, content, connection } of stored) {
    const own = bySender.get(reversePath);
    assert.ok(own, `stored twice, or under a sender that nobody is: <${reversePath}>`);
    bySender.delete(reversePath);
    assert.deepEqual(forwardPaths, own.recipients, `the recipients of <${reversePath}>`);
    const expected = octetsOf(own.letter);
    if (!content.equals(expected)) assert.equal(content.toString("latin1"), expected.toString("latin1"));
    assert.ok((last.get(connection) ?? -1) < own.index, `message ${own.index} stands behind a later one`);
    last.set(connection, own.index);
  }
  const missing = [...bySender.values()].filter(({ recipients }) => recipients.length > 0);
  const lost = missing.filter(({ index }) => receipts[index]?.status !== "unknown");
  assert.deepEqual(
    lost.map(({ index }) => index),
    [],
    "lost",
  );
}

/** The tests of one server. */
export function describeInterop(subject: InteropSubject): void {
  const { name, missing } = subject;
  void describe(name, { skip: missing ?? false }, () => {
    let started: InteropServer | undefined;
    before(async () => {
      started = await subject.start();
    });
    after(() => started?.[Symbol.asyncDispose]());
    for (const { name: schedule, options, needs } of SCHEDULES) {
      if (needs !== undefined && subject[needs] !== true) continue;
      void test(`${schedule}: ${MESSAGES} messages, each under its own sender, none lost, refusals in between`, async (t) => {
        const server = started ?? assert.fail("it did not start");
        const trials = Array.from({ length: MESSAGES }, (_, index) => trial(index, subject));
        const begun = performance.now();
        const receipts = await deliverAll(server, options, trials);
        const milliseconds = performance.now() - begun;
        const stored = await server.takeStored();
        const unknown = assertVerdicts(receipts, trials, needs === "chunking");
        assertStored(stored, trials, receipts);
        const connections = new Set(stored.map(({ connection }) => connection)).size;
        const rate = Math.round((MESSAGES / milliseconds) * 1000);
        t.diagnostic(`${rate} messages/s, mail on ${connections} connections, ${unknown} in doubt`);
      });
    }
  });
}
