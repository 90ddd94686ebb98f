import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { localhostCertificate } from "../../../../test/peer/certificate.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { SettingsError } from "../errors.ts";
import { mailSettings, mailSettingsFrom } from "../settings/environment.ts";
import type { MemoryTransport } from "../transport/memory.ts";
import { type ConnectionOptions, getConnection } from "./connection.ts";
import { EmailMessage } from "./email-message.ts";
import { createMailers, mailers } from "./mailers.ts";
import { sendMail } from "./send-mail.ts";

const letter = (): EmailMessage => new EmailMessage({ subject: "a", to: ["to@example.com"] });

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^(?:EMAIL_|MAILERS$|ADMINS$)/.test(name)) delete process.env[name];
});

interface Folder extends AsyncDisposable {
  readonly path: string;
}

async function folder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "posthaste-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test("mailers of MAILERS: by name, kept with their connection until close, and then read anew", async () => {
  await using peer = await startSmtpPeer();
  const OPTIONS = { host: "127.0.0.1", port: peer.port };
  process.env.MAILERS = JSON.stringify({ default: { OPTIONS }, newsletter: { OPTIONS } });
  process.env.DEFAULT_FROM_EMAIL = "kim@example.com";
  try {
    assert.equal(mailers.default, mailers.get("default"));
    await mailers.default.send(letter());
    await mailers.default.send(letter());
    assert.equal(peer.sessions.length, 1);
    assert.equal(peer.messages[0]?.reversePath, "kim@example.com");
    await mailers.get("newsletter").send(letter());
    assert.equal(peer.sessions.length, 2);
    assert.deepEqual([...mailers], ["default", "newsletter"]);
    assert.deepEqual([mailers.has("newsletter"), mailers.has("toString")], [true, false]);
    assert.throws(() => mailers.get("other"), {
      name: "SettingsError",
      code: "unknown-mailer",
      setting: 'MAILERS["other"]',
      message: /there are "default", "newsletter"/,
    });
  } finally {
    await mailers.close();
  }
  delete process.env.MAILERS;
  process.env.EMAIL_BACKEND = "dummy";
  assert.deepEqual([...mailers], ["default"]);
  assert.equal((await mailers.default.send(letter())).status, "accepted");
  await mailers.close();
  delete process.env.DEFAULT_FROM_EMAIL;
});

test("createMailers is the same for code without globals: admins, prefix and all", async () => {
  await using peer = await startSmtpPeer();
  const settings = mailSettingsFrom({
    MAILERS: { default: { OPTIONS: { host: "127.0.0.1", port: peer.port } } },
    ADMINS: ["a@example.com"],
    EMAIL_SUBJECT_PREFIX: "",
    SERVER_EMAIL: "ops@example.com",
  });
  await using own = createMailers(settings);
  await own.default.mailAdmins("subject", "text");
  assert.deepEqual(
    [peer.messages[0]?.reversePath, peer.messages[0]?.forwardPaths],
    ["ops@example.com", ["a@example.com"]],
  );
  assert.match(peer.messages[0]?.content ?? "", /^Subject: subject\r?\n/m);
  assert.throws(() => createMailers(mailSettingsFrom({ ADMINS: ["nobody"] })).default, { setting: "ADMINS[0]" });
  assert.throws(() => createMailers(mailSettingsFrom({ MAILERS: {} })).default, {
    code: "unknown-mailer",
    message: /there is none/,
  });
});

test("getConnection: the settings, or what stands instead of them, or settings as a whole", async () => {
  await using peer = await startSmtpPeer();
  process.env.EMAIL_BACKEND = "memory";
  const memory = getConnection() as MemoryTransport;
  await sendMail("a", "b", null, ["x@example.com"], { connection: memory });
  assert.equal(memory.box.length, 1);
  const smtp = getConnection({ backend: "smtp", host: "127.0.0.1", port: peer.port, timeout: 1000 });
  await sendMail("a", "b", null, ["x@example.com"], { connection: smtp });
  await sendMail("a", "b", null, ["x@example.com"], { connection: smtp });
  await smtp.close();
  assert.equal(peer.sessions.length, 1);
  process.env.EMAIL_PORT = "not even looked at";
  const whole = getConnection(
    structuredClone(mailSettings({ EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) })),
  );
  delete process.env.EMAIL_PORT;
  assert.equal(await sendMail("a", "b", null, ["x@example.com"], { connection: whole }), 1);
  await whole.close();
});

test("getConnection of a mailer of MAILERS; a backend beside MAILERS is an error, as in Django", async () => {
  await using peer = await startSmtpPeer();
  process.env.MAILERS = JSON.stringify({ other: { OPTIONS: { host: "wrong.example", port: peer.port } } });
  const connection = getConnection({ using: "other", host: "127.0.0.1" });
  assert.equal(await sendMail("a", "b", null, ["x@example.com"], { connection }), 1);
  await connection.close();
  const conflict = { code: "conflicting-settings", setting: "backend" };
  assert.throws(() => getConnection({ using: "other", backend: "console" }), conflict);
  assert.throws(() => getConnection(), { code: "unknown-mailer" });
  assert.throws(() => getConnection(mailSettings()), { code: "unknown-mailer" });
});

test("the file backend writes into EMAIL_FILE_PATH", async () => {
  await using directory = await folder();
  Object.assign(process.env, { EMAIL_BACKEND: "file", EMAIL_FILE_PATH: join(directory.path, "mail") });
  assert.equal(await sendMail("a", "b", null, ["x@example.com"]), 1);
  assert.equal((await readdir(join(directory.path, "mail"))).length, 1);
});

let certificate: { cert: string; key: string };
before(async () => {
  certificate = await localhostCertificate();
});

test("EMAIL_SSL_CERTFILE and EMAIL_SSL_KEYFILE are read from two files or one, and what is none of them is named", async () => {
  await using directory = await folder();
  const [cert, key, both] = ["cert.pem", "key.pem", "both.pem"].map((name) => join(directory.path, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([
    writeFile(cert, certificate.cert),
    writeFile(key, certificate.key),
    writeFile(both, certificate.key + certificate.cert),
  ]);
  const open = (certFile: string, keyFile?: string): unknown =>
    getConnection({ host: "localhost", tls: "implicit", certFile, ...(keyFile !== undefined && { keyFile }) });
  assert.doesNotThrow(() => open(cert, key));
  assert.doesNotThrow(() => open(both));
  for (const [certFile, keyFile, setting] of [
    [cert, undefined, "EMAIL_SSL_CERTFILE"],
    [key, key, "EMAIL_SSL_CERTFILE"],
    [join(directory.path, "missing.pem"), undefined, "EMAIL_SSL_CERTFILE"],
    [cert, join(directory.path, "missing.pem"), "EMAIL_SSL_KEYFILE"],
    [cert, directory.path, "EMAIL_SSL_KEYFILE"],
  ] as const)
    assert.throws(() => open(certFile, keyFile), { name: "SettingsError", setting }, `${certFile} ${keyFile}`);
});

const RENAMED: readonly [setting: string, environment: Record<string, string>][] = [
  ["EMAIL_HOST", { EMAIL_HOST: "a b" }],
  ["EMAIL_HOST_USER", { EMAIL_HOST: "x", EMAIL_HOST_USER: "a\nb", EMAIL_HOST_PASSWORD: "hunter2" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://a%0Ab:hunter2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://a_b%20c.example" }],
  ['MAILERS["default"].OPTIONS.host', { MAILERS: '{"default": {"OPTIONS": {"host": "a b"}}}' }],
  [
    'MAILERS["default"].OPTIONS.username',
    { MAILERS: '{"default": {"OPTIONS": {"host": "x", "username": "a\\nb", "password": "hunter2"}}}' },
  ],
  ["EMAIL_FILE_PATH", { EMAIL_BACKEND: "file", EMAIL_FILE_PATH: "/dev/null/x" }],
  [
    'MAILERS["default"].OPTIONS.file_path',
    { MAILERS: '{"default": {"BACKEND": "file", "OPTIONS": {"file_path": "/dev/null/x"}}}' },
  ],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "hunter2-not-installed" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "./hunter2.ts" }],
  ['MAILERS["default"].BACKEND', { MAILERS: '{"default": {"BACKEND": "@hunter2/none"}}' }],
];

test("what a transport refuses is named as the settings name it, before anything is sent", () => {
  for (const [setting, environment] of RENAMED)
    assert.throws(
      () => getConnection(mailSettings(environment)),
      (error) => error instanceof SettingsError && error.setting === setting && !error.message.includes("hunter2"),
      setting,
    );
  assert.throws(() => getConnection({ hots: "x" } as ConnectionOptions), { code: "unknown-setting", setting: "hots" });
});

test("a backend that is a module is imported with the first delivery, gets its OPTIONS, and is closed", async () => {
  await using directory = await folder();
  const path = join(directory.path, "backend.ts");
  const memory = JSON.stringify(new URL("../transport/memory.ts", import.meta.url).href);
  await writeFile(
    path,
    `import { memoryTransport } from ${memory};
     export const log: unknown[] = [];
     export async function backend(settings: { alias: string; options: object }) {
       const transport = memoryTransport();
       log.push([settings.alias, settings.options]);
       return { deliver: transport.deliver, close: async () => void log.push("closed") };
     }`,
  );
  const MAILERS = {
    default: { BACKEND: pathToFileURL(path).href, OPTIONS: { database: "x" } },
    other: { BACKEND: path },
  };
  const own = createMailers(mailSettingsFrom({ MAILERS }));
  const unused = own.get("other");
  const { log } = (await import(pathToFileURL(path).href)) as { log: unknown[] };
  assert.deepEqual(log, []);
  assert.equal((await own.default.send(letter())).status, "accepted");
  assert.equal((await own.default.send(letter())).status, "accepted");
  await own.close();
  await unused.close();
  assert.deepEqual(log, [["default", { database: "x" }], "closed"]);
});

const BROKEN: readonly [name: string, source: string, error: object][] = [
  ["no-export", "export const other = 1;", { setting: "EMAIL_BACKEND", message: /exports a function `backend`/ }],
  ["syntax", "export {", { setting: "EMAIL_BACKEND", message: /can be imported/ }],
  ["no-transport", "export const backend = () => ({});", { setting: "EMAIL_BACKEND", message: /makes a transport/ }],
  ["throws", "export const backend = () => { throw new RangeError('not today'); };", { name: "RangeError" }],
];

test("a module that makes no transport is an error that names the setting, and not in silence", async () => {
  await using directory = await folder();
  for (const [name, source, error] of BROKEN) {
    const path = join(directory.path, `${name}.mjs`);
    await writeFile(path, source);
    process.env.EMAIL_BACKEND = path;
    await assert.rejects(sendMail("a", "b", null, ["x@example.com"]), error, name);
    await assert.rejects(sendMail("a", "b", null, ["x@example.com"], { failSilently: true }), error, name);
  }
});

test("a package is found as the application would import it", async () => {
  process.env.EMAIL_BACKEND = "mime";
  await assert.rejects(sendMail("a", "b", null, ["x@example.com"]), {
    setting: "EMAIL_BACKEND",
    message: /exports a function/,
  });
});
