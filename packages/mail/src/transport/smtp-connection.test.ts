import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import dns from "node:dns";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { before, test } from "node:test";
import { rootCertificates } from "node:tls";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { temporaryFolder } from "../../../../test/peer/posthaste.ts";
import { startRelay } from "../../../../test/peer/relay.ts";
import { plainServer, startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import type { SMTPServerOptions } from "smtp-server";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { Receipt } from "../delivery.ts";
import { SmtpError, TimeoutError, TlsError } from "../errors.ts";
import { createMailer } from "../mailer/mailer.ts";
import { Message } from "../message/message.ts";
import type { ConnectTarget, SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const message = (...to: string[]): Message =>
  new Message({ from: "from@example.com", to: to.length === 0 ? ["to@example.com"] : to, text: "여기" });

async function deliver(options: SmtpOptions, ...messages: Message[]): Promise<Receipt> {
  const transport = smtpTransport(options);
  const [receipt] = await Array.fromAsync(transport.deliver(messages.length === 0 ? [message()] : messages));
  await transport.close();
  assert.ok(receipt);
  return receipt;
}

type SmtpServerTls = Pick<SMTPServerOptions, "minVersion" | "maxVersion" | "ciphers">;

let certificate: { cert: string; key: string };
let stranger: { cert: string; key: string };
before(async () => {
  [certificate, stranger] = await Promise.all([localhostCertificate(), localhostCertificate()]);
});

test("a Unix socket counts as loopback: in clear without being told, credentials too", async () => {
  await using folder = await temporaryFolder();
  await using peer = await startSmtpPeer({ authOptional: false, allowInsecureAuth: true });
  const path = join(folder.path, "socket");
  await using relay = await startRelay(peer.port, { path });
  assert.equal((await deliver({ path, auth: { user: "me", password: "secret" } })).status, "accepted");
  assert.deepEqual([relay.connections, peer.messages.length], [1, 1]);
  const missing = join(folder.path, "none");
  const { error } = await deliver({ path: missing });
  assert.ok(error instanceof SmtpError && error.code === "connect" && error.message.includes(missing));
});

test("by LMTP each recipient has the verdict that came for it behind the end of data", async () => {
  for (const pipelining of ["off", "grouped", "auto", { bdatWindow: 2 }] as const) {
    await using server = await startFaultServer({ protocol: "lmtp" });
    const options = { host: "127.0.0.1", port: server.port, protocol: "lmtp", pipelining } as const;
    const to = ["a@x.example", "refused@x.example", "late@x.example", "deferred@x.example", "b@x.example"];
    const receipt = await deliver(options, message(...to), message());
    assert.equal(receipt.status, "partial");
    assert.deepEqual(
      receipt.recipients.map(({ status, phase, reply }) => [status, phase, reply?.lines[0]?.includes("late")]),
      [
        ["accepted", "end-of-data", false],
        ["refused", "RCPT", false],
        ["refused", "end-of-data", true],
        ["deferred", "RCPT", false],
        ["accepted", "end-of-data", false],
      ],
    );
    assert.equal(server.steps.find(({ verb }) => /^(?:E|L)HLO$/.test(verb))?.verb, "LHLO");
    assert.equal(server.accepted.length, 2);
  }
});

test("connect makes the connection: it is told where to, and in clear nothing but TLS is to be trusted", async () => {
  await using peer = await startSmtpPeer({ ...certificate });
  const targets: Omit<ConnectTarget, "signal">[] = [];
  const connect = async ({ host, port, signal }: ConnectTarget): Promise<ReturnType<typeof connectTcp>> => {
    targets.push({ host, port });
    assert.equal(signal.aborted, false);
    const socket = connectTcp(peer.port, "127.0.0.1");
    await once(socket, "connect");
    return socket;
  };
  const options = { host: "localhost", port: 2525, connect };
  assert.equal((await deliver({ ...options, ca: certificate.cert })).status, "accepted");
  assert.deepEqual(targets, [{ host: "localhost", port: 2525 }]);
  const { error } = await deliver({ ...options, host: "mail.example.com", ca: certificate.cert });
  assert.ok(error instanceof TlsError && error.code === "handshake", "the host's name is verified, not the proxy's");
  assert.equal(peer.messages.length, 1);
});

test("implicit TLS is made on what connect resolves to, and any Duplex will do", async () => {
  await using secure = await startSmtpPeer({ ...certificate, secure: true });
  await using plain = await startSmtpPeer({ ...certificate });
  const rows: readonly (readonly [number, SmtpOptions])[] = [
    [secure.port, { host: "localhost", tls: "implicit", ca: certificate.cert }],
    [plain.port, { host: "localhost", tls: "starttls", ca: certificate.cert }],
    [plain.port, { host: "localhost", tls: "none" }],
  ];
  for (const [port, options] of rows) {
    const socket = connectTcp(port, "127.0.0.1");
    // It has nothing of a socket: no ref(), no address of its own.
    const connect = (): Promise<Duplex> => Promise.resolve(Duplex.from({ readable: socket, writable: socket }));
    const { status, error } = await deliver({ ...options, connect });
    assert.equal(status, "accepted", String(error));
    socket.destroy();
  }
});

test("a connect that fails, never resolves or comes too late is a connection that cannot be made", async () => {
  await using server = await plainServer();
  const refused = await deliver({ host: "x.example", connect: () => Promise.reject(new Error("no such proxy")) });
  assert.ok(refused.error instanceof SmtpError);
  assert.deepEqual(
    [refused.error.code, refused.error.message.includes("x.example:587: no such proxy")],
    ["connect", true],
  );
  assert.equal((refused.error.cause as Error).message, "no such proxy");
  const thrown = await deliver({ host: "x.example", connect: () => assert.fail("at once") });
  assert.match(String(thrown.error), /at once/);
  const closed = await deliver({
    host: "x.example",
    tls: "none",
    connect: () => Promise.resolve(new Duplex().destroy()),
  });
  assert.ok(closed.error instanceof SmtpError && closed.error.code === "connect", String(closed.error));
  assert.match(closed.error.message, /is closed/);
  const late = Promise.withResolvers<Duplex>();
  const told: AbortSignal[] = [];
  const connect = ({ signal }: ConnectTarget): Promise<Duplex> => {
    told.push(signal);
    return late.promise;
  };
  const { error } = await deliver({ host: "x.example", connect, timeouts: { greeting: 30 } });
  assert.ok(error instanceof TimeoutError);
  assert.equal(told[0]?.aborted, true);
  const socket = connectTcp(server.port, "127.0.0.1");
  late.resolve(socket);
  await once(socket, "close");
});

test("the signal that connect gets never aborts a connection that was made, and aborts one in TLS that was not", async () => {
  await using server = await plainServer();
  const signals: AbortSignal[] = [];
  // As net.connect() does with its option signal: what aborts later destroys the connection in the middle of mail.
  const connect = async ({ signal }: ConnectTarget): Promise<Duplex> => {
    signals.push(signal);
    const socket = connectTcp({ port: server.port, host: "127.0.0.1", signal });
    await once(socket, "connect");
    return socket;
  };
  const timeouts = { greeting: 40 };
  const transport = smtpTransport({ host: "localhost", tls: "none", connect, timeouts });
  for (let round = 0; round < 2; round++) {
    const [receipt] = await Array.fromAsync(transport.deliver([message()]));
    assert.equal(receipt?.status, "accepted", String(receipt?.error));
    await new Promise((resolve) => setTimeout(resolve, 2 * timeouts.greeting));
  }
  await transport.close();
  assert.deepEqual([server.connections, signals.map(({ aborted }) => aborted)], [1, [false]]);
  await using silent = await startScriptedServer(() => undefined);
  const late = await deliver({
    host: "localhost",
    tls: "implicit",
    timeouts,
    connect: (target) => {
      signals.push(target.signal);
      return Promise.resolve(connectTcp(silent.port, "127.0.0.1"));
    },
  });
  assert.ok(late.error instanceof TimeoutError, String(late.error));
  assert.equal(signals.at(-1)?.aborted, true);
});

test("the host's other addresses are tried when one does not answer, in clear and by TLS", async (t) => {
  await using plain = await startSmtpPeer();
  await using secure = await startSmtpPeer({ ...certificate, secure: true });
  const [v6, v4, dead] = [
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
    { address: "127.0.0.2", family: 4 },
  ];
  // The name server that has several addresses; somebody listens at 127.0.0.1 alone.
  let addresses = [v6, v4];
  const answer = (_name: string, _options: unknown, callback: (error: null, found: unknown) => void): void =>
    callback(null, addresses);
  t.mock.method(dns, "lookup", answer as unknown as typeof dns.lookup);
  for (addresses of [
    [v6, v4],
    [v4, v6],
    [dead, v6, v4],
  ]) {
    const options = { host: "mail.example.com", ca: certificate.cert, serverName: "localhost" } as const;
    const receipts = [
      await deliver({ ...options, port: plain.port, tls: "none" }),
      await deliver({ ...options, port: secure.port, tls: "implicit" }),
    ];
    assert.deepEqual(
      receipts.map(({ status, error }) => [status, error]),
      Array(2).fill(["accepted", undefined]),
    );
    const { error } = await deliver({ ...options, port: 1, tls: "none" });
    for (const { address } of addresses) assert.ok(error?.message.includes(address), String(error));
  }
});

test("an IPv6 address is a host, with brackets or without, and names the client by its own", async (t) => {
  await using server = await plainServer();
  await using relay = await startRelay(server.port, { host: "::1", port: 0 }).catch(() => undefined);
  if (relay === undefined) return t.skip("this machine has no IPv6");
  for (const host of ["::1", "[::1]"]) assert.equal((await deliver({ host, port: relay.port })).status, "accepted");
  const own = hostname().includes(".") ? hostname() : "[IPv6:::1]";
  assert.deepEqual(
    server.lines.filter((line) => line.startsWith("EHLO")),
    Array(2).fill(`EHLO ${own}`),
  );
});

test("clientName is what EHLO says, and HELO where the server has no EHLO", async () => {
  await using server = await plainServer((line) => (line.startsWith("EHLO") ? "502 no\r\n" : undefined));
  const { status } = await deliver({ host: "127.0.0.1", port: server.port, clientName: "client.example" });
  assert.equal(status, "accepted");
  assert.deepEqual(server.lines.slice(0, 2), ["EHLO client.example", "HELO client.example"]);
});

test("opportunistic TLS is used where it is offered, verified, and else not", async () => {
  await using offering = await startSmtpPeer({ ...certificate });
  await using without = await startSmtpPeer();
  const options = { host: "localhost", tls: "opportunistic" } as const;
  assert.equal((await deliver({ ...options, port: without.port })).status, "accepted");
  assert.equal((await deliver({ ...options, port: offering.port, ca: certificate.cert })).status, "accepted");
  const { error } = await deliver({ ...options, port: offering.port });
  assert.ok(error instanceof TlsError && error.code === "handshake", "a certificate that does not hold is no reason");
  assert.equal(offering.messages.length, 1);
});

test("TLS none stays in clear where STARTTLS is offered", async () => {
  await using server = await plainServer((line) => (line.startsWith("EHLO") ? "250-s\r\n250 STARTTLS\r\n" : undefined));
  assert.equal((await deliver({ host: "127.0.0.1", port: server.port })).status, "accepted");
  assert.ok(!server.lines.includes("STARTTLS"));
});

test("minTlsVersion: 1.2 unless told otherwise; an older server is refused, an equal one is not", async () => {
  const rows: readonly (readonly [server: SmtpServerTls, min: SmtpOptions["minTlsVersion"], accepted: boolean])[] = [
    [{ maxVersion: "TLSv1.2" }, undefined, true],
    [{ maxVersion: "TLSv1.2" }, "TLSv1.2", true],
    [{ maxVersion: "TLSv1.2" }, "TLSv1.3", false],
    [{ minVersion: "TLSv1.3" }, "TLSv1.3", true],
    [{ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }, undefined, false],
  ];
  for (const [versions, minTlsVersion, isAccepted] of rows) {
    await using peer = await startSmtpPeer({ ...certificate, ...versions, secure: true });
    const options = { host: "localhost", port: peer.port, tls: "implicit", ca: certificate.cert } as const;
    const { status, error } = await deliver({ ...options, minTlsVersion });
    assert.equal(status, isAccepted ? "accepted" : "deferred", JSON.stringify([versions, minTlsVersion]));
    if (!isAccepted) assert.ok(error instanceof TlsError && error.code === "handshake", String(error));
  }
});

test("certificates: authorities, names, fingerprints and the option that takes any", async () => {
  await using peer = await startSmtpPeer({ ...certificate });
  const fingerprint = new X509Certificate(certificate.cert).fingerprint256;
  const other = new X509Certificate(stranger.cert).fingerprint256;
  const rows: readonly (readonly [options: Partial<SmtpOptions>, accepted: boolean])[] = [
    [{}, false],
    [{ ca: stranger.cert }, false],
    [{ ca: [rootCertificates[0] ?? "", certificate.cert] }, true],
    [{ ca: certificate.cert, serverName: "mail.example.com" }, false],
    [{ ca: certificate.cert, serverName: "127.0.0.1" }, true],
    [{ ca: certificate.cert, host: "127.0.0.1" }, true],
    [{ fingerprint }, true],
    [{ fingerprint: fingerprint.replaceAll(":", "").toLowerCase() }, true],
    [{ fingerprint, serverName: "mail.example.com" }, true],
    [{ fingerprint: other }, false],
    [{ fingerprint: other, ca: certificate.cert }, false],
    [{ fingerprint: other, acceptAnyCertificate: true }, false],
    [{ acceptAnyCertificate: true }, true],
    [{ acceptAnyCertificate: true, serverName: "mail.example.com" }, true],
  ];
  for (const [index, [given, isAccepted]] of rows.entries()) {
    const options = { host: "localhost", port: peer.port, tls: "starttls", ...given } as const;
    const { status, error } = await deliver(options);
    assert.equal(status, isAccepted ? "accepted" : "deferred", `row ${index}: ${String(error)}`);
    if (!isAccepted) assert.ok(error instanceof TlsError && error.code === "handshake", `row ${index}`);
  }
  assert.equal(peer.messages.length, rows.filter(([, isAccepted]) => isAccepted).length);
});

test("a client's certificate is shown to a server that asks for one", async () => {
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const demanding = { requestCert: true, rejectUnauthorized: true, ca: [stranger.cert], maxVersion };
    await using peer = await startSmtpPeer({ ...certificate, ...demanding, secure: true });
    const options = { host: "localhost", port: peer.port, tls: "implicit", ca: certificate.cert } as const;
    const shown = await deliver({ ...options, ...stranger });
    assert.equal(shown.status, "accepted", String(shown.error));
    for (const without of [options, { ...options, ...certificate }]) {
      const { status, error } = await deliver(without);
      assert.equal(status, "deferred");
      // In TLS 1.3 the server judges behind the handshake, and Node's server closes without a word in both.
      assert.ok(error instanceof SmtpError, `${maxVersion}: ${String(error)}`);
    }
    assert.equal(peer.messages.length, 1);
  }
});

test("a transport that is let go of has ended its connections", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  {
    await using transport = smtpTransport({ host: "127.0.0.1", port: relay.port });
    const [receipt] = await Array.fromAsync(transport.deliver([message()]));
    assert.deepEqual([receipt?.status, relay.open], ["accepted", 1]);
  }
  await relay.quiet();
  assert.equal(relay.connections, 1);
});

test("a mailer that is let go of has ended its connections", async () => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  {
    await using mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port: relay.port }) });
    assert.equal((await mailer.send(message())).status, "accepted");
    assert.equal((await mailer.send(message())).status, "accepted");
    assert.equal(relay.open, 1);
  }
  await relay.quiet();
  assert.equal(relay.connections, 1);
});
