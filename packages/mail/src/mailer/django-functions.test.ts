/** Each rule of django.core.mail's functions (Django 6.1) is a test here or in send-mail.test.ts. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { MessageError } from "../errors.ts";
import { HeaderError, SettingsError } from "../errors.ts";
import { memoryTransport } from "../transport/memory.ts";
import { getConnection } from "./connection.ts";
import { EmailMessage } from "./email-message.ts";
import { mailAdmins, mailManagers, sendMail, type SendMailOptions, sendMassMail } from "./send-mail.ts";

const SETTINGS = /^(?:EMAIL_|MAILERS$|ADMINS$|MANAGERS$|SERVER_EMAIL$|DEFAULT_FROM_EMAIL$)/;

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (SETTINGS.test(name)) delete process.env[name];
});

function pointAt(port: number): void {
  process.env.EMAIL_HOST = "127.0.0.1";
  process.env.EMAIL_PORT = String(port);
}

const TO = ["to@example.com"];
const send = (options?: SendMailOptions): Promise<number> => sendMail("a", "b", null, TO, options);

test("an empty html is as none, another makes multipart/alternative with the text first", async () => {
  const connection = memoryTransport();
  await send({ connection, html: "" });
  await send({ connection, html: "<p>b</p>" });
  const [plain, both] = connection.box.map(({ content }) => Buffer.from(content).toString());
  assert.match(plain ?? "", /^Content-Type: text\/plain/m);
  assert.match(both ?? "", /multipart\/alternative[^]*text\/plain[^]*text\/html/);
});

test("everybody stands in To, and no author is DEFAULT_FROM_EMAIL", async () => {
  process.env.DEFAULT_FROM_EMAIL = "Kim <kim@example.com>";
  const connection = memoryTransport();
  for (const from of [null, undefined, ""])
    await sendMail("a", "b", from, ["x@example.com", "y@example.com"], { connection });
  for (const { from, to } of connection.box)
    assert.deepEqual([from, to], ["Kim <kim@example.com>", ["x@example.com", "y@example.com"]]);
});

test("no recipients is 0, once the message is validated; of a series, the message is not accepted", async () => {
  const connection = memoryTransport();
  assert.equal(await sendMail("a", "b", null, [], { connection }), 0);
  await assert.rejects(sendMail("a\nb", "b", null, [], { connection }), HeaderError);
  assert.equal(await sendMassMail([], { connection }), 0);
  await assert.rejects(sendMassMail([["a", "b", null, []]], { connection }), { code: "incomplete", count: 0 });
  await assert.rejects(new EmailMessage({ subject: "a" }).send({ connection }), { code: "no-recipients" });
});

test("an empty series opens no connection", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  const nothing = (): AsyncIterable<never> => new Blob([]).stream() as AsyncIterable<never>;
  assert.deepEqual([await sendMassMail([]), await sendMassMail(nothing())], [0, 0]);
  assert.equal(peer.sessions.length, 0);
});

test("mailAdmins: from SERVER_EMAIL, to ADMINS, with EMAIL_SUBJECT_PREFIX, over one connection of its own", async () => {
  await using server = await plainServer();
  pointAt(server.port);
  Object.assign(process.env, { ADMINS: "a@example.com, B <b@example.com>", SERVER_EMAIL: "ops@example.com" });
  assert.equal(await mailAdmins("subject", "text"), undefined);
  assert.equal(server.lines.at(-1), "QUIT");
  assert.ok(server.lines.some((line) => line.startsWith("MAIL FROM:<ops@example.com>")));
  assert.deepEqual(
    server.lines.filter((line) => line.startsWith("RCPT")),
    ["RCPT TO:<a@example.com>", "RCPT TO:<b@example.com>"],
  );
  const connection = memoryTransport();
  await mailAdmins("subject", "text", { connection, html: "<p>text</p>" });
  process.env.EMAIL_SUBJECT_PREFIX = "[shop] ";
  await mailManagers("subject", "text", { connection });
  process.env.MANAGERS = "m@example.com";
  await mailManagers("subject", "text", { connection });
  assert.deepEqual(
    connection.box.map(({ subject, envelope, html }) => [subject, envelope.forwardPaths, html ?? ""]),
    [
      ["[Django] subject", ["a@example.com", "b@example.com"], "<p>text</p>"],
      ["[shop] subject", ["a@example.com", "b@example.com"], ""],
      ["[shop] subject", ["m@example.com"], ""],
    ],
  );
});

test("mailAdmins and mailManagers without anybody resolve, and open no connection", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  await mailAdmins("a\nb", "text");
  await mailManagers("a", "text");
  process.env.ADMINS = "";
  await mailAdmins("a", "text");
  assert.equal(peer.sessions.length, 0);
});

test("mailAdmins throws as sendMail does, and with failSilently not", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  process.env.ADMINS = "refused@example.com";
  await assert.rejects(mailAdmins("a", "b"), { name: "DeliveryError", code: "refused" });
  await assert.rejects(mailManagers("a\nb", "b"), HeaderError);
  await mailAdmins("a", "b", { failSilently: true });
});

test("an address in the settings that is none is an error that names the setting", async () => {
  for (const [setting, value, name] of [
    ["ADMINS", "a@example.com, nobody", "ADMINS[1]"],
    ["MANAGERS", "group: a@example.com;", "MANAGERS[0]"],
    ["SERVER_EMAIL", "nobody", "SERVER_EMAIL"],
    ["DEFAULT_FROM_EMAIL", "nobody", "DEFAULT_FROM_EMAIL"],
  ] as const) {
    process.env[setting] = value;
    await assert.rejects(send({ failSilently: true }), { name: "SettingsError", setting: name });
    delete process.env[setting];
  }
});

const connection = memoryTransport();
const CONFLICTS: readonly [options: SendMailOptions, field: string][] = [
  [{ using: "default", connection }, "using"],
  [{ using: "default", failSilently: true }, "using"],
  [{ using: "default", authUser: "me" }, "using"],
  [{ using: "default", authPassword: "secret" }, "using"],
  [{ connection, failSilently: true }, "connection"],
  [{ connection, authUser: "me" }, "connection"],
  [{ connection, authPassword: "secret" }, "connection"],
];

test("options that contradict each other are an error, in each function", async () => {
  process.env.ADMINS = "a@example.com";
  for (const [options, field] of CONFLICTS) {
    const error = { name: "MessageError", code: "conflicting-settings", field };
    await assert.rejects(send(options), error);
    await assert.rejects(sendMassMail([["a", "b", null, TO]], options), error);
    const { authUser, authPassword, ...rest } = options;
    if (authUser !== undefined || authPassword !== undefined) continue;
    await assert.rejects(mailAdmins("a", "b", rest), error);
    await assert.rejects(mailManagers("a", "b", rest), error);
    await assert.rejects(new EmailMessage({ to: TO }).send(rest), error);
  }
  assert.equal(await send({ connection, failSilently: false }), 1);
});

test("an option that a function does not have is an error", async () => {
  process.env.ADMINS = "a@example.com";
  const unknown = { code: "unknown-setting", name: "SettingsError" };
  await assert.rejects(send({ failSilent: true } as SendMailOptions), unknown);
  await assert.rejects(sendMassMail([], { html: "x" } as object), unknown);
  await assert.rejects(mailAdmins("a", "b", { authUser: "me" } as object), unknown);
  await assert.rejects(new EmailMessage({ to: TO }).send({ signal: undefined } as object), unknown);
  await assert.rejects(sendMassMail([], { connections: 0 }), { code: "bad-value", field: "connections" });
});

test("using takes another mailer of MAILERS for one call; its fail_silently is that of the call", async () => {
  await using peer = await startSmtpPeer();
  const OPTIONS = { host: "127.0.0.1", port: peer.port };
  const MAILERS = { other: { OPTIONS }, quiet: { OPTIONS: { ...OPTIONS, fail_silently: true } } };
  Object.assign(process.env, { MAILERS: JSON.stringify(MAILERS), ADMINS: "refused@example.com" });
  assert.equal(await send({ using: "other" }), 1);
  assert.equal(await sendMassMail([["a", "b", null, TO]], { using: "other" }), 1);
  assert.equal((await new EmailMessage({ to: TO }).send({ using: "other" })).status, "accepted");
  assert.equal(peer.sessions.length, 3);
  await assert.rejects(mailAdmins("a", "b", { using: "other" }), { code: "refused" });
  await mailAdmins("a", "b", { using: "quiet" });
  assert.equal(await sendMail("a", "b", null, ["refused@example.com"], { using: "quiet" }), 0);
  const receipt = await new EmailMessage({ to: ["refused@example.com"] }).send({ using: "quiet" });
  assert.deepEqual([receipt.status, receipt.recipients[0]?.reply?.code], ["refused", 550]);
  const missing = { name: "SettingsError", code: "unknown-mailer" };
  await assert.rejects(send({ using: "toString" }), { ...missing, message: /there are "other", "quiet"/ });
  await assert.rejects(send({ failSilently: true }), { ...missing, setting: 'MAILERS["default"]' });
  assert.equal(await send({ connection: memoryTransport() }), 1);
});

test("a connection of getConnection({ failSilently: true }) keeps failures from the functions that are given it", async () => {
  await using peer = await startSmtpPeer();
  pointAt(peer.port);
  const quiet = getConnection({ failSilently: true });
  try {
    assert.equal(await sendMail("a", "b", null, ["refused@example.com"], { connection: quiet }), 0);
    assert.equal(await sendMail("a\nb", "b", null, TO, { connection: quiet }), 0);
    assert.equal(await send({ connection: quiet }), 1);
    assert.equal(peer.sessions.length, 1);
  } finally {
    await quiet.close();
  }
});

test("EmailMessage.send with failSilently resolves with the receipt, whatever it says", async () => {
  await using peer = await startSmtpPeer({ authOptional: false });
  pointAt(peer.port);
  Object.assign(process.env, { EMAIL_HOST_USER: "me", EMAIL_HOST_PASSWORD: "hunter2" });
  const quiet = async (fields: object): Promise<unknown[]> => {
    const { status, error } = await new EmailMessage({ to: TO, ...fields }).send({ failSilently: true });
    return [status, (error as MessageError | undefined)?.name];
  };
  assert.deepEqual(await quiet({}), ["deferred", "AuthError"]);
  assert.deepEqual(await quiet({ subject: "a\nb" }), ["refused", "HeaderError"]);
  assert.deepEqual(await quiet({ to: [] }), ["refused", "MessageError"]);
  await peer.close();
  assert.deepEqual(await quiet({}), ["deferred", "SmtpError"]);
  process.env.EMAIL_HOST = "a b";
  await assert.rejects(quiet({}), SettingsError);
});

test("sendMassMail over several connections has every verdict", async () => {
  let [connected, received] = [0, 0];
  const held: (() => void)[] = [];
  await using peer = await startSmtpPeer({
    disableReverseLookup: true,
    onConnect(_session, callback) {
      callback();
      if (++connected === 2) for (const release of held.splice(0)) release();
    },
    // From the third message on, the first connection waits for another one beside it.
    onRcptTo(_address, _session, callback) {
      if (++received < 3 || connected > 1) callback();
      else held.push(callback);
    },
  });
  pointAt(peer.port);
  const messages = Array.from({ length: 40 }, (_, index) => ["a", "b", null, [`to${index}@example.com`]] as const);
  assert.equal(await sendMassMail(messages, { connections: 4 }), 40);
  assert.equal(new Set(peer.messages.map(({ forwardPaths }) => forwardPaths[0])).size, 40);
  assert.ok(connected > 1 && connected <= 4, `${connected} connections`);
});
