import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { test } from "node:test";
import {
  type FaultPlan,
  type FaultServer,
  type FaultServerOptions,
  limitsMessages,
  limitsRecipients,
  startFaultServer,
} from "../../../../test/peer/fault-server.ts";
import { startRelay } from "../../../../test/peer/relay.ts";
import { type ScriptedServer, startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import { KEYWORDS } from "../../../../test/peer/server-session.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { DeliverableMessage, DeliverOptions, EndOfData, Receipt, Transport } from "../delivery.ts";
import { SmtpError } from "../errors.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const CONTENT = Buffer.from("Subject: x\r\n\r\ny\r\n");

function letter(number: number, forwardPaths: readonly string[] = [`to${number}@example.com`]): DeliverableMessage {
  const envelope = { reversePath: `from${number}@example.com`, forwardPaths };
  return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => CONTENT };
}

const letters = (count: number): DeliverableMessage[] => Array.from({ length: count }, (_, index) => letter(index));
const to = ({ port }: { readonly port: number }, options: Partial<SmtpOptions> = {}): Transport =>
  smtpTransport({ host: "127.0.0.1", port, ...options });

async function deliver(
  transport: Transport,
  messages: readonly DeliverableMessage[],
  options?: DeliverOptions,
): Promise<Receipt[]> {
  const receipts = await Array.fromAsync(transport.deliver(messages, options));
  await transport.close();
  return receipts.toSorted((a, b) => a.index - b.index);
}

const allAccepted = (receipts: readonly Receipt[], count: number): void =>
  assert.deepEqual(
    receipts.map(({ index, status }) => [index, status]),
    Array.from({ length: count }, (_, index) => [index, "accepted"]),
  );

/** Every message once, under its own sender, for its own recipient. */
function assertEachOnce({ accepted }: FaultServer, count: number): void {
  assert.deepEqual(
    accepted.map(({ reversePath, forwardPaths }) => `${reversePath} ${forwardPaths.join()}`).toSorted(),
    letters(count)
      .map((each) => `${each.envelope().reversePath} ${each.envelope().forwardPaths.join()}`)
      .toSorted(),
  );
}

/** How many messages each connection took. */
function perConnection({ accepted, connections }: FaultServer): number[] {
  return Array.from(
    { length: connections },
    (_, index) => accepted.filter(({ connection }) => connection === index + 1).length,
  );
}

test("never more than `connections` are open at once, and more than one where there is work for them", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  allAccepted(await deliver(to(relay, { connections: 4 }), letters(80)), 80);
  assert.ok(relay.most > 1 && relay.most <= 4, `${relay.most} at once`);
  assert.equal(relay.connections, relay.most);
  assert.equal(peer.messages.length, 80);
});

test("without the option there is one connection, and receipts come in order", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  const transport = to(relay);
  const receipts = await Array.fromAsync(transport.deliver(letters(30)));
  await transport.close();
  allAccepted(receipts, 30);
  assert.equal(relay.connections, 1);
});

type Hold = (reply: string) => Promise<string>;

interface HoldingServer extends ScriptedServer {
  /** Resolves when so many replies are held back. */
  holds(count: number): Promise<void>;
  /** Gives the replies that are held back. */
  release(): void;
  /** From here on none is held back. */
  open(): void;
}

/** Takes mail in lockstep, and holds its replies to the end of data back until a test releases them. */
async function startHoldingServer(
  other: (line: string, hold: Hold) => string | null | Promise<string> | undefined = () => undefined,
): Promise<HoldingServer> {
  let held: (() => void)[] = [];
  let isOpen = false;
  let wake = (): void => undefined;
  const hold: Hold = async (reply) => {
    if (isOpen) return reply;
    wake();
    await new Promise<void>((resolve) => held.push(resolve));
    return reply;
  };
  const inData = new Set<number>();
  const server = await startScriptedServer((line, connection) => {
    if (inData.has(connection)) return line === "." && inData.delete(connection) ? hold("250 accepted\r\n") : undefined;
    const special = other(line, hold);
    if (special !== undefined) return special;
    if (line === "DATA") inData.add(connection);
    return line === "" ? "220 s\r\n" : line === "DATA" ? "354 go on\r\n" : "250 ok\r\n";
  });
  const release = (): void => {
    for (const resolve of held) resolve();
    held = [];
  };
  return Object.assign(server, {
    async holds(count: number) {
      while (held.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
    release,
    open: () => {
      isOpen = true;
      release();
    },
  });
}

/** Has a transport make so many connections: each is there for one message more at once than the one before. */
async function growTo(connections: number, server: HoldingServer, transport: Transport): Promise<void> {
  const count = (connections * (connections + 1)) / 2;
  const delivery = Array.fromAsync(transport.deliver(letters(count)));
  for (let round = 1; round <= connections; round++) {
    await server.holds(round);
    assert.equal(server.connections, round);
    server.release();
  }
  allAccepted(
    (await delivery).toSorted((a, b) => a.index - b.index),
    count,
  );
}

test("the pool grows by messages that are accepted: 1/N each, and a whole one is another connection", async () => {
  await using server = await startHoldingServer();
  const transport = to(server, { connections: 3 });
  await growTo(3, server, transport);
  const delivery = Array.fromAsync(transport.deliver(letters(4)));
  await server.holds(3);
  server.open();
  await delivery;
  await transport.close();
  assert.equal(server.connections, 3);
});

test("a connection that ends with 421 makes room for one less, until more messages were accepted than before", async () => {
  let isLeaving = false;
  await using server = await startHoldingServer((line) => {
    if (!isLeaving || !line.startsWith("MAIL")) return undefined;
    isLeaving = false;
    return "421 4.3.2 going down\r\n";
  });
  const transport = to(server, { connections: 3 });
  await growTo(3, server, transport);
  isLeaving = true;
  const delivery = deliver(transport, letters(7));
  const rounds: number[] = [];
  // Two connections are left, and two whole ones have to be made good: four messages of half a connection each.
  for (const expected of [2, 2, 3]) {
    await server.holds(expected);
    rounds.push(server.connections);
    server.release();
  }
  allAccepted(await delivery, 7);
  assert.deepEqual(rounds, [3, 3, 4]);
});

test("a message that ends its connections, or has no room on any, is given up after a few", async () => {
  const rows = [
    [null, 3, undefined],
    ["452 4.3.1 not this sender\r\n", 4, 452],
  ] as const;
  for (const [said, count, code] of rows) {
    await using server = await startHoldingServer((line) =>
      line === "MAIL FROM:<from99@example.com>" ? said : undefined,
    );
    const transport = to(server, { connections: 5 });
    await growTo(5, server, transport);
    const [receipt] = await deliver(transport, [letter(99)]);
    assert.deepEqual([receipt?.status, receipt?.reply?.code], ["deferred", code]);
    assert.equal(server.lines.filter((line) => line.includes("from99")).length, count);
  }
});

/** Delivers 20 letters, and does something when four connections wait for the reply to MAIL. */
async function deliverOverFour(options: DeliverOptions, whenAllWait: () => void = () => undefined): Promise<Receipt[]> {
  let holdsMail = false;
  await using server = await startHoldingServer((line, hold) =>
    holdsMail && line.startsWith("MAIL") ? hold("250 ok\r\n") : undefined,
  );
  const transport = to(server, { connections: 4 });
  await growTo(4, server, transport);
  holdsMail = true;
  const delivery = deliver(transport, letters(20), options);
  await server.holds(4);
  whenAllWait();
  server.open();
  return await delivery;
}

test("an abort of what is under way on several connections is no failure of theirs", async () => {
  const controller = new AbortController();
  const receipts = await deliverOverFour({ signal: controller.signal }, () => controller.abort());
  assert.ok(receipts.length >= 4 && receipts.every(({ status }) => status === "deferred"));
});

test("nor is what beforeEndOfData holds back there: the messages behind it are accepted", async () => {
  let batch: readonly EndOfData[] | undefined;
  const beforeEndOfData = (told: readonly EndOfData[]): Promise<void> => {
    if (batch !== undefined) return Promise.resolve();
    batch = told;
    return Promise.reject(new Error("the disk is full"));
  };
  const receipts = await deliverOverFour({ beforeEndOfData });
  const held = new Set(batch?.map(({ index }) => index));
  assert.ok(held.size >= 4, `a batch of ${held.size}`);
  assert.deepEqual(
    receipts.map(({ status }) => status),
    letters(20).map((_, index) => (held.has(index) ? "deferred" : "accepted")),
  );
});

test("messages that are refused do not make the pool grow", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  const refused = Array.from({ length: 30 }, (_, index) => letter(index, ["refused@example.com"]));
  const receipts = await deliver(to(relay, { connections: 10 }), refused);
  assert.ok(receipts.every(({ status }) => status === "refused"));
  assert.equal(relay.connections, 1);
});

test("a server that greets with 421 what is one too many loses no message", async () => {
  let turnedAway = 0;
  await using server = await startFaultServer({
    plan: ({ verb, connection }) => {
      if (verb !== "greeting" || connection <= 2) return undefined;
      turnedAway++;
      return { kind: "reply", text: "421 4.3.2 too many connections", closes: true };
    },
  });
  allAccepted(await deliver(to(server, { connections: 20 }), letters(60)), 60);
  assertEachOnce(server, 60);
  assert.equal(server.connections - turnedAway, 2);
  // Each time that it grew by one it was made smaller again.
  assert.ok(turnedAway > 0 && turnedAway <= 30, `${turnedAway} times`);
});

test("thousands of verdicts that come at once, before a byte leaves, need no more stack than one", async () => {
  await using server = await startFaultServer({ keywords: ["PIPELINING", "CHUNKING", "SIZE 1"] });
  const rows: Partial<SmtpOptions>[] = [{ connections: 1000 }, { connections: 100, pipelining: { bdatWindow: 100 } }];
  for (const options of rows) {
    const receipts = await deliver(to(server, options), letters(10_000));
    assert.deepEqual(
      receipts.map(({ index, status, error }) => [index, status, error instanceof SmtpError && error.code]),
      receipts.map((_, index) => [index, "refused", "too-large"]),
    );
    assert.equal(receipts.length, 10_000);
  }
});

test("messagesPerConnection: so many, then QUIT and another connection", async () => {
  for (const pipelining of ["auto", "grouped", "off", { bdatWindow: 4 }] as const) {
    await using server = await startFaultServer();
    allAccepted(await deliver(to(server, { messagesPerConnection: 3, pipelining }), letters(8)), 8);
    assert.deepEqual(perConnection(server), [3, 3, 2], JSON.stringify(pipelining));
    assert.equal(server.steps.filter(({ verb }) => verb === "QUIT").length, 3);
  }
});

test("a limit that a server shows twice at the same count is kept from then on", async () => {
  const rows: readonly (readonly [name: string, plan: FaultPlan])[] = [
    ["421 to MAIL, and it closes", limitsMessages(5, "MAIL", "421 4.7.0 too many messages", true)],
    ["421 to RSET, and it closes", limitsMessages(5, "RSET", "421 4.7.0 too many messages", true)],
    ["452 to MAIL, and it stays", limitsMessages(5, "MAIL", "452 4.5.3 too many messages", false)],
  ];
  for (const [name, plan] of rows) {
    for (const pipelining of ["auto", "grouped", "off"] as const) {
      // Where messages follow each other closely, two may meet it on one connection.
      const shown = new Set<number>();
      const counting: FaultPlan = (step) => {
        const fault = plan(step);
        if (fault !== undefined) shown.add(step.connection);
        return fault;
      };
      await using server = await startFaultServer({ plan: counting });
      const transport = to(server, { pipelining });
      allAccepted(await deliver(transport, letters(30)), 30);
      assertEachOnce(server, 30);
      const taken = perConnection(server).filter((count) => count > 0);
      if (name.includes("RSET") && pipelining !== "auto") continue; // No RSET behind an accepted message there.
      assert.deepEqual(taken, Array(6).fill(5), `${name}, ${pipelining}`);
      assert.equal(shown.size, 2, `${name}, ${pipelining}`);
    }
  }
});

test("what RFC 9422's LIMITS says is kept from the start", async () => {
  const offering = (limits: string): FaultServerOptions => ({ keywords: [...KEYWORDS, `LIMITS ${limits}`] });
  await using mails = await startFaultServer(offering("MAILMAX=3"));
  allAccepted(await deliver(to(mails), letters(7)), 7);
  assert.deepEqual(perConnection(mails), [3, 3, 1]);

  await using recipients = await startFaultServer(offering("RCPTMAX=2"));
  const many = ["a", "b", "refused", "d", "e"].map((name) => `${name}@example.com`);
  const [receipt] = await deliver(to(recipients), [letter(0, many)]);
  assert.equal(receipt?.status, "partial");
  assert.deepEqual(
    receipt.recipients.map(({ address, status }) => [address, status]),
    many.map((address) => [address, address.startsWith("refused") ? "refused" : "accepted"]),
  );
  assert.deepEqual(
    recipients.accepted.map(({ forwardPaths }) => forwardPaths.length),
    [2, 1, 1],
  );

  await using domains = await startFaultServer(offering("RCPTDOMAINMAX=2"));
  const spread = ["a@x.example", "b@y.example", "c@x.example", "d@z.example", "e@y.example", "f@w.example"];
  const receipts = await deliver(to(domains), [letter(0, spread), letter(1, ["a@x.example"])]);
  allAccepted(receipts, 2);
  assert.deepEqual(
    receipts[0]?.recipients.map(({ address }) => address),
    spread,
  );
  const perSession = Array.from({ length: domains.connections }, (_, index) => {
    const own = domains.accepted.filter(({ connection }) => connection === index + 1);
    return new Set(own.flatMap(({ forwardPaths }) => forwardPaths.map((path) => path.split("@")[1]))).size;
  });
  assert.ok(
    perSession.every((count) => count <= 2),
    String(perSession),
  );
});

test("a message that moves from a connection with limits to one without loses none of its recipients", async () => {
  const paths = ["a@x.example", "b@y.example", "c@z.example"];
  for (const limit of ["RCPTMAX=1", "RCPTDOMAINMAX=1"]) {
    const enough = limitsMessages(1, "MAIL", "452 4.3.1 enough", false);
    const plan: FaultPlan = (step) => {
      if (step.connection > 1) return undefined;
      return step.verb === "EHLO" ? { kind: "reply", text: `250-s\r\n250 LIMITS ${limit}` } : enough(step);
    };
    await using server = await startFaultServer({ plan });
    const receipts = await deliver(to(server), [letter(0, ["a@x.example"]), letter(1, paths)]);
    allAccepted(receipts, 2);
    assert.deepEqual(
      receipts[1]?.recipients.map(({ address, status }) => [address, status]),
      paths.map((address) => [address, "accepted"]),
      limit,
    );
    assert.deepEqual(
      server.accepted.slice(1).map(({ connection, forwardPaths }) => [connection, forwardPaths]),
      [[2, paths]],
      limit,
    );
  }
});

test("recipients beyond what a transaction takes go in new ones at once, each with its verdict, and that is learned", async () => {
  for (const pipelining of ["auto", "grouped", "off", { bdatWindow: 4 }] as const) {
    await using server = await startFaultServer({ plan: limitsRecipients(3) });
    const names = ["a", "refused1", "b", "c", "d", "deferred1", "e", "f", "g", "h"].map((name) => `${name}@x.example`);
    const receipts = await deliver(
      to(server, { pipelining }),
      [0, 1, 2, 3, 4, 5].map((number) => letter(number, names)),
    );
    const expected = names.map((address) => [address, /^(refused|deferred)/.exec(address)?.[0] ?? "accepted"]);
    for (const { status, recipients } of receipts) {
      assert.equal(status, "partial");
      assert.deepEqual(
        recipients.map(({ address, status }) => [address, status]),
        expected,
        JSON.stringify(pipelining),
      );
    }
    for (const number of [0, 5]) {
      const taken = server.accepted.filter(({ reversePath }) => reversePath === `from${number}@example.com`);
      assert.deepEqual(
        taken.flatMap(({ forwardPaths }) => forwardPaths),
        names.filter((name) => !/^(refused|deferred)/.test(name)),
      );
    }
    const tooMany = server.steps.filter(({ verb, recipients }) => verb === "RCPT" && recipients >= 3);
    const senders = new Set(tooMany.map(({ reversePath }) => reversePath));
    assert.ok(senders.has("from0@example.com") && !senders.has("from5@example.com"), "the limit was learned");
  }
});

test("452 with a full mailbox's code, or before any recipient was taken, is a verdict and no limit", async () => {
  await using server = await startFaultServer({
    plan: ({ verb, line, recipients }) => {
      if (verb !== "RCPT") return undefined;
      if (recipients === 0) return { kind: "reply", text: "452 4.5.3 not today" };
      return line.includes("full") ? { kind: "reply", text: "552 5.2.2 mailbox full" } : undefined;
    },
  });
  const [receipt] = await deliver(to(server), [letter(0, ["a@x.example", "b@x.example"])]);
  assert.deepEqual([receipt?.status, receipt?.recipients.map(({ phase }) => phase)], ["deferred", ["RCPT", "RCPT"]]);
  assert.equal(server.connections, 1);
});

/** Refuses more than 1000 recipients in a transaction; its replies to what came in one piece are one piece, as Postfix's are. */
async function startCountingServer(transactions: string[][], tooMany: string[]): Promise<Server> {
  const server = createServer((socket) => {
    let rest = "";
    const recipients: string[] = [];
    let isData = false;
    const reply = (line: string): string => {
      if (isData && line !== ".") return "";
      if (line.startsWith("RCPT") && recipients.length === 1000) {
        tooMany.push(line);
        return "452 4.5.3 too many\r\n";
      }
      if (line.startsWith("RCPT TO:<refused")) return "550 5.1.1 nobody\r\n";
      if (line.startsWith("RCPT")) recipients.push(line.slice(9, -1));
      if (isData) transactions.push(recipients.splice(0));
      isData = line === "DATA";
      if (line.startsWith("EHLO")) return "250-s\r\n250 PIPELINING\r\n";
      return isData ? "354 go on\r\n" : "250 ok\r\n";
    };
    socket.on("error", () => undefined).write("220 s\r\n");
    socket.on("data", (chunk) => {
      const lines = (rest + chunk.toString("latin1")).split("\r\n");
      rest = lines.pop() ?? "";
      if (!lines.includes("QUIT")) socket.write(lines.map(reply).join(""));
      else socket.end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

test("100 000 recipients go to a server that takes 1000 at once, none one too many, each with a verdict", async () => {
  const transactions: string[][] = [];
  const tooMany: string[] = [];
  const server = await startCountingServer(transactions, tooMany);
  const paths = Array.from(
    { length: 100_000 },
    (_, index) => `${index % 1000 === 7 ? "refused" : "to"}${index}@x.example`,
  );
  const [receipt] = await deliver(to(server.address() as AddressInfo), [letter(0, paths)]);
  server.close();
  assert.equal(receipt?.status, "partial");
  assert.deepEqual(
    receipt.recipients.map(({ address }) => address),
    paths,
  );
  const wrong = receipt.recipients.filter(
    ({ address, status }) => status !== (address.startsWith("refused") ? "refused" : "accepted"),
  );
  assert.deepEqual(wrong, []);
  assert.equal(transactions.length, 100);
  assert.equal(tooMany.length, 0);
  assert.deepEqual(
    transactions.flat(),
    paths.filter((path) => path.startsWith("to")),
  );
});

/** When each MAIL came, in milliseconds. */
async function startClockedServer(): Promise<FaultServer & { readonly times: number[] }> {
  const times: number[] = [];
  const server = await startFaultServer({
    plan: ({ verb }) => {
      if (verb === "MAIL") times.push(performance.now());
      return undefined;
    },
  });
  return Object.assign(server, { times });
}

test("messagesPerSecond holds over the whole pool and over several deliveries, evenly spaced", async () => {
  await using server = await startClockedServer();
  const transport = to(server, { messagesPerSecond: 50, connections: 4 });
  const deliveries = [letters(6), letters(6)].map((each) => Array.fromAsync(transport.deliver(each)));
  assert.equal((await Promise.all(deliveries)).flat().filter(({ status }) => status === "accepted").length, 12);
  await transport.close();
  assert.equal(server.times.length, 12);
  // 11 intervals of 20 ms; what came first may have come late.
  const span = (server.times.at(-1) ?? 0) - (server.times[0] ?? 0);
  assert.ok(span >= 11 * 20 - 15, `12 messages in ${span} ms`);
});

test("messagesPerSecond holds where a stream was slow: what waited does not leave at once", async () => {
  await using server = await startClockedServer();
  const transport = to(server, { messagesPerSecond: 10 });
  const started = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  async function* open(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("Subject: slow\r\n\r\n");
    started.resolve();
    await gate.promise;
    yield Buffer.from("end\r\n");
  }
  const streaming = { size: undefined, eightBit: false, smtpUtf8: false, open };
  async function* source(): AsyncGenerator<DeliverableMessage> {
    yield { ...letter(0), toBytes: () => assert.fail("streamed"), streaming };
    await started.promise;
    yield* letters(3).slice(1);
  }
  setTimeout(gate.resolve, 350);
  allAccepted(await Array.fromAsync(transport.deliver(source())), 3);
  await transport.close();
  const [, second = 0, third = 0] = server.times;
  assert.ok(third - second >= 85, `${third - second} ms apart`);
});
