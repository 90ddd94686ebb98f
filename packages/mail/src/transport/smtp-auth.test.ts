import assert from "node:assert/strict";
import dns from "node:dns";
import { connect } from "node:net";
import { before, test } from "node:test";
import { inspect } from "node:util";
import type { SMTPServerAuthentication } from "smtp-server";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { type SmtpPeer, startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { Receipt } from "../delivery.ts";
import { AuthError, SmtpError } from "../errors.ts";
import { Message } from "../message/message.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const messages = (count: number): Message[] =>
  Array.from({ length: count }, () => new Message({ from: "from@example.com", to: ["to@example.com"] }));

async function deliver(options: SmtpOptions, count = 1): Promise<Receipt[]> {
  const transport = smtpTransport({ host: "127.0.0.1", ...options });
  try {
    return await Array.fromAsync(transport.deliver(messages(count)));
  } finally {
    await transport.close();
  }
}

const statuses = (receipts: readonly Receipt[]): string[] => receipts.map(({ status }) => status);

/** A peer that takes one credential, and what was presented to it. */
async function startAuthPeer(
  methods: string[],
  takes: (auth: SMTPServerAuthentication) => boolean,
): Promise<SmtpPeer & { readonly presented: SMTPServerAuthentication[] }> {
  const presented: SMTPServerAuthentication[] = [];
  const peer = await startSmtpPeer({
    authOptional: false,
    closeTimeout: 10,
    authMethods: methods,
    onAuth(auth, _session, callback) {
      presented.push(auth);
      if (takes(auth)) callback(null, { user: auth.username });
      else callback(null, { user: undefined, message: "no", data: { status: "401" } });
    },
  });
  return Object.assign(peer, { presented });
}

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

const password = "비밀 secret~";

test("each mechanism presents what it was given", async () => {
  for (const method of ["PLAIN", "LOGIN", "CRAM-MD5"]) {
    await using peer = await startAuthPeer([method], (auth) =>
      method === "CRAM-MD5" ? auth.validatePassword(password) : auth.password === password,
    );
    assert.deepEqual(statuses(await deliver({ port: peer.port, auth: { user: "김", password } })), ["accepted"]);
    assert.deepEqual(
      peer.presented.map(({ method, username }) => [method, username]),
      [[method, "김"]],
    );
  }
});

test("the strongest mechanism on offer is used", async () => {
  await using peer = await startAuthPeer(["LOGIN", "PLAIN", "CRAM-MD5"], () => true);
  await deliver({ port: peer.port, auth: { user: "me", password } });
  assert.deepEqual(
    peer.presented.map(({ method }) => method),
    ["CRAM-MD5"],
  );
});

test("an access token is asked for anew for each connection, and so may expire", async () => {
  let tokens = 0;
  await using peer = await startAuthPeer(["XOAUTH2"], ({ accessToken }) => accessToken === `token-${tokens}`);
  const auth = { user: "me", accessToken: () => Promise.resolve(`token-${++tokens}`) };
  assert.deepEqual(
    statuses(await deliver({ port: peer.port, auth, messagesPerConnection: 2 }, 5)),
    Array(5).fill("accepted"),
  );
  assert.deepEqual(
    peer.presented.map(({ username, accessToken }) => [username, accessToken]),
    [
      ["me", "token-1"],
      ["me", "token-2"],
      ["me", "token-3"],
    ],
  );
  const fixed = { user: "me", accessToken: "token-3" };
  assert.deepEqual(statuses(await deliver({ port: peer.port, auth: fixed })), ["accepted"]);
});

test("a token that the server refuses ends the delivery, and is not shown in the error", async () => {
  await using peer = await startAuthPeer(["XOAUTH2"], () => false);
  const auth = { user: "me", accessToken: "very-secret-token" };
  await assert.rejects(deliver({ port: peer.port, auth }, 3), (error) => {
    assert.ok(error instanceof AuthError);
    assert.deepEqual([error.code, error.nextIndex, error.reply?.code], ["auth-refused", 0, 535]);
    const shown = inspect(error, { depth: 9 });
    return (
      !shown.includes("very-secret") &&
      !shown.includes(Buffer.from("very-secret-token").toString("base64").slice(2, 20))
    );
  });
  assert.deepEqual(peer.messages, []);
});

test("a function that gives no token is the trouble of a moment: the message is deferred, the next one sent", async () => {
  await using peer = await startAuthPeer(["XOAUTH2"], () => true);
  let calls = 0;
  const accessToken = (): string => {
    if (++calls === 1) throw new Error("the issuer is down");
    return "token";
  };
  const receipts = await deliver({ port: peer.port, auth: { user: "me", accessToken } }, 3);
  assert.deepEqual(statuses(receipts).toSorted(), ["accepted", "accepted", "deferred"]);
  const error = receipts.find(({ status }) => status === "deferred")?.error;
  assert.ok(error instanceof SmtpError && error.code === "token-unavailable");
  assert.match(String(error.cause), /the issuer is down/);
});

test("a function that never gives a token ends the delivery at the third connection", async () => {
  await using peer = await startAuthPeer(["XOAUTH2"], () => true);
  const accessToken = (): Promise<string> => Promise.reject(new Error("the issuer is down"));
  await assert.rejects(
    deliver({ port: peer.port, auth: { user: "me", accessToken } }, 9),
    (error) => error instanceof SmtpError && error.code === "token-unavailable" && error.nextIndex === 2,
  );
  assert.equal(peer.sessions.length, 3);
});

test("what is no token is an error that names the option", async () => {
  await using peer = await startAuthPeer(["XOAUTH2"], () => true);
  for (const token of ["", "a b", "a\r\nMAIL", "토큰", 7]) {
    const auth = { user: "me", accessToken: () => token as string };
    await assert.rejects(
      deliver({ port: peer.port, auth }),
      (error) => error instanceof AuthError && error.setting === "auth.accessToken",
    );
  }
  assert.deepEqual(peer.presented, []);
});

test("wrong credentials end the delivery, whatever the mechanism, and other mechanisms are not tried", async () => {
  for (const methods of [["PLAIN"], ["LOGIN"], ["CRAM-MD5"], ["LOGIN", "PLAIN"]]) {
    await using peer = await startAuthPeer(methods, () => false);
    await assert.rejects(
      deliver({ port: peer.port, auth: { user: "me", password } }, 3),
      (error) => error instanceof AuthError && error.code === "auth-refused" && error.nextIndex === 0,
    );
    assert.deepEqual([peer.presented.length, peer.sessions.length, peer.messages.length], [1, 1, 0]);
  }
});

test("several connections whose credentials are refused end the delivery once, with no message sent", async () => {
  await using peer = await startAuthPeer(["PLAIN"], () => false);
  await assert.rejects(deliver({ port: peer.port, auth: { user: "me", password }, connections: 8 }, 50), {
    nextIndex: 0,
  });
  assert.equal(peer.messages.length, 0);
});

test("credentials do not travel in clear to another host, and neither does mail", async () => {
  await using server = await plainServer((line) =>
    line.startsWith("EHLO") ? "250-s\r\n250 AUTH PLAIN LOGIN\r\n" : undefined,
  );
  // Where the caller's own connection leads, nobody knows, though the host is called localhost.
  const options: SmtpOptions = {
    host: "localhost",
    connect: () => Promise.resolve(connect(server.port, "127.0.0.1")),
    auth: { user: "me", password },
    tls: "none",
  };
  await assert.rejects(deliver(options), { code: "auth-in-clear" });
  await assert.rejects(deliver({ ...options, tls: "opportunistic" }), { code: "auth-in-clear" });
  assert.doesNotMatch(server.lines.join("\n"), /AUTH|MAIL/);
});

test("what only looks like loopback gets no credentials in clear, though it answers here", async (t) => {
  await using server = await plainServer((line) =>
    line.startsWith("EHLO") ? "250-s\r\n250 AUTH PLAIN\r\n" : undefined,
  );
  // A name server may say of any name that it is this host.
  const answer = (_name: string, _options: unknown, callback: (error: null, found: unknown) => void): void =>
    callback(null, [{ address: "127.0.0.1", family: 4 }]);
  t.mock.method(dns, "lookup", answer as unknown as typeof dns.lookup);
  const hosts = ["localhost.example.com", "127.0.0.1.example.com", "localhost6.example", "0.0.0.0", "::ffff:127.0.0.1"];
  for (const host of hosts) {
    const options: SmtpOptions = { host, port: server.port, auth: { user: "me", password }, tls: "none" };
    await assert.rejects(deliver(options), { code: "auth-in-clear" }, host);
    await assert.rejects(deliver({ ...options, tls: "opportunistic" }), { code: "auth-in-clear" }, host);
  }
  assert.equal(server.connections, 2 * hosts.length);
  assert.doesNotMatch(server.lines.join("\n"), /AUTH|MAIL/);
});

test("localhost is this host, whatever a name server says: neither credentials nor mail go anywhere else", async (t) => {
  await using server = await plainServer((line) =>
    line.startsWith("EHLO") ? "250-s\r\n250 AUTH PLAIN\r\n" : undefined,
  );
  let addresses = [{ address: "127.0.0.1", family: 4 }];
  const answer = (_name: string, _options: unknown, callback: (error: null, found: unknown) => void): void =>
    callback(null, addresses);
  t.mock.method(dns, "lookup", answer as unknown as typeof dns.lookup);
  const options: SmtpOptions = { host: "localhost", port: server.port };
  assert.deepEqual(statuses(await deliver(options)), ["accepted"]);
  // Connections to 0.0.0.0 come to this host too, but it is none of its loopback addresses.
  for (const stray of [["0.0.0.0"], ["127.0.0.1", "0.0.0.0"]]) {
    addresses = stray.map((address) => ({ address, family: 4 }));
    for (const given of [options, { ...options, auth: { user: "me", password } }]) {
      const [receipt] = await deliver(given);
      assert.ok(receipt?.error instanceof SmtpError && receipt.error.code === "connect", String(receipt?.error));
      assert.match(receipt.error.message, /0\.0\.0\.0/);
    }
  }
  assert.equal(server.connections, 1);
});

test("credentials travel by TLS to any host", async () => {
  await using peer = await startSmtpPeer({ ...certificate, secure: true, authOptional: false });
  const receipts = await deliver({
    host: "localhost",
    tls: "implicit",
    ca: certificate.cert,
    connect: () => Promise.resolve(connect(peer.port, "127.0.0.1")),
    auth: { user: "me", password: "secret" },
  });
  assert.deepEqual(statuses(receipts), ["accepted"]);
});

test("a server that offers no mechanism for the credentials gets no mail", async () => {
  await using peer = await startAuthPeer(["XOAUTH2"], () => true);
  await assert.rejects(deliver({ port: peer.port, auth: { user: "me", password } }), { code: "auth-missing" });
  await using plain = await plainServer();
  await assert.rejects(deliver({ port: plain.port, auth: { user: "me", password } }), { code: "auth-missing" });
  assert.ok(!plain.lines.some((line) => line.startsWith("MAIL")));
});
