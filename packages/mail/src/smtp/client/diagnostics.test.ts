import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { startSmtpPeer } from "../../../../../test/peer/smtp-peer.ts";
import { plainServer } from "../../../../../test/peer/scripted-server.ts";
import { Message } from "../../message/message.ts";
import { smtpTransport } from "../../transport/smtp.ts";
import {
  CHANNELS,
  type CommandEvent,
  type ConnectionEvent,
  logWire,
  type ReplyEvent,
  type VerdictEvent,
} from "./diagnostics.ts";

const message = (to = "to@example.com"): Message =>
  new Message({ from: "from@example.com", to: [to], text: "the content is nobody's business" });

interface Heard extends Disposable {
  readonly connection: ConnectionEvent[];
  readonly command: CommandEvent[];
  readonly reply: ReplyEvent[];
  readonly verdict: VerdictEvent[];
}

/** Everything that the channels say. */
function hear(): Heard {
  const heard = { connection: [], command: [], reply: [], verdict: [] } as Record<keyof typeof CHANNELS, unknown[]>;
  const listeners = Object.entries(CHANNELS).map(([name, channel]) => {
    const listener = (event: unknown): void => void heard[name as keyof typeof CHANNELS].push(event);
    subscribe(channel, listener);
    return () => unsubscribe(channel, listener);
  });
  return { ...heard, [Symbol.dispose]: () => listeners.forEach((end) => end()) } as Heard;
}

test("connection, command, reply and verdict are told, content is not", async () => {
  using heard = hear();
  await using peer = await startSmtpPeer();
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port, clientName: "client.example" });
  const receipts = await Array.fromAsync(transport.deliver([message(), message("refused@example.com")]));
  await transport.close();
  const { connection: number } = heard.connection[0] ?? {};
  assert.deepEqual(
    heard.connection.map(({ type, host, port, connection }) => [type, host, port, connection]),
    ["open", "ready", "ended"].map((type) => [type, "127.0.0.1", peer.port, number]),
  );
  const lines = heard.command.map(({ line }) => line);
  assert.deepEqual(lines.slice(0, 5), ["EHLO client.example", lines[1], "RCPT TO:<to@example.com>", "DATA", "."]);
  assert.match(lines[1] ?? "", /^MAIL FROM:<from@example\.com>/);
  assert.equal(lines.at(-1), "QUIT");
  assert.ok(heard.command.every(({ connection, verb }) => connection === number && verb !== ""));
  assert.deepEqual(
    heard.reply.slice(0, 2).map(({ verb, reply }) => [verb, reply.code]),
    [
      ["greeting", 220],
      ["EHLO", 250],
    ],
  );
  assert.ok(heard.reply.some(({ verb, reply }) => verb === "RCPT" && reply.code === 550));
  assert.deepEqual(
    heard.verdict,
    receipts.map((receipt) => ({ host: "127.0.0.1", receipt })),
  );
  assert.ok(!JSON.stringify(heard).includes("nobody's business"));
});

test("a connection that failed says why; one that was not made says nothing", async () => {
  using heard = hear();
  await using server = await plainServer((line) => (line.startsWith("MAIL") ? null : undefined));
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  await Array.fromAsync(transport.deliver([message()]));
  await transport.close();
  assert.equal(heard.connection.at(-1)?.type, "ended");
  assert.equal(heard.connection.at(-1)?.error?.code, "connection-lost");
  assert.equal(heard.verdict[0]?.receipt.status, "deferred");
});

test("no secret is told by any mechanism, whatever the server echoes, in any form", async () => {
  const password = "hunter2-비밀";
  const token = "ya29.very-secret-token";
  const rows = [
    ["PLAIN", { user: "me", password }],
    ["LOGIN", { user: "me", password }],
    ["CRAM-MD5", { user: "me", password }],
    ["XOAUTH2", { user: "me", accessToken: () => token }],
    ["OAUTHBEARER", { user: "me", accessToken: token }],
  ] as const;
  for (const [method, auth] of rows) {
    for (const code of [235, 535]) {
      using heard = hear();
      const log: string[] = [];
      const end = logWire((line) => log.push(line));
      const presented: string[] = [];
      let decoded = "";
      await using server = await plainServer((line) => {
        if (line.startsWith("MAIL")) return `550 5.7.1 not with ${presented[0]}, that is ${decoded}\r\n`;
        if (line.startsWith("EHLO")) return `250-s\r\n250 AUTH ${method}\r\n`;
        if (line === "AUTH LOGIN") return "334 VXNlcm5hbWU6\r\n";
        if (line === "AUTH CRAM-MD5") return "334 PDEyMy40NTZAeC5leGFtcGxlPg==\r\n";
        if (/^(?:QUIT|\*|)$/.test(line.slice(0, 4).trim())) return undefined;
        if (presented.length === 0 && line === Buffer.from("me").toString("base64")) return "334 UGFzc3dvcmQ6\r\n";
        if (!/^[A-Za-z0-9+/=]{12,}$/.test(line.replace(/^AUTH \S+ /, ""))) return undefined;
        presented.push(line.replace(/^AUTH \S+ /, ""));
        decoded = Buffer.from(presented[0] ?? "", "base64").toString();
        return `${code}-5.7.8 you said ${line}, that is ${presented[0]}\r\n${code} or, decoded, ${decoded}\r\n`;
      });
      const transport = smtpTransport({ host: "127.0.0.1", port: server.port, auth });
      const error: unknown = await Array.fromAsync(transport.deliver([message()])).catch((thrown: unknown) => thrown);
      await transport.close();
      end();
      assert.ok(presented.length > 0, `${method} presented something`);
      const told = JSON.stringify([heard, log, error, String(error)]);
      if (code === 235) assert.match(told, /"status":"refused"/);
      const secrets = [
        password,
        token,
        ...presented,
        // What can be tried offline against the challenge, which is no secret.
        ...(method === "CRAM-MD5" ? [decoded.replace("me ", "")] : []),
        Buffer.from(password).toString("base64"),
        Buffer.from(token).toString("base64"),
      ];
      for (const secret of secrets) assert.ok(!told.includes(secret), `${method} ${code}: ${told}`);
      assert.ok(
        log.some((line) => line.includes("***")),
        log.join("\n"),
      );
    }
  }
});

test("the wire log has a line for each, until it is ended", async () => {
  await using peer = await startSmtpPeer();
  const log: string[] = [];
  const end = logWire((line) => log.push(line));
  const send = async (): Promise<void> => {
    const transport = smtpTransport({ host: "127.0.0.1", port: peer.port, clientName: "client.example" });
    await Array.fromAsync(transport.deliver([message()]));
    await transport.close();
  };
  await send();
  end();
  const length = log.length;
  await send();
  assert.equal(log.length, length);
  const [, number] = /^(\d+) open 127\.0\.0\.1:\d+$/.exec(log[0] ?? "") ?? [];
  assert.ok(log.every((line) => line.startsWith(`${number} `)));
  const texts = log.map((line) => line.slice(`${number} `.length));
  for (const expected of ["C: EHLO client.example", "C: RCPT TO:<to@example.com>", "C: DATA", "C: .", "C: QUIT"])
    assert.ok(texts.includes(expected), expected);
  assert.ok(texts.some((text) => text.startsWith("S: 220 ")) && texts.some((text) => text.startsWith("S: 250-")));
  assert.match(texts.at(-1) ?? "", /^ended 127\.0\.0\.1:\d+$/);
});
