import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import {
  AddressError,
  AuthError,
  DeliveryError,
  HeaderError,
  MessageError,
  SettingsError,
  SmtpError,
} from "../errors.ts";
import { consoleTransport } from "../transport/console.ts";
import { memoryTransport } from "../transport/memory.ts";
import { EmailMessage } from "./email-message.ts";
import { createMailer } from "./mailer.ts";
import { type MailTuple, sendMail, sendMassMail } from "./send-mail.ts";

const TWO: readonly MailTuple[] = [
  ["제목", "여기에 메시지가 있습니다", "from@example.com", ["first@example.com", "other@example.com"]],
  ["다른 주제", "여기에 또 다른 메시지가 있습니다.", "from@example.com", ["second@test.com"]],
];

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^(EMAIL_|DEFAULT_FROM_EMAIL)/.test(name)) delete process.env[name];
});

function pointAt(port: number): void {
  process.env.EMAIL_HOST = "127.0.0.1";
  process.env.EMAIL_PORT = String(port);
}

test("sendMassMail sends any number of messages over one session, and sendMail opens one each", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  assert.equal(await sendMassMail(TWO), 2);
  assert.equal(peer.sessions.length, 1);
  assert.deepEqual(
    peer.messages.map(({ forwardPaths }) => forwardPaths),
    [["first@example.com", "other@example.com"], ["second@test.com"]],
  );
  assert.equal(await sendMail(...TWO[0]!), 1);
  assert.equal(await sendMail(...TWO[1]!), 1);
  assert.equal(peer.sessions.length, 3);
});

test("sendMassMail takes fields and async sources, and tries every message before it throws", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  async function* source(): AsyncGenerator<MailTuple | { subject: string; to: string[]; html: string }> {
    yield ["a", "b", null, ["refused@example.com"]];
    yield ["a\r\nBcc: evil@example.com", "b", null, ["x@example.com"]];
    yield ["a", "b", null, "x@example.com" as unknown as string[]];
    yield { subject: "c", html: "<p>d</p>", to: ["x@example.com"] };
  }
  await assert.rejects(sendMassMail(source()), (error) => {
    assert.ok(error instanceof DeliveryError);
    assert.equal(error.count, 1);
    assert.deepEqual(
      error.receipts?.map(({ index, status, error: reason }) => [
        index,
        status,
        (reason as HeaderError | undefined)?.code,
      ]),
      [
        [0, "refused", undefined],
        [1, "refused", "header-control"],
        [2, "refused", "bad-value"],
      ],
    );
    return true;
  });
  assert.equal(peer.messages[0]?.reversePath, "webmaster@localhost");
  assert.equal(await sendMassMail(source(), { failSilently: true }), 1);
});

test("when the sending is cut short, no verdict is lost", async () => {
  await using server = await plainServer((line, connection) => {
    if (connection === 1) return line === "." ? null : undefined;
    return "421 not today\r\n";
  });
  pointAt(server.port);
  const messages = Array.from({ length: 9 }, () => TWO[1]!);
  await assert.rejects(sendMassMail(messages), (error) => {
    assert.ok(error instanceof DeliveryError);
    assert.deepEqual([error.count, error.nextIndex, error.cause instanceof SmtpError], [0, 2, true]);
    assert.deepEqual(
      error.receipts?.map(({ index, status }) => [index, status]),
      [
        [0, "unknown"],
        [1, "deferred"],
      ],
    );
    return true;
  });
  assert.equal(await sendMassMail(messages, { failSilently: true }), 0);
  async function* breaking(): AsyncGenerator<MailTuple> {
    yield TWO[0]!;
    throw new RangeError("the source broke");
  }
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  await assert.rejects(
    sendMassMail(breaking()),
    (error) => error instanceof DeliveryError && error.count === 1 && error.cause instanceof RangeError,
  );
});

test("a bad setting is an error in silence too", async () => {
  process.env.EMAIL_HOST = "a b";
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"], { failSilently: true }), { setting: "EMAIL_HOST" });
});

test("sendMail ends its session with QUIT before it resolves", async () => {
  await using server = await plainServer();
  pointAt(server.port);
  await sendMail(...TWO[1]!);
  assert.equal(server.lines.at(-1), "QUIT");
});

test("an error in a field comes as itself, and opens no connection", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  await assert.rejects(sendMail("a\nb", "", null, ["x@example.com"]), HeaderError);
  await assert.rejects(sendMail("a", "", "Kim\r <kim@example.com>", ["x@example.com"]), AddressError);
  await assert.rejects(sendMail("a", "", null, ["kim"]), { name: "AddressError", field: "to[0]" });
  await assert.rejects(sendMail("a\nb", "", null, []), HeaderError);
  assert.equal(await sendMail("a", "", null, []), 0);
  assert.equal(peer.sessions.length, 0);
});

test("a refusal is a DeliveryError with the receipt, silenced it is 0", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  await assert.rejects(
    sendMail("a", "b", null, ["refused@example.com"]),
    (error) =>
      error instanceof DeliveryError && error.code === "refused" && error.receipt?.recipients[0]?.reply?.code === 550,
  );
  assert.equal(await sendMail("a", "b", null, ["refused@example.com"], { failSilently: true }), 0);
  assert.equal(await sendMail("a", "b", null, ["refused@example.com", "x@example.com"]), 1);
});

test("nobody listens: a DeliveryError that says where, silenced it is 0", async () => {
  const peer = await startSmtpPeer();
  await peer.close();
  pointAt(peer.port);
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"]), {
    name: "DeliveryError",
    code: "deferred",
    message: /127\.0\.0\.1/,
  });
  assert.equal(await sendMail("a", "b", null, ["x@example.com"], { failSilently: true }), 0);
});

test("wrong credentials are an AuthError; authUser and authPassword stand in for the settings", async () => {
  await using peer = await startSmtpPeer({ authOptional: false });
  pointAt(peer.port);
  process.env.EMAIL_HOST_USER = "me";
  process.env.EMAIL_HOST_PASSWORD = "hunter2";
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"]), AuthError);
  assert.equal(await sendMail("a", "b", null, ["x@example.com"], { authPassword: "secret" }), 1);
  assert.deepEqual(peer.credentials, ["me:hunter2", "me:secret"]);
});

test("a connection that is given stays open, and takes no credentials beside its own", async () => {
  const connection = memoryTransport();
  assert.equal(await sendMail("a", "b", null, ["x@example.com"], { connection }), 1);
  assert.equal(await sendMassMail(TWO, { connection }), 2);
  assert.equal(connection.box.length, 3);
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"], { connection, authUser: "me" }), MessageError);
});

test("a bad setting is an error before anything is sent", async () => {
  process.env.EMAIL_PORT = "smtp";
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"]), SettingsError);
});

test("EmailMessage sends itself; a mailer gives a message without author its own", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  process.env.DEFAULT_FROM_EMAIL = "포스트 <post@example.com>";
  const receipt = await new EmailMessage({ subject: "a", to: ["x@example.com"] }).send();
  assert.equal(receipt.status, "accepted");
  assert.equal(peer.messages[0]?.reversePath, "post@example.com");
  assert.ok(peer.messages[0]?.content.includes(receipt.messageId));
  const transport = memoryTransport();
  await using mailer = createMailer({ transport, from: "mailer@example.com" });
  await assert.rejects(mailer.send(new EmailMessage({ subject: "a" })), { code: "no-recipients" });
  const twice = new EmailMessage({ to: ["x@example.com"] });
  const [one, two] = [await mailer.send(twice), await mailer.send(twice)];
  assert.deepEqual([two.messageId, twice.messageId], [one.messageId, one.messageId]);
  assert.deepEqual(transport.box[1]?.content, transport.box[0]?.content);
  const receipts = await Array.fromAsync(mailer.sendAll([new EmailMessage({ to: ["x@example.com"] })]));
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted"],
  );
  assert.equal(transport.box[2]?.envelope.reversePath, "mailer@example.com");
});

test("a message with a file sends itself, and an error in it comes as itself", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  const message = new EmailMessage({ subject: "a", to: ["x@example.com"] });
  message.attachFile(import.meta.filename);
  assert.equal((await message.send()).status, "accepted");
  assert.match(peer.messages[0]?.content ?? "", /filename=send-mail\.test\.ts/);
  const bad = new EmailMessage({ subject: "a\nb", to: ["x@example.com"] });
  bad.attachFile(import.meta.filename);
  await assert.rejects(bad.send(), HeaderError);
});

test("EMAIL_USE_LOCALTIME puts Date fields into this process's time zone", async () => {
  process.env.TZ = "Asia/Seoul";
  try {
    const connection = memoryTransport();
    const date = /^Date: .* ([+-]\d{4})\r$/m;
    const offsets = async (): Promise<(string | undefined)[]> => {
      await sendMail("a", "b", null, ["x@example.com"], { connection });
      await new EmailMessage({ to: ["x@example.com"] }).send({ connection });
      return connection.box.slice(-2).map(({ content }) => date.exec(Buffer.from(content).toString())?.[1]);
    };
    assert.deepEqual(await offsets(), ["+0000", "+0000"]);
    process.env.EMAIL_USE_LOCALTIME = "true";
    assert.deepEqual(await offsets(), ["+0900", "+0900"]);
  } finally {
    delete process.env.TZ;
  }
});

test("the console shows what a person can read, and nothing that moves the cursor", async () => {
  let written = "";
  const connection = consoleTransport({ stream: { write: (text) => (written += text) } });
  await sendMail("제목", "여기에\u001b[2J 메시지가", "김 <kim@example.com>", ["x@example.com"], {
    connection,
    html: "<p>여기</p>",
  });
  assert.match(written, /^From: 김 <kim@example\.com>\nTo: x@example\.com\nSubject: 제목\n/);
  assert.match(written, /여기에\ufffd\[2J 메시지가\n\n\(HTML\)\n<p>여기<\/p>\n-{79}\n$/);
  await assert.rejects(sendMail("a\nb", "", null, ["x@example.com"], { connection }), HeaderError);
});
