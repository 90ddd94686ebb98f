import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { temporaryFolder } from "../../../../test/peer/posthaste.ts";
import { startRelay } from "../../../../test/peer/relay.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { Receipt, Transport } from "../delivery.ts";
import { mailSettings } from "../settings/environment.ts";
import { type ConnectionOptions, getConnection } from "./connection.ts";
import { EmailMessage } from "./email-message.ts";

/** The settings of the environment, for one test. */
function setEnvironment(t: TestContext, variables: Record<string, string>): void {
  Object.assign(process.env, variables);
  t.after(() => {
    for (const name of Object.keys(variables)) Reflect.deleteProperty(process.env, name);
  });
}

const letters = (count: number): EmailMessage[] =>
  Array.from({ length: count }, () => new EmailMessage({ from: "from@example.com", to: ["to@example.com"] }));

async function deliver(transport: Transport, count = 1): Promise<Receipt[]> {
  const receipts = await Array.fromAsync(transport.deliver(letters(count)));
  await transport.close();
  return receipts;
}

test("connections and messagesPerSecond stand beside what the settings say of the server", async (t) => {
  await using peer = await startSmtpPeer();
  await using relay = await startRelay(peer.port);
  setEnvironment(t, { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(relay.port) });
  const receipts = await deliver(getConnection({ connections: 4 }), 80);
  assert.ok(receipts.every(({ status }) => status === "accepted"));
  assert.ok(relay.most > 1 && relay.most <= 4, `${relay.most} at once`);
  const started = performance.now();
  await deliver(getConnection({ messagesPerSecond: 20 }), 4);
  assert.ok(performance.now() - started >= 150 - 15, "three intervals of 50 ms");
});

test("a pace that is not allowed, or that the backend has no use for, is an error that names the option", async (t) => {
  const OPTIONS = { host: "127.0.0.1" };
  const mailers = { server: { OPTIONS }, dummy: { BACKEND: "dummy" }, module: { BACKEND: "mime" } };
  setEnvironment(t, { MAILERS: JSON.stringify(mailers) });
  const rows: readonly [setting: string, options: ConnectionOptions, says: RegExp][] = [
    ["connections", { using: "server", connections: 0 }, /whole number from 1 to 1000/],
    ["connections", { using: "server", connections: 1001 }, /whole number from 1 to 1000/],
    ["connections", { using: "server", connections: 1.5 }, /whole number from 1 to 1000/],
    ["messagesPerSecond", { using: "server", messagesPerSecond: 0 }, /1\/86400 to 1000000/],
    ["messagesPerSecond", { using: "server", messagesPerSecond: Number.NaN }, /1\/86400 to 1000000/],
    ["connections", { using: "dummy", connections: 1 }, /the backend is dummy, which has none; leave it out/],
    ["messagesPerSecond", { using: "module", messagesPerSecond: 5 }, /the backend is mime, which has none/],
  ];
  for (const [setting, options, message] of rows)
    assert.throws(() => getConnection(options), { name: "SettingsError", code: "bad-setting", setting, message });
  await deliver(getConnection({ using: "dummy", connections: undefined, messagesPerSecond: undefined }));
});

test("the client's certificate of the settings is shown to a server that asks for one", async (t) => {
  const [server, client, stranger] = await Promise.all(Array.from({ length: 3 }, () => localhostCertificate()));
  assert.ok(server && client && stranger);
  const trusted = getCACertificates();
  setDefaultCACertificates([...trusted, server.cert]);
  t.after(() => setDefaultCACertificates(trusted));
  await using folder = await temporaryFolder();
  const file = async (name: string, content: string): Promise<string> => {
    const path = join(folder.path, name);
    await writeFile(path, content);
    return path;
  };
  const cert = await file("cert.pem", client.cert);
  const key = await file("key.pem", client.key);
  const both = await file("both.pem", client.key + client.cert);
  const other = await file("stranger.pem", stranger.key + stranger.cert);
  for (const secure of [true, false]) {
    const demanding = { requestCert: true, rejectUnauthorized: true, ca: [client.cert] };
    await using peer = await startSmtpPeer({ ...server, ...demanding, secure });
    const [EMAIL_HOST, EMAIL_PORT] = ["localhost", String(peer.port)];
    const variables = { EMAIL_HOST, EMAIL_PORT, [secure ? "EMAIL_USE_SSL" : "EMAIL_USE_TLS"]: "true" };
    const options = { host: "localhost", port: peer.port, [secure ? "use_ssl" : "use_tls"]: true };
    const mailers = (more: object): Record<string, string> => ({
      MAILERS: JSON.stringify({ default: { OPTIONS: { ...options, ...more } } }),
    });
    const rows: readonly [environment: Record<string, string>, isAccepted: boolean][] = [
      [{ ...variables, EMAIL_SSL_CERTFILE: cert, EMAIL_SSL_KEYFILE: key }, true],
      [{ ...variables, EMAIL_SSL_CERTFILE: both }, true],
      [mailers({ ssl_certfile: cert, ssl_keyfile: key }), true],
      [mailers({ ssl_certfile: both }), true],
      [variables, false],
      [mailers({}), false],
      [{ ...variables, EMAIL_SSL_CERTFILE: other }, false],
    ];
    for (const [environment, isAccepted] of rows) {
      const [receipt] = await deliver(getConnection(mailSettings(environment)));
      assert.equal(
        receipt?.status,
        isAccepted ? "accepted" : "deferred",
        `${JSON.stringify(environment)} ${String(receipt?.error)}`,
      );
    }
    assert.equal(peer.messages.length, 4);
  }
});
