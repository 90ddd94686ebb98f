import assert from "node:assert/strict";
import { test } from "node:test";
import { createWorker, openDatabase } from "@posthaste/outbox";
import PostalMime from "postal-mime";
import { sendMail, smtpTransport } from "posthaste";
import { startSmtpPeer } from "../../../test/peer/smtp-peer.ts";
import { accountsComposers } from "./activation-mail.ts";
import { FROM, KEYS, openService, PASSWORD, PUBLIC_URL, type Service } from "./service.fixture.ts";

interface User {
  readonly email: string;
  readonly name: string;
}

/** The user whom the service knows after sign-up, activation and log-in. */
async function signedUp(service: Service, email: string): Promise<User> {
  const { token } = await service.signUp(email, { name: "김철수" });
  await service.get(`/users/activate?token=${token}`, { accept: "application/json" });
  const login = await service.postJson("/users/login", { email, password: PASSWORD });
  const session = ((await login.json()) as { token: string }).token;
  const me = await service.get("/users/me", { accept: "application/json", authorization: `Bearer ${session}` });
  assert.equal(me.status, 200);
  return (await me.json()) as User;
}

test("a user who signed up is written to with sendMail, as Django's email_user does", async () => {
  await using service = await openService();
  await using peer = await startSmtpPeer();
  const connection = smtpTransport({ host: "127.0.0.1", port: peer.port });
  // The server shows A-labels as letters.
  for (const typed of ["Kim@example.com", "o'neil+news@example.com", "kim@한글.com"]) {
    const user = await signedUp(service, typed);
    const count = await sendMail("주문이 왔습니다", `${user.name} 님께`, FROM, [user.email], { connection });
    const came = peer.messages.at(-1);
    const read = await PostalMime.parse(came?.content ?? "");
    assert.deepEqual([count, came?.forwardPaths, came?.reversePath], [1, [typed], "accounts@example.com"]);
    assert.deepEqual([read.subject, read.text?.trim()], ["주문이 왔습니다", "김철수 님께"]);
  }
  await connection.close();
});

test("a flow's mail has text and HTML with one link, and a subject of one line, whatever the name", async () => {
  await using service = await openService();
  for (const locale of ["ko", "en"]) {
    const name = "김철수 & <b>";
    await service.postJson("/users/signup", { email: `${locale}@example.com`, password: PASSWORD, name, locale });
    const [mail] = await service.deliver();
    const { subject, text, html } = await PostalMime.parse(Buffer.from(mail?.content ?? []));
    const [link] = /http:\S+token=\S+/.exec(text ?? "") ?? [];
    assert.ok(link !== undefined && html?.includes(`href="${link}"`), locale);
    assert.match(subject ?? "", /^[^\r\n]+$/);
    assert.match(Buffer.from(mail?.content ?? []).toString(), /^Content-Type: multipart\/alternative;/m);
    assert.doesNotMatch(html ?? "", /<b>/);
  }
  const injected = { email: "evil@example.com", password: PASSWORD, name: "Kim\r\nBcc: all@example.com" };
  assert.equal((await service.postJson("/users/signup", injected)).status, 400);
  assert.deepEqual(await service.deliver(), []);
});

test("a mail server that is down fails no sign-up: it is logged, and the mail goes out later", async () => {
  await using service = await openService();
  const down = await startSmtpPeer();
  await down.close();
  const answer = await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  assert.equal(answer.status, 201);
  const database = openDatabase(service.database.location() ?? "");
  const transport = smtpTransport({ host: "127.0.0.1", port: down.port });
  const { promise: logged, resolve } = Promise.withResolvers<string>();
  const worker = createWorker({
    database,
    transport,
    composers: accountsComposers({ database, keys: KEYS, publicUrl: PUBLIC_URL, from: FROM }),
    onEvent: (event) => event.type === "paused" && resolve(event.error.code),
  });
  const running = worker.run();
  assert.equal(await logged, "connect");
  await worker.stop();
  await running;
  await transport.close();
  database.close();
  const [mail] = await service.deliver();
  assert.deepEqual(mail?.envelope.forwardPaths, ["kim@example.com"]);
  assert.deepEqual(service.errors, []);
});
