import assert from "node:assert/strict";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { SocksClient } from "socks";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { run } from "../../../../test/peer/posthaste.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { startSocksServer } from "../../../../test/peer/socks-server.ts";
import { SmtpError } from "../errors.ts";
import { Message } from "../message/message.ts";
import type { ConnectTarget } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const message = new Message({ from: "from@example.com", to: ["to@example.com"] });

test("the example sends through a SOCKS proxy", async () => {
  await using peer = await startSmtpPeer();
  await using proxy = await startSocksServer();
  const environment = { SOCKS_PORT: String(proxy.port), MAIL_PORT: String(peer.port) };
  const { code, stdout, stderr } = await run("examples/proxy.ts", [], ".", environment);
  assert.deepEqual([code, stdout, stderr], [0, "accepted\n", ""]);
  assert.deepEqual([proxy.targets, peer.messages.length], [[`127.0.0.1:${peer.port}`], 1]);
});

test("TLS and its certificate are the server's behind the proxy, which resolves the name", async () => {
  const certificate = await localhostCertificate();
  await using peer = await startSmtpPeer({ ...certificate, secure: true });
  await using proxy = await startSocksServer();
  const connect = async ({ host, port }: ConnectTarget): Promise<Duplex> => {
    const { socket } = await SocksClient.createConnection({
      proxy: { host: "127.0.0.1", port: proxy.port, type: 5 },
      command: "connect",
      destination: { host, port },
    });
    return socket;
  };
  const options = { host: "localhost", tls: "implicit", ca: certificate.cert, connect } as const;
  const transport = smtpTransport({ ...options, port: peer.port });
  const [receipt] = await Array.fromAsync(transport.deliver([message]));
  await transport.close();
  assert.equal(receipt?.status, "accepted", String(receipt?.error));
  const nowhere = smtpTransport({ ...options, port: 1 });
  const [deferred] = await Array.fromAsync(nowhere.deliver([message]));
  assert.ok(deferred?.error instanceof SmtpError && deferred.error.code === "connect");
  assert.deepEqual(proxy.targets, [`localhost:${peer.port}`, "localhost:1"]);
});
