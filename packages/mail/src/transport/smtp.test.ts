import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { before, test } from "node:test";
import { inspect } from "node:util";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startFaultServer } from "../../../../test/peer/fault-server.ts";
import { plainServer, startScriptedServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { DeliverableMessage, Receipt } from "../delivery.ts";
import { AuthError, SettingsError, SmtpError, TimeoutError, TlsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { resolveOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

const message = (to: string[] = ["to@example.com"]): Message =>
  new Message({ subject: "제목", text: ".점\n", from: "from@example.com", to });

function foreign(content: string): DeliverableMessage {
  const envelope = { reversePath: "from@example.com", forwardPaths: ["to@example.com"] };
  return { messageId: "<foreign@example.com>", envelope: () => envelope, toBytes: () => Buffer.from(content) };
}

async function deliver(transport: ReturnType<typeof smtpTransport>, ...messages: Message[]): Promise<Receipt[]> {
  try {
    return await Array.fromAsync(transport.deliver(messages));
  } finally {
    await transport.close();
  }
}

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

test("any number of messages go over one session, in order, and QUIT ends it", async () => {
  await using peer = await startSmtpPeer();
  const messages = Array.from({ length: 20 }, (_, index) => message([`to${index}@example.com`]));
  const receipts = await deliver(smtpTransport({ host: "127.0.0.1", port: peer.port }), ...messages);
  assert.deepEqual(
    receipts.map(({ index, status }) => [index, status]),
    messages.map((_, index) => [index, "accepted"]),
  );
  assert.deepEqual(
    peer.messages.map(({ forwardPaths }) => forwardPaths[0]),
    messages.map(({ to }) => to[0]),
  );
  assert.equal(peer.sessions.length, 1);
});

test("a refused recipient beside an accepted one: the receipt says which, with the reply, and the next message has its own sender", async () => {
  await using peer = await startSmtpPeer();
  const other = new Message({ from: "other@example.com", to: ["b@example.com"] });
  const receipts = await deliver(
    smtpTransport({ host: "127.0.0.1", port: peer.port }),
    message(["refused@example.com", "to@example.com", "deferred@example.com"]),
    message(["refused@example.com"]),
    other,
  );
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["partial", "refused", "accepted"],
  );
  assert.deepEqual(
    receipts[0]?.recipients.map(({ address, status, reply }) => [address, status, reply?.code, reply?.enhanced]),
    [
      ["refused@example.com", "refused", 550, "5.1.1"],
      ["to@example.com", "accepted", 250, undefined],
      ["deferred@example.com", "deferred", 451, undefined],
    ],
  );
  assert.deepEqual(
    peer.messages.map(({ reversePath }) => reversePath),
    ["from@example.com", "other@example.com"],
  );
});

test("STARTTLS and credentials, PLAIN as well as LOGIN", async () => {
  for (const authMethods of [["PLAIN"], ["LOGIN"]]) {
    await using peer = await startSmtpPeer({ ...certificate, authOptional: false, authMethods });
    const transport = smtpTransport({
      host: "localhost",
      port: peer.port,
      tls: "starttls",
      ca: certificate.cert,
      auth: { user: "김", password: "secret" },
    });
    const [receipt] = await deliver(transport, message());
    assert.equal(receipt?.status, "accepted");
    assert.deepEqual(peer.credentials, ["김:secret"]);
  }
});

test("implicit TLS", async () => {
  await using peer = await startSmtpPeer({ ...certificate, secure: true });
  const [receipt] = await deliver(
    smtpTransport({ host: "127.0.0.1", port: peer.port, tls: "implicit", ca: certificate.cert }),
    message(),
  );
  assert.equal(receipt?.status, "accepted");
});

test("a certificate that nobody vouches for, or of another name, is refused", async () => {
  for (const options of [{}, { ca: certificate.cert, serverName: "mail.example.com" }]) {
    for (const tls of ["implicit", "starttls"] as const) {
      await using peer = await startSmtpPeer({ ...certificate, secure: tls === "implicit" });
      const [receipt] = await deliver(
        smtpTransport({ host: "127.0.0.1", port: peer.port, tls, ...options }),
        message(),
      );
      assert.ok(receipt?.error instanceof TlsError, `${tls}: ${String(receipt?.error)}`);
      assert.equal(receipt.status, "deferred");
      assert.equal(peer.messages.length, 0);
    }
  }
});

test("a server that offers no STARTTLS when it is required gets neither credentials nor mail", async () => {
  await using server = await plainServer((line) =>
    line.startsWith("EHLO") ? "250-scripted\r\n250 AUTH PLAIN\r\n" : undefined,
  );
  const transport = smtpTransport({
    host: "127.0.0.1",
    port: server.port,
    tls: "starttls",
    auth: { user: "me", password: "secret" },
  });
  const [receipt] = await deliver(transport, message());
  assert.ok(receipt?.error instanceof TlsError);
  assert.equal(receipt.error.code, "starttls-missing");
  assert.match(receipt.error.message, /STARTTLS/);
  assert.doesNotMatch(server.lines.join("\n"), /AUTH|MAIL|from@example/);
});

test("bytes behind the reply to STARTTLS end the session before TLS", async () => {
  await using server = await startScriptedServer((line) =>
    line === "" ? "220 s\r\n" : line.startsWith("EHLO") ? "250-s\r\n250 STARTTLS\r\n" : "220 go\r\n250 injected\r\n",
  );
  const [receipt] = await deliver(smtpTransport({ host: "127.0.0.1", port: server.port, tls: "starttls" }), message());
  assert.equal((receipt?.error as TlsError).code, "starttls-injection");
});

test("wrong credentials end the delivery with an AuthError that carries the index, and no secret", async () => {
  await using peer = await startSmtpPeer({ authOptional: false });
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port, auth: { user: "me", password: "hunter2" } });
  await assert.rejects(deliver(transport, message(), message()), (error) => {
    assert.ok(error instanceof AuthError);
    assert.equal(error.nextIndex, 0);
    assert.equal(error.reply?.code, 535);
    return !JSON.stringify([error, error.message, error.stack]).includes("hunter2");
  });
  assert.deepEqual(peer.messages, []);
});

test("three connections in a row that fail end the delivery; messages before are deferred with their error", async () => {
  await using server = await plainServer(() => "421 not today\r\n");
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const receipts: Receipt[] = [];
  await assert.rejects(
    async () => {
      for await (const receipt of transport.deliver(Array.from({ length: 9 }, () => message()))) receipts.push(receipt);
    },
    (error) => error instanceof SmtpError && error.nextIndex === 2,
  );
  assert.deepEqual(
    receipts.map(({ status, error }) => [status, error instanceof SmtpError]),
    [
      ["deferred", true],
      ["deferred", true],
    ],
  );
});

test("nobody listens: a clear error that names host and port", async () => {
  const { port } = await startSmtpPeer().then(async (peer) => {
    await peer.close();
    return peer;
  });
  const [receipt] = await deliver(smtpTransport({ host: "127.0.0.1", port }), message());
  assert.ok(receipt?.error instanceof SmtpError);
  assert.equal(receipt.error.code, "connect");
  assert.match(receipt.error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*ECONNREFUSED`));
});

test("a server that says nothing runs into the timeout", async () => {
  await using server = await startScriptedServer(() => undefined);
  const [receipt] = await deliver(
    smtpTransport({ host: "127.0.0.1", port: server.port, timeouts: { command: 50 } }),
    message(),
  );
  assert.ok(receipt?.error instanceof TimeoutError);
  assert.equal(receipt.error.verb, "greeting");
});

test("a kept connection that the server closed meanwhile is made again", async () => {
  await using dropping = await plainServer((line, connection) =>
    connection === 1 && line.startsWith("MAIL") && dropped() ? null : undefined,
  );
  let mails = 0;
  function dropped(): boolean {
    return ++mails === 2;
  }
  const kept = smtpTransport({ host: "127.0.0.1", port: dropping.port });
  const receipts = [...(await Array.fromAsync(kept.deliver([message()]))), ...(await deliver(kept, message()))];
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "accepted"],
  );
  assert.equal(dropping.connections, 2);
});

test("a connection that dies behind the end of data leaves the message in doubt, and it is not sent again", async () => {
  await using server = await plainServer((line) => (line === "." ? null : undefined));
  const [receipt] = await deliver(smtpTransport({ host: "127.0.0.1", port: server.port }), message());
  assert.equal(receipt?.status, "unknown");
  assert.equal(server.connections, 1);
});

test("the end of data does not leave when beforeEndOfData rejects", async () => {
  await using server = await plainServer();
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const batches: unknown[] = [];
  const [held] = await Array.fromAsync(
    transport.deliver([message()], {
      beforeEndOfData: (batch) => {
        batches.push(batch);
        throw new Error("the database is gone");
      },
    }),
  );
  assert.equal(held?.status, "deferred");
  assert.match(String(held.error?.cause), /the database is gone/);
  assert.deepEqual(batches, [[{ index: 0, messageId: held.messageId }]]);
  assert.ok(!server.lines.includes("."));
  const [receipt] = await deliver(transport, message());
  assert.equal(receipt?.status, "accepted");
});

test("an abort before the end of data defers what was read, and reads no other", async () => {
  const controller = new AbortController();
  await using server = await plainServer((line) => {
    if (line.startsWith("MAIL")) controller.abort();
    return undefined;
  });
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const { signal } = controller;
  let read = 0;
  function* source(): Generator<Message> {
    for (; read < 99; read++) yield message();
  }
  const receipts = await Array.fromAsync(transport.deliver(source(), { signal }));
  assert.ok(read < 4 + 16, `${read} were read`);
  assert.deepEqual(
    receipts
      .map(({ index, status, error }) => [index, status, (error as SmtpError).code] as const)
      .toSorted(([a], [b]) => a - b),
    Array.from({ length: read + 1 }, (_, index) => [index, "deferred", "aborted"]),
  );
  await transport.close();
});

test("an abort ends the wait for a source, for a connection and for another's turn", async () => {
  await using silent = await startScriptedServer(() => undefined);
  const transport = smtpTransport({ host: "127.0.0.1", port: silent.port });
  async function* never(): AsyncGenerator<Message> {
    yield await new Promise<Message>(() => undefined);
  }
  const other = new AbortController();
  const waiting = Array.fromAsync(transport.deliver([message()], { signal: other.signal }));
  for (const source of [never(), [message()]]) {
    const controller = new AbortController();
    const delivery = Array.fromAsync(transport.deliver(source, { signal: controller.signal }));
    setImmediate(() => controller.abort());
    assert.ok((await delivery).every(({ status }) => status === "deferred"));
  }
  other.abort();
  assert.equal((await waiting)[0]?.status, "deferred");
  await transport.close();
});

test("an abort behind the end of data waits for the verdict", async () => {
  const controller = new AbortController();
  await using server = await plainServer((line) => {
    if (line === ".") controller.abort();
    return undefined;
  });
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const [receipt] = await Array.fromAsync(transport.deliver([message()], { signal: controller.signal }));
  assert.equal(receipt?.status, "accepted");
  await transport.close();
});

test("close() finishes what is under way; what waits is deferred, and no connection is opened for it", async () => {
  await using server = await plainServer();
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const statuses: string[] = [];
  for await (const { index, status } of transport.deliver([message(), message(), message(), message()])) {
    statuses[index] = status;
    await transport.close();
  }
  assert.deepEqual(statuses, ["accepted", "accepted", "deferred", "deferred"]);
  assert.equal(server.connections, 1);
  assert.equal(server.lines.at(-1), "QUIT");
});

test("connections that die between ready and the first command, or answer every MAIL with 421, end the delivery too", async () => {
  const dying = (line: string): string | undefined => (line.startsWith("EHLO") ? "250 s\r\n421 bye\r\n" : undefined);
  const busy = (line: string): string | undefined => (line.startsWith("MAIL") ? "421 busy\r\n" : undefined);
  for (const answer of [dying, busy]) {
    await using server = await plainServer(answer);
    const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
    await assert.rejects(
      Array.fromAsync(transport.deliver(Array.from({ length: 9 }, () => message()))),
      (error) => error instanceof SmtpError && error.nextIndex === 2,
    );
    await transport.close();
  }
});

test("failures that are not in a row end nothing", async () => {
  // Every other connection takes no mail, and the ones between take one each.
  const taken = new Set<number>();
  await using server = await plainServer((line, connection) => {
    if (!line.startsWith("MAIL")) return undefined;
    if (connection % 2 === 1 || taken.has(connection)) return "421 busy\r\n";
    taken.add(connection);
    return undefined;
  });
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const receipts = await deliver(transport, ...Array.from({ length: 7 }, () => message()));
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["deferred", "accepted", "deferred", "accepted", "deferred", "accepted", "deferred"],
  );
});

test("a server that echoes what was presented puts no secret into the error", async () => {
  const presented = Buffer.from("\0me\0hunter2").toString("base64");
  await using server = await plainServer((line) => {
    if (line.startsWith("EHLO")) return "250-s\r\n250 AUTH PLAIN\r\n";
    return line.startsWith("AUTH") ? `501 syntax error in "${line}"\r\n` : undefined;
  });
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port, auth: { user: "me", password: "hunter2" } });
  await assert.rejects(deliver(transport, message()), (error) => {
    assert.ok(
      server.lines.some((line) => line.includes(presented)),
      "it was presented",
    );
    return error instanceof AuthError && !inspect(error, { depth: 9 }).includes(presented);
  });
});

test("a reply that comes octet by octet does not stretch the timeout", async () => {
  await using server = await startScriptedServer(() => undefined);
  const dribble = setInterval(() => server.write("2"), 10);
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port, timeouts: { command: 200 } });
  const [receipt] = await deliver(transport, message());
  clearInterval(dribble);
  assert.ok(receipt?.error instanceof TimeoutError, String(receipt?.error));
});

test("the receipt comes after beforeEndOfData has settled, whatever happens to the connection meanwhile", async () => {
  await using server = await plainServer();
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const order: string[] = [];
  const controller = new AbortController();
  const beforeEndOfData = async (): Promise<void> => {
    controller.abort();
    await new Promise((resolve) => setImmediate(resolve));
    order.push("marked");
  };
  for await (const { status } of transport.deliver([message()], { beforeEndOfData, signal: controller.signal }))
    order.push(status);
  assert.deepEqual(order, ["marked", "deferred"]);
  await transport.close();
});

test("much content goes in blocks, each with a time of its own, and arrives whole", async () => {
  await using peer = await startSmtpPeer({ size: 50_000_000 });
  const text = "가나다라마바사아자차카타파하\n".repeat(100_000);
  const large = new Message({ subject: "큰 편지", text, from: "from@example.com", to: ["to@example.com"] });
  const [receipt] = await deliver(smtpTransport({ host: "127.0.0.1", port: peer.port }), large);
  assert.equal(receipt?.status, "accepted");
  assert.equal(peer.messages[0]?.content, Buffer.from(large.toBytes()).toString());
});

test("a foreign message whose envelope is none is refused before it becomes a command", async () => {
  await using server = await plainServer();
  for (const path of ["x y@z", "x@y> SIZE=1", "Kim <x@y>", "x@y\r\nRCPT", ""]) {
    const foreign = {
      messageId: "<a@b>",
      envelope: () => ({ reversePath: "a@b", forwardPaths: [path] }),
      toBytes: () => new Uint8Array(),
    };
    const [receipt] = await Array.fromAsync(smtpTransport({ host: "127.0.0.1", port: server.port }).deliver([foreign]));
    assert.equal(receipt?.status, "refused", path);
  }
  assert.equal(server.connections, 0);
});

test("a header field that is not ASCII asks for SMTPUTF8, or is refused", async () => {
  const reply = new Message({ from: "from@example.com", to: ["to@example.com"], replyTo: ["사용자@example.com"] });
  await using server = await plainServer((line) => (line.startsWith("EHLO") ? "250-s\r\n250 8BITMIME\r\n" : undefined));
  const [refused] = await deliver(smtpTransport({ host: "127.0.0.1", port: server.port }), reply);
  assert.equal(refused?.status, "refused");
  await using modern = await plainServer((line) =>
    line.startsWith("EHLO") ? "250-s\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n" : undefined,
  );
  const [accepted] = await deliver(smtpTransport({ host: "127.0.0.1", port: modern.port }), reply);
  assert.equal(accepted?.status, "accepted");
  assert.ok(modern.lines.some((line) => line.startsWith("MAIL FROM:<from@example.com> BODY=8BITMIME SMTPUTF8")));
});

test("a header section ends at the first empty line, however lines end, and an 8-bit body behind it asks for no SMTPUTF8", async () => {
  const keywords = ["PIPELINING", "8BITMIME"];
  const rows: readonly (readonly [content: string, status: string])[] = [
    ["Subject: x\r\n\r\ncafé\r\n", "accepted"],
    ["Subject: x\n\ncafé\n", "accepted"],
    ["Subject: x\r\rcafé\r", "accepted"],
    ["Subject: x\n\r\ncafé\r\n", "accepted"],
    ["Subject: x\r\n\ncafé\r\n", "accepted"],
    ["\r\ncafé\r\n", "accepted"],
    ["\ncafé\n", "accepted"],
    ["\rcafé\r", "accepted"],
    ["Subject: café\r\n\r\nx\r\n", "refused"],
    ["Subject: x\nTo: café\n\nx\n", "refused"],
    ["Subject: x\r\nTo: café\r\n", "refused"],
    ["café", "refused"],
  ];
  await using server = await startFaultServer({ keywords });
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const receipts = await Array.fromAsync(transport.deliver(rows.map(([content]) => foreign(content))));
  await transport.close();
  for (const [index, [content, status]] of rows.entries())
    assert.equal(receipts.find((each) => each.index === index)?.status, status, JSON.stringify(content));
});

test("SIZE is declared as RFC 1870 section 5 counts: with CRLF for each line end, the last too, and no doubled dot", async () => {
  class Signed extends Message {
    override toBytes(): Uint8Array {
      return Buffer.from("DKIM-Signature: x\n\nbody");
    }
  }
  const own = { from: "from@example.com", to: ["to@example.com"] };
  const attached = Buffer.from("Subject: x\n\nbare\rline ends");
  const messages = [
    ...["", "x", ".\r\n..", "x\n", "x\r", "\n\n\r\r\r\n\n\r", "a\r\r\nb", "\n".repeat(900), "x\n".repeat(40_000)].map(
      (body) => foreign(`Subject: x\r\n\r\n${body}`),
    ),
    new Message({ ...own, text: ".no line break at its end" }),
    new Message({ ...own, attachments: [{ content: attached, contentType: "message/rfc822" }] }),
    new Message({ ...own, attachments: [{ content: () => Readable.from([attached]), size: attached.length }] }),
    new Signed(own),
  ];
  for (const pipelining of ["off", "auto", { bdatWindow: 4 }] as const) {
    await using server = await startFaultServer();
    const transport = smtpTransport({ host: "127.0.0.1", port: server.port, pipelining });
    await Array.fromAsync(transport.deliver(messages));
    await transport.close();
    const declared = server.steps.flatMap(({ line }) => / SIZE=(\d+)/.exec(line)?.[1] ?? []);
    assert.deepEqual(
      declared.map(Number),
      server.accepted.map(({ content }) => content.length),
    );
    assert.equal(declared.length, messages.length);
  }
});

test("a message that passes the server's SIZE only by its line ends is refused before MAIL", async () => {
  for (const pipelining of ["off", "auto", { bdatWindow: 4 }] as const) {
    await using server = await startFaultServer({ keywords: ["PIPELINING", "CHUNKING", "SIZE 1000"] });
    const transport = smtpTransport({ host: "127.0.0.1", port: server.port, pipelining });
    const bodies = ["\n".repeat(900), "\r".repeat(900), "x".repeat(985), "x".repeat(984), "\n".repeat(493)];
    const receipts = await Array.fromAsync(
      transport.deliver(bodies.map((body) => foreign(`Subject: x\r\n\r\n${body}`))),
    );
    await transport.close();
    assert.deepEqual(
      receipts.toSorted((a, b) => a.index - b.index).map(({ error }) => (error as SmtpError | undefined)?.code),
      ["too-large", "too-large", "too-large", undefined, undefined],
    );
    assert.deepEqual(
      server.accepted.map(({ content }) => content.length),
      [1000, 1000],
    );
  }
});

test("a message that cannot be rendered is refused with its error, and the others go out", async () => {
  await using peer = await startSmtpPeer();
  const bad = new Message({ subject: "a\r\nBcc: evil@example.com", from: "from@example.com", to: ["to@example.com"] });
  const receipts = await deliver(smtpTransport({ host: "127.0.0.1", port: peer.port }), bad, message([]), message());
  assert.deepEqual(
    receipts.map(({ status, error }) => [status, (error as SmtpError | undefined)?.code]),
    [
      ["refused", "header-control"],
      ["refused", "no-recipients"],
      ["accepted", undefined],
    ],
  );
  assert.equal(peer.messages.length, 1);
});

test("an option that is not allowed is a SettingsError that names it", () => {
  const wrong: readonly [setting: string, options: object][] = [
    ["host", { host: "" }],
    ["host", { host: "mail example" }],
    ["port", { host: "x", port: 0 }],
    ["tls", { host: "x", tls: "ssl" }],
    ["timeouts.command", { host: "x", timeouts: { command: -1 } }],
    ["cert", { host: "x", cert: "pem" }],
    ["cert", { host: "x", cert: "pem", key: "pem" }],
    ["ca", { host: "x", ca: "garbage" }],
    ["host", {}],
    ["host", { host: "127.999.1.1:25" }],
    ["auth.password", { host: "x", auth: { user: "me", password: "a\0b" } }],
    ["clientName", { host: "x", clientName: "me\r\nMAIL" }],
  ];
  for (const [setting, options] of wrong) {
    assert.throws(
      () => smtpTransport(options),
      (error) => error instanceof SettingsError && error.setting === setting,
      setting,
    );
  }
});

test("in clear only to loopback: TLS is required of any other host unless told otherwise", () => {
  const hosts = {
    localhost: "none",
    "127.0.0.1": "none",
    "127.1.2.3": "none",
    "[::1]": "none",
    "mail.example.com": "starttls",
    "127.999.1.1": "starttls",
    "localhost.example.com": "starttls",
  };
  for (const [host, tls] of Object.entries(hosts)) {
    const resolved = resolveOptions({ host });
    assert.deepEqual([resolved.tls, resolved.clearAuth], [tls, tls === "none"], host);
  }
});
