import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { before, describe, test } from "node:test";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startScriptedServer, type ScriptedServer } from "../../../../test/peer/scripted-server.ts";
import type { DeliverableMessage, Receipt } from "../delivery.ts";
import { SmtpError } from "../errors.ts";
import { CHANNELS } from "../smtp/client/diagnostics.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

function letter(number: number): DeliverableMessage {
  const envelope = { reversePath: `from${number}@example.com`, forwardPaths: [`to${number}@example.com`] };
  const content = Buffer.from(`Subject: ${number}\r\n\r\n${number}\r\n`);
  return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => content };
}

/** What the client waits for: the verb, or `message` for the end of data, in a server that never says it. */
type State = "greeting" | "EHLO" | "STARTTLS" | "handshake" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "RSET" | "message";

interface StallingServer extends ScriptedServer {
  /** Resolves when the client waits. */
  readonly stalled: Promise<void>;
  /** Says what was held back. */
  release(): void;
}

/** In the state it stalls, at the first message. The address `refused` makes the client say RSET. */
async function startStallingServer(state: State): Promise<StallingServer> {
  const stalled = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let isData = false;
  const reply = (verb: string, line: string): string | undefined => {
    if (isData && line !== ".") return undefined;
    isData = verb === "DATA";
    if (verb === "greeting") return "220 s\r\n";
    if (verb === "EHLO") return "250-s\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    if (verb === "STARTTLS") return "220 go ahead\r\n";
    if (verb === "AUTH") return "235 welcome\r\n";
    if (line.includes("refused")) return "550 no\r\n";
    return verb === "DATA" ? "354 go on\r\n" : "250 ok\r\n";
  };
  const server = await startScriptedServer(async (line, connection) => {
    if (line === "QUIT") return null;
    const verb = line === "" ? "greeting" : line === "." ? "message" : (line.split(" ", 1)[0] ?? "");
    const said = reply(verb, line);
    const isHere = verb === state || (state === "handshake" && verb === "STARTTLS");
    if (!isHere || connection > 1 || said === undefined) return said;
    // The handshake is under way when the 220 was read.
    if (state === "handshake") setImmediate(() => setImmediate(stalled.resolve));
    else stalled.resolve();
    if (state !== "handshake") await released.promise;
    return said;
  });
  return Object.assign(server, { stalled: stalled.promise, release: () => released.resolve() });
}

const optionsFor = (state: State, { port }: ScriptedServer): SmtpOptions => ({
  host: "localhost",
  port,
  ...(state === "STARTTLS" || state === "handshake" ? { tls: "starttls", ca: certificate.cert } : {}),
  ...(state === "AUTH" ? { auth: { user: "u", password: "p" } } : {}),
});

/** For RSET the first message has nobody to go to. */
const lettersFor = (state: State): DeliverableMessage[] => {
  const [first, ...others] = [letter(0), letter(1), letter(2)] as [
    DeliverableMessage,
    DeliverableMessage,
    DeliverableMessage,
  ];
  const refused = {
    ...first,
    envelope: () => ({ reversePath: "a@example.com", forwardPaths: ["refused@example.com"] }),
  };
  return [state === "RSET" ? refused : first, ...others];
};

const summary = (receipts: readonly Receipt[]): string[] =>
  receipts
    .toSorted((a, b) => a.index - b.index)
    .map(({ status, error }) => (error instanceof SmtpError ? `${status} ${error.code}` : status));

const STATES: readonly State[] = ["greeting", "EHLO", "STARTTLS", "handshake", "AUTH", "MAIL", "RCPT", "DATA", "RSET"];

describe("an abort ends the wait for whatever it is at once, with the connection", { concurrency: 8 }, () => {
  for (const state of STATES) {
    test(state, async () => {
      await using server = await startStallingServer(state);
      const controller = new AbortController();
      const transport = smtpTransport(optionsFor(state, server));
      const delivery = Array.fromAsync(transport.deliver(lettersFor(state), { signal: controller.signal }));
      await server.stalled;
      const begun = performance.now();
      controller.abort();
      const receipts = await delivery;
      const [first, ...others] = summary(receipts);
      assert.equal(first, state === "RSET" ? "refused" : "deferred aborted");
      assert.deepEqual([...new Set(others)], others.length === 0 ? [] : ["deferred aborted"]);
      // By itself, while the transport is open.
      await server.quiet();
      assert.ok(performance.now() - begun < 900, "the connection was left to its grace");
      assert.ok(!server.lines.includes("."));
      await transport.close();
    });
  }

  test("behind the end of data it waits for the verdict, and for nothing else", async () => {
    await using server = await startStallingServer("message");
    const controller = new AbortController();
    const transport = smtpTransport(optionsFor("message", server));
    const delivery = Array.fromAsync(transport.deliver(lettersFor("message"), { signal: controller.signal }));
    await server.stalled;
    controller.abort();
    server.release();
    assert.deepEqual([...new Set(summary(await delivery))], ["accepted", "deferred aborted"]);
    assert.equal(server.lines.filter((line) => line === ".").length, 1);
    await transport.close();
    await server.quiet();
  });
});

test("whoever is told what happens may abort there: each message has one receipt, and that is true", async () => {
  for (const pipelining of ["auto", "grouped", { bdatWindow: 3 }] as const) {
    for (const channel of [CHANNELS.reply, CHANNELS.verdict, CHANNELS.command]) {
      for (let at = 1, isOver = false; !isOver && at < 40; at++) {
        await using server = await startFaultServer({ keywords: ["PIPELINING", "CHUNKING"] });
        await using transport = smtpTransport({ host: "127.0.0.1", port: server.port, pipelining });
        const controller = new AbortController();
        let told = 0;
        const listener = (): void => void (++told === at && controller.abort());
        subscribe(channel, listener);
        const receipts = await Array.fromAsync(transport.deliver(mixed(), { signal: controller.signal }));
        unsubscribe(channel, listener);
        isOver = told < at;
        const name = `${JSON.stringify(pipelining)}, ${channel}, ${at}`;
        const indexes = receipts.map(({ index }) => index);
        assert.deepEqual(indexes, [...new Set(indexes)], name);
        for (const { address, status } of receipts.flatMap(({ recipients }) => recipients)) {
          const isTaken = server.accepted.some(({ forwardPaths }) => forwardPaths.includes(address));
          if (status !== "unknown") assert.equal(status === "accepted", isTaken, `${name}: ${address} ${status}`);
        }
      }
    }
  }
});

/** Some have a recipient who is refused, some all of them, and some what the server does not take. */
function mixed(): DeliverableMessage[] {
  return Array.from({ length: 6 }, (_, number) => {
    const forwardPaths = [...(number === 2 ? [] : [`to${number}@example.com`]), `refused${number}@example.com`];
    const envelope = { reversePath: `from${number}@example.com`, forwardPaths };
    const content = Buffer.from(number % 3 === 1 ? "Subject: x\r\n\r\n\u00e4\r\n" : "Subject: x\r\n\r\ny\r\n");
    return { messageId: `<${number}@example.com>`, envelope: () => envelope, toBytes: () => content };
  });
}

test("a message that aborts the delivery while it is rendered does not leave", async () => {
  await using server = await startFaultServer();
  await using transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const controller = new AbortController();
  const last = letter(1);
  const aborting = {
    ...last,
    toBytes: () => {
      controller.abort();
      return last.toBytes();
    },
  };
  const receipts = await Array.fromAsync(transport.deliver([letter(0), aborting], { signal: controller.signal }));
  assert.deepEqual(summary(receipts), ["deferred aborted", "deferred aborted"]);
  assert.equal(server.accepted.length, 0);
});

describe("close() ends what has not begun, waits for what has, and leaves no connection", { concurrency: 8 }, () => {
  for (const state of [...STATES, "message"] as const) {
    test(state, async () => {
      await using server = await startStallingServer(state);
      const transport = smtpTransport(optionsFor(state, server));
      const delivery = Array.fromAsync(transport.deliver(lettersFor(state)));
      await server.stalled;
      const isOpening = STATES.indexOf(state) <= STATES.indexOf("AUTH") && state !== "message";
      const closing = transport.close();
      if (!isOpening) server.release();
      await closing;
      const [first, ...others] = summary(await delivery);
      assert.equal(first, isOpening ? "deferred aborted" : state === "RSET" ? "refused" : "accepted");
      // Behind RSET the second message has begun.
      assert.deepEqual(others, state === "RSET" ? ["accepted", "deferred aborted"] : Array(2).fill("deferred aborted"));
      await server.quiet();
      assert.equal(server.connections, 1);
    });
  }
});
