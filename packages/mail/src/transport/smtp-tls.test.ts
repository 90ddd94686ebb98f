import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { Duplex } from "node:stream";
import { before, describe, test } from "node:test";
import { generate } from "selfsigned";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { plainServer, startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { startTlsTrap, TLS_TRAPS, type TlsTrapServer } from "../../../../test/peer/tls-trap.ts";
import type { Receipt } from "../delivery.ts";
import { type SmtpError, TimeoutError, TlsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

/** The receipt, while the transport is not closed: what is left of the connection must end by itself. */
async function deliver(options: Omit<SmtpOptions, "host">): Promise<Receipt> {
  const transport = smtpTransport({ host: "localhost", ca: certificate.cert, ...options });
  const message = new Message({ from: "from@example.com", to: ["to@example.com"] });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  assert.ok(receipt);
  return receipt;
}

/** Over the caller's own connection, which is no socket. */
async function deliverOver(server: TlsTrapServer, options: Omit<SmtpOptions, "host">): Promise<[Receipt, Duplex]> {
  let given: Duplex | undefined;
  const connect = async (): Promise<Duplex> => {
    const socket = connectTcp(server.port, "127.0.0.1");
    await once(socket, "connect");
    return (given = Duplex.from({ readable: socket, writable: socket }));
  };
  const receipt = await deliver({ ...options, connect });
  assert.ok(given);
  return [receipt, given];
}

describe(
  "a handshake that comes to nothing is a TlsError, nothing leaves, and no connection stays",
  { concurrency: 8 },
  () => {
    for (const [name, trap] of Object.entries(TLS_TRAPS)) {
      for (const tls of ["implicit", "starttls"] as const) {
        test(`${tls}: ${name}`, async () => {
          await using server = await startTlsTrap(tls, trap);
          const options = { tls, timeouts: name === "it says nothing" ? { greeting: 50 } : {} };
          const receipt = await deliver({ ...options, port: server.port });
          const [overDuplex, duplex] = await deliverOver(server, options);
          for (const { status, error } of [receipt, overDuplex]) {
            assert.equal(status, "deferred");
            if (name === "it says nothing") assert.ok(error instanceof TimeoutError, String(error));
            else assert.ok(error instanceof TlsError && error.code === "handshake", String(error));
          }
          await server.quiet();
          assert.equal(duplex.destroyed, true);
          assert.deepEqual(
            server.lines.filter((line) => !/^(?:EHLO .*|STARTTLS)$/.test(line)),
            [],
          );
        });
      }
    }
  },
);

test("a server in clear at the port of implicit TLS, and one of TLS where clear text is expected", async () => {
  await using plain = await plainServer();
  const { error } = await deliver({ port: plain.port, tls: "implicit" });
  assert.ok(error instanceof TlsError && error.code === "handshake", String(error));
  // Each waits for the other to speak first.
  await using secure = await startSmtpPeer({ ...certificate, secure: true });
  for (const tls of ["none", "starttls", "opportunistic"] as const) {
    const silent = await deliver({ port: secure.port, tls, timeouts: { greeting: 40 } });
    assert.ok(silent.error instanceof TimeoutError && silent.error.verb === "greeting", String(silent.error));
  }
});

test("what comes in clear between the 220 of STARTTLS and the handshake is not read as if TLS had brought it", async () => {
  const injected = "250-server.example\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok\r\n";
  for (const [reply, later] of [
    [`220 go ahead\r\n${injected}`, undefined],
    ["220 go ahead\r\n", injected],
  ] as const) {
    await using server = await plainServer((line) => {
      if (line.startsWith("EHLO")) return "250-s\r\n250 STARTTLS\r\n";
      if (line !== "STARTTLS") return undefined;
      if (later !== undefined) setImmediate(() => server.write(later));
      return reply;
    });
    const { status, error } = await deliver({ port: server.port, tls: "starttls", auth: { user: "u", password: "p" } });
    assert.equal(status, "deferred");
    assert.ok(error instanceof TlsError, String(error));
    assert.ok(later !== undefined || error.code === "starttls-injection", error.code);
    assert.doesNotMatch(server.lines.join("\n"), /^(?:AUTH|MAIL)/m);
  }
});

const [MISSING, REFUSED, HANDSHAKE] = ["starttls-missing", "starttls-refused", "handshake"] as const;

/** Ways to make a client that wants STARTTLS go on without it: what is answered to whom in place of the honest reply. */
const DOWNGRADES: readonly (readonly [name: string, verb: string, reply: string, code: SmtpError["code"]])[] = [
  ["STARTTLS is not offered", "EHLO", "250-s\r\n250 AUTH PLAIN", MISSING],
  ["its name is garbled, as some firewalls do", "EHLO", "250-s\r\n250-XXXXXXXA\r\n250 AUTH PLAIN", MISSING],
  ["another name begins with it", "EHLO", "250-s\r\n250-STARTTLSX\r\n250 AUTH PLAIN", MISSING],
  ["it stands where the server's name does", "EHLO", "250-STARTTLS\r\n250 AUTH PLAIN", MISSING],
  ["EHLO is refused, and HELO knows no extensions", "EHLO", "502 no", MISSING],
  ["STARTTLS is refused for now", "STARTTLS", "454 4.7.0 not now", REFUSED],
  ["STARTTLS is refused for good", "STARTTLS", "502 5.5.1 no", REFUSED],
  ["STARTTLS gets 250", "STARTTLS", "250 ok", REFUSED],
  // Taken for the reply, since nobody can tell; the handshake shows that nobody meant it.
  ["STARTTLS is answered before it was said", "EHLO", "250-s\r\n250 STARTTLS\r\n220 go", HANDSHAKE],
  ["all is answered before it was said", "", "220 s\r\n250-s\r\n250 STARTTLS\r\n220 go", HANDSHAKE],
];

for (const [name, answered, reply, code] of DOWNGRADES) {
  test(`neither credentials nor mail leave in clear when TLS is required: ${name}`, async () => {
    const honest: Record<string, string> = { "": "220 s", EHLO: "250-s\r\n250-STARTTLS\r\n250 AUTH PLAIN" };
    await using server = await startScriptedServer((line) => {
      const [verb = ""] = line.split(" ");
      return verb === "QUIT" ? null : `${{ ...honest, [answered]: reply }[verb] ?? "250 STARTTLS"}\r\n`;
    });
    const options = { port: server.port, tls: "starttls", auth: { user: "me", password: "secret" } } as const;
    const { status, error } = await deliver(options);
    assert.deepEqual([status, (error as SmtpError).code], ["deferred", code]);
    await server.quiet();
    assert.doesNotMatch(server.lines.join("\n"), /^(?:AUTH|MAIL|RCPT|DATA|NOOP|RSET)/m);
  });
}

test("a certificate holds in its time only, whoever issued it", async () => {
  const year = (number: number): Date => new Date(Date.UTC(number, 0));
  const rows = [
    [2001, 2002, /has expired/],
    [2400, 2401, /not yet valid/],
  ] as const;
  for (const [from, until, reason] of rows) {
    const made = await generate([{ name: "commonName", value: "localhost" }], {
      keySize: 2048,
      notBeforeDate: year(from),
      notAfterDate: year(until),
      extensions: [
        { name: "basicConstraints", cA: true },
        { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] },
      ],
    });
    for (const tls of ["implicit", "starttls"] as const) {
      await using peer = await startSmtpPeer({ cert: made.cert, key: made.private, secure: tls === "implicit" });
      const { error } = await deliver({ port: peer.port, tls, ca: made.cert });
      assert.ok(error instanceof TlsError && error.code === "handshake", String(error));
      assert.match(error.message, reason);
      assert.deepEqual(peer.messages, []);
    }
  }
});
