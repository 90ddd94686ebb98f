import assert from "node:assert/strict";
import dns from "node:dns";
import { isIP } from "node:net";
import { before, mock, test } from "node:test";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { startSilentAddress, withoutSilentAddress } from "../../../../test/peer/silent-address.ts";
import { startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { startTlsTrap, TLS_TRAPS } from "../../../../test/peer/tls-trap.ts";
import type { Receipt } from "../delivery.ts";
import { SmtpError, TimeoutError } from "../errors.ts";
import { Message } from "../message/message.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

/** RFC 8305's delay between two attempts, in milliseconds. */
const DELAY = 250;
const skip = withoutSilentAddress;

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

/** Hosts that the name server does not know, and of which it says nothing. */
const [UNKNOWN, UNANSWERED] = ["unknown.example.com", "unanswered.example.com"];

/** What the name server knows. */
const hosts = new Map<string, readonly string[]>();
let asked = (): void => undefined;

mock.method(dns, "lookup", ((name: string, _options: unknown, callback: (...said: unknown[]) => void) => {
  const addresses = hosts.get(name) ?? [name];
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  if (name === UNKNOWN) callback(new Error(`getaddrinfo ENOTFOUND ${name}`));
  else if (name !== UNANSWERED) callback(null, found);
  asked();
}) as unknown as typeof dns.lookup);

/** A host of these addresses. */
function hostAt(...addresses: readonly string[]): string {
  const name = `host${hosts.size}.example.com`;
  hosts.set(name, addresses);
  return name;
}

interface Delivered {
  readonly receipt: Receipt;
  readonly milliseconds: number;
}

async function deliver(options: SmtpOptions, signal?: AbortSignal): Promise<Delivered> {
  const transport = smtpTransport({ serverName: "localhost", ca: certificate.cert, ...options });
  const message = new Message({ from: "from@example.com", to: ["to@example.com"] });
  const begun = performance.now();
  const [receipt] = await Array.fromAsync(transport.deliver([message], { signal }));
  const milliseconds = performance.now() - begun;
  await transport.close();
  assert.ok(receipt);
  return { receipt, milliseconds };
}

/** How many sockets are open, or on their way, once what was destroyed is closed, which the loop does at the end of a turn. */
async function sockets(): Promise<number> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((name) => /^(?:TCPSocket|TCPConnect|Connect)Wrap$/.test(name)).length;
}

test("an address that swallows every packet costs a quarter of a second, IPv6 and IPv4", { skip }, async () => {
  await using plain = await startSmtpPeer();
  await using secure = await startSmtpPeer({ ...certificate, secure: true });
  const modes = [
    [plain.port, "none"],
    [secure.port, "implicit"],
  ] as const;
  const rows = [["127.0.0.2"], ["::1"], ["::1", "127.0.0.2"], ["127.0.0.3", "::1", "127.0.0.2"]];
  for (const [port, tls] of modes) {
    await using silent = new AsyncDisposableStack();
    for (const address of ["127.0.0.2", "::1"]) silent.use(await startSilentAddress(address, port));
    const delivered = await Promise.all(
      rows.map((addresses) => deliver({ host: hostAt(...addresses, "127.0.0.1"), port, tls })),
    );
    for (const [index, { receipt, milliseconds }] of delivered.entries()) {
      assert.equal(receipt.status, "accepted", String(receipt.error));
      // Nobody is at 127.0.0.3, which refuses at once.
      const least = rows[index]!.filter((address) => address !== "127.0.0.3").length * DELAY;
      assert.ok(milliseconds >= least - 5 && milliseconds < least + 1000, `row ${index}: ${milliseconds} ms`);
    }
  }
});

test("an address goes on behind its turn: a lost packet is no end where the others refuse", { skip }, async () => {
  await using peer = await startSmtpPeer();
  await using silent = await startSilentAddress("127.0.0.2", peer.port);
  // The kernel repeats the first packet after a second.
  setTimeout(() => silent.wake(), 2 * DELAY);
  const host = hostAt("127.0.0.2", "127.0.0.3");
  const { receipt, milliseconds } = await deliver({ host, port: peer.port, tls: "none" });
  assert.equal(receipt.status, "accepted", String(receipt.error));
  assert.ok(milliseconds > 2 * DELAY, `${milliseconds} ms`);
});

test("where every address is silent, the time for a connection ends it; no socket stays", { skip }, async () => {
  await using server = await startFaultServer();
  const { port } = server;
  await using silent = new AsyncDisposableStack();
  for (const address of ["127.0.0.2", "127.0.0.4"]) silent.use(await startSilentAddress(address, port));
  const before = await sockets();
  for (const tls of ["none", "implicit", "starttls"] as const) {
    for (const addresses of [["127.0.0.2"], ["127.0.0.2", "127.0.0.4", "127.0.0.3"]]) {
      const options = { host: hostAt(...addresses), port, tls, timeouts: { greeting: 60 } };
      const { receipt, milliseconds } = await deliver(options);
      const { error } = receipt;
      assert.ok(error instanceof TimeoutError && error.message.includes(`${options.host}:${port}`), String(error));
      assert.ok(milliseconds > 55 && milliseconds < 1000, `${milliseconds} ms`);
      assert.equal(receipt.status, "deferred");
    }
  }
  assert.equal(await sockets(), before);
  assert.equal(server.connections, 0);
});

test("a short time for the connection is shared, so that each address has its turn", { skip }, async () => {
  await using peer = await startSmtpPeer();
  await using silent = new AsyncDisposableStack();
  silent.use(await startSilentAddress("127.0.0.2", peer.port));
  const host = hostAt("127.0.0.2", "127.0.0.1");
  const { receipt } = await deliver({ host, port: peer.port, tls: "none", timeouts: { greeting: DELAY - 50 } });
  assert.equal(receipt.status, "accepted", String(receipt.error));
});

test("by default the time for a connection is 5 minutes, and EMAIL_TIMEOUT's where it is set", { skip }, async (t) => {
  await using server = await startFaultServer();
  await using silent = new AsyncDisposableStack();
  silent.use(await startSilentAddress("127.0.0.2", server.port));
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const [timeouts, milliseconds] of [
    [{}, 300_000],
    [{ command: 7_000 }, 7_000],
    [{ command: 7_000, greeting: 9_000 }, 9_000],
  ] as const) {
    const name = Promise.withResolvers<void>();
    asked = name.resolve;
    const host = hostAt("127.0.0.2");
    let isOver = false;
    const delivery = deliver({ host, port: server.port, tls: "none", timeouts }).finally(() => (isOver = true));
    await name.promise;
    t.mock.timers.tick(milliseconds - 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isOver, false);
    t.mock.timers.tick(1);
    const { receipt } = await delivery;
    assert.ok(receipt.error instanceof TimeoutError, String(receipt.error));
  }
});

test("an abort, and close(), end the attempts at once, and no socket stays", { skip }, async () => {
  await using server = await startFaultServer();
  const { port } = server;
  await using silent = new AsyncDisposableStack();
  silent.use(await startSilentAddress("127.0.0.2", port));
  const before = await sockets();
  const begun = performance.now();
  for (const tls of ["none", "implicit"] as const) {
    const controller = new AbortController();
    asked = () => setImmediate(() => controller.abort());
    const host = hostAt("127.0.0.2", "127.0.0.2");
    const { receipt } = await deliver({ host, port, tls }, controller.signal);
    assert.ok(receipt.error instanceof SmtpError && receipt.error.code === "aborted");

    const transport = smtpTransport({ host: hostAt("127.0.0.2"), port, tls });
    asked = () => setImmediate(() => void transport.close());
    const message = new Message({ from: "from@example.com", to: ["to@example.com"] });
    const [closed] = await Array.fromAsync(transport.deliver([message]));
    assert.ok(closed?.error instanceof SmtpError && closed.error.code === "aborted");
  }
  asked = () => undefined;
  assert.ok(performance.now() - begun < 1000);
  assert.equal(await sockets(), before);
});

test("a name that is not known ends the attempt, and one that gets no answer in the time for the connection", async () => {
  const unknown = await deliver({ host: UNKNOWN });
  assert.ok(unknown.receipt.error instanceof SmtpError && unknown.receipt.error.code === "connect");
  assert.match(unknown.receipt.error.message, /ENOTFOUND/);
  const unanswered = await deliver({ host: UNANSWERED, timeouts: { greeting: 30 } });
  assert.ok(unanswered.receipt.error instanceof TimeoutError);
  const controller = new AbortController();
  asked = () => setImmediate(() => controller.abort());
  const aborted = await deliver({ host: UNANSWERED }, controller.signal);
  asked = () => undefined;
  assert.equal((aborted.receipt.error as SmtpError).code, "aborted");
});

test("connections that fail leave no socket behind, whatever it is that fails", async () => {
  await using closing = await startScriptedServer(() => null);
  await using turning = await startScriptedServer(() => "421 4.3.2 not now\r\n");
  await using noisy = await startTlsTrap("implicit", TLS_TRAPS["it answers with noise"]!);
  await using breaking = await startTlsTrap("starttls", TLS_TRAPS["it breaks the connection"]!);
  const { port: refusing } = await startSmtpPeer().then(async (peer) => {
    await peer.close();
    return peer;
  });
  const kinds: readonly SmtpOptions[] = [
    { host: hostAt("127.0.0.1", "::1"), port: refusing, tls: "none" },
    { host: "127.0.0.1", port: closing.port },
    { host: "127.0.0.1", port: turning.port },
    { host: "127.0.0.1", port: noisy.port, tls: "implicit" },
    { host: "127.0.0.1", port: breaking.port, tls: "starttls" },
  ];
  const before = await sockets();
  for (const options of kinds) {
    for (let count = 0; count < 20; count++) assert.equal((await deliver(options)).receipt.status, "deferred");
  }
  for (const server of [closing, turning, noisy, breaking]) await server.quiet();
  assert.equal(await sockets(), before);
});

test("of a host with a hundred addresses sixteen are tried, and each says why not", async () => {
  await using peer = await startSmtpPeer();
  const hundred = Array.from({ length: 100 }, (_, index) => `127.0.1.${index}`);
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  const { receipt } = await deliver({ host: hostAt(...hundred), port: peer.port, tls: "none" });
  process.off("warning", warn);
  assert.ok(receipt.error instanceof SmtpError && receipt.error.code === "connect");
  const named = [...receipt.error.message.matchAll(/127\.0\.1\.(\d+)/g)].map(([, last]) => Number(last));
  assert.deepEqual(named, [...Array(16).keys()]);
  assert.deepEqual(warnings, []);
});

test("the families are tried in turn, so that one that is not there costs one attempt", async () => {
  const { port } = await startSmtpPeer().then(async (peer) => {
    await peer.close();
    return peer;
  });
  const rows: readonly (readonly string[])[] = [
    ["::1", "::1", "127.0.0.1", "127.0.0.2"],
    ["127.0.0.1", "127.0.0.2", "::1"],
    ["127.0.0.1", "127.0.0.2"],
  ];
  const order: string[] = [];
  for (const addresses of rows) {
    const { receipt } = await deliver({ host: hostAt(...addresses), port, tls: "none" });
    order.push([...String(receipt.error).matchAll(/ECONNREFUSED (\S+):\d+/g)].map(([, address]) => address).join(" "));
  }
  assert.deepEqual(order, ["::1 127.0.0.1 ::1 127.0.0.2", "127.0.0.1 ::1 127.0.0.2", "127.0.0.1 127.0.0.2"]);
});
