import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase, outboxCounts } from "@posthaste/outbox";
import { eventually, startService, temporaryFolder } from "./peer/posthaste.ts";
import { plainServer, startScriptedServer } from "./peer/scripted-server.ts";
import { type PeerMessage, startSmtpPeer } from "./peer/smtp-peer.ts";

async function signUp(origin: string, email: string): Promise<number> {
  const response = await fetch(`${origin}/users/signup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password: "correct horse battery", name: "김철수" }),
  });
  return response.status;
}

/** Opens the link as a program does. The mail is quoted-printable or base64, so the link is read from its parts. */
async function openLink(message: PeerMessage | undefined): Promise<unknown> {
  const parts = (message?.content ?? "").split(/\r\n\r\n/).map((part) => {
    const encoded = part.split("\r\n--", 1)[0] ?? "";
    return `${Buffer.from(encoded, "base64").toString()}\n${encoded.replace(/=\r\n/g, "").replace(/=3D/g, "=")}`;
  });
  const link = /http:\/\/[^\s"<>]+\/users\/activate\?token=[\w.-]+/.exec(parts.join("\n"))?.[0] ?? "";
  return await (await fetch(link, { headers: { accept: "application/json" } })).json();
}

const mailTo = (port: number): NodeJS.ProcessEnv => ({ EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(port) });

function counts(folder: string): ReturnType<typeof outboxCounts> {
  const database = openDatabase(join(folder, ".posthaste/posthaste.db"));
  try {
    return outboxCounts(database);
  } finally {
    database.close();
  }
}

test("killed after the sign-up was answered and before its mail went out: after a restart it arrives, once, and its link works", async () => {
  await using folder = await temporaryFolder();
  // It takes the connection and says nothing, so the mail is claimed and cannot leave.
  await using silent = await startScriptedServer(() => undefined);
  await using killed = await startService(folder.path, mailTo(silent.port));
  assert.equal(await signUp(killed.origin, "kim@example.com"), 201);
  await eventually(() => (silent.connections > 0 ? true : undefined), "the worker's connection");
  assert.equal(await killed.stop("SIGKILL"), null);

  await using peer = await startSmtpPeer();
  await using service = await startService(folder.path, mailTo(peer.port));
  const [message] = await peer.received(1);
  assert.deepEqual(message?.forwardPaths, ["kim@example.com"]);
  assert.deepEqual(await openLink(message), { message: "Your account is active.", is_active: true });
  assert.equal(await service.stop("SIGINT"), 0);
  assert.equal(peer.messages.length, 1);
  const { accepted, queued, claimed, committing } = counts(folder.path);
  assert.deepEqual({ accepted, queued, claimed, committing }, { accepted: 1, queued: 0, claimed: 0, committing: 0 });
});

test("the server is down: sign-ups are answered, and the mail goes out when it is back", async () => {
  await using folder = await temporaryFolder();
  const before = await startSmtpPeer();
  await before.close();
  await using service = await startService(folder.path, mailTo(before.port));
  assert.equal(await signUp(service.origin, "kim@example.com"), 201);
  await eventually(
    () => (service.printed.stderr.includes("cannot be reached") ? true : undefined),
    "the worker's pause",
  );
  assert.equal(await signUp(service.origin, "lee@example.com"), 201);
  await using back = await startSmtpPeer({}, before.port);
  const messages = await back.received(2);
  assert.deepEqual(messages.flatMap(({ forwardPaths }) => forwardPaths).sort(), ["kim@example.com", "lee@example.com"]);
});

test("Ctrl-C finishes the mail that is past its end of data", async () => {
  await using folder = await temporaryFolder();
  const release = Promise.withResolvers<void>();
  await using slow = await plainServer((line) =>
    line === "." ? release.promise.then(() => "250 at last\r\n") : undefined,
  );
  await using service = await startService(folder.path, mailTo(slow.port));
  assert.equal(await signUp(service.origin, "kim@example.com"), 201);
  await eventually(() => (slow.lines.includes(".") ? true : undefined), "the end of data");
  const stopped = service.stop("SIGINT");
  await eventually(
    async () => ((await fetch(service.origin).catch(() => undefined)) === undefined ? true : undefined),
    "that it listens no more",
  );
  release.resolve();
  assert.equal(await stopped, 0);
  assert.equal(counts(folder.path).accepted, 1);
});
