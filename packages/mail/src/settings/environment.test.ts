import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError } from "../errors.ts";
import { type Environment, mailSettings, mailSettingsFrom, type SettingsObject } from "./environment.ts";
import type { MailerSettings } from "./mail-settings.ts";

const DEFAULT_MAILER: MailerSettings = {
  alias: "default",
  backend: "smtp",
  host: "localhost",
  port: 25,
  tls: undefined,
  auth: undefined,
  timeout: undefined,
  certFile: undefined,
  keyFile: undefined,
  filePath: undefined,
  failSilently: false,
  options: {},
  namedBy: undefined,
};

test("without settings they are Django's defaults", () => {
  assert.deepEqual(
    { ...mailSettings({}) },
    {
      ...DEFAULT_MAILER,
      mailers: { default: DEFAULT_MAILER },
      from: "webmaster@localhost",
      serverEmail: "root@localhost",
      admins: [],
      managers: [],
      subjectPrefix: "[Django] ",
      useLocalTime: false,
    },
  );
  assert.deepEqual(mailSettings({ EMAIL_HOST: "", EMAIL_PORT: "", MAILERS: "", ADMINS: "" }), mailSettings({}));
});

test("the environment is read when no settings are given, and foreign names in it are no concern", () => {
  process.env.EMAIL_HOST = "mail.example";
  try {
    assert.equal(mailSettings().host, "mail.example");
  } finally {
    delete process.env.EMAIL_HOST;
  }
  const foreign = { EMAIL_DOMAIN: "x", EMAIL_FROM: "x", EMAIL_VERIFICATION: "x", EMAIL_QUEUE: "x", HOST: "x" };
  assert.deepEqual(mailSettings(foreign), mailSettings({}));
});

const TLS: readonly [environment: Environment, tls: string | undefined, port: number][] = [
  [{ EMAIL_USE_TLS: "true" }, "starttls", 587],
  [{ EMAIL_USE_TLS: "1", EMAIL_PORT: "2525" }, "starttls", 2525],
  [{ EMAIL_USE_SSL: "True" }, "implicit", 465],
  [{ EMAIL_PORT: "465" }, "implicit", 465],
  [{ EMAIL_USE_TLS: "false" }, "none", 25],
  [{ EMAIL_USE_TLS: "0", EMAIL_PORT: "465" }, "implicit", 465],
  [{ EMAIL_URL: "smtp://mail.example" }, undefined, 587],
  [{ EMAIL_URL: "smtp://mailpit:1025", EMAIL_USE_TLS: "false" }, "none", 1025],
  [{ EMAIL_URL: "smtp://mail.example", EMAIL_USE_TLS: "true" }, "starttls", 587],
  [{ EMAIL_URL: "smtps://mail.example" }, "implicit", 465],
  [{ EMAIL_URL: "smtp://mail.example:465" }, "implicit", 465],
  [{ EMAIL_URL: "smtp://mail.example:2525" }, undefined, 2525],
];

test("the TLS mode and port follow from the settings", () => {
  for (const [environment, tls, port] of TLS) {
    const settings = mailSettings(environment);
    assert.deepEqual([settings.tls, settings.port], [tls, port], JSON.stringify(environment));
  }
});

test("EMAIL_URL holds host and credentials, with %XX for what is special", () => {
  const settings = mailSettings({ EMAIL_URL: "smtp://me%40example.com:p%3Aw@[::1]:25/" });
  assert.deepEqual(
    [settings.host, settings.auth, settings.namedBy],
    ["::1", { user: "me@example.com", password: "p:w" }, "EMAIL_URL"],
  );
});

const READ: readonly [environment: Environment, name: keyof ReturnType<typeof mailSettings>, value: unknown][] = [
  [{ EMAIL_TIMEOUT: "2.5" }, "timeout", 2500],
  [{ EMAIL_HOST_USER: "me", EMAIL_HOST_PASSWORD: "pw" }, "auth", { user: "me", password: "pw" }],
  [{ EMAIL_HOST_USER: "me" }, "auth", undefined],
  [{ EMAIL_HOST_PASSWORD: "pw" }, "auth", undefined],
  [{ EMAIL_BACKEND: "console" }, "backend", "console"],
  [{ EMAIL_BACKEND: "file", EMAIL_FILE_PATH: "mail" }, "filePath", "mail"],
  [{ EMAIL_BACKEND: "@posthaste/outbox" }, "backend", "@posthaste/outbox"],
  [{ EMAIL_BACKEND: "./backend.ts" }, "backend", "./backend.ts"],
  [{ EMAIL_BACKEND: "django.core.mail.backends.smtp.EmailBackend" }, "backend", "smtp"],
  [{ EMAIL_BACKEND: "django.core.mail.backends.console.EmailBackend" }, "backend", "console"],
  [{ EMAIL_BACKEND: "django.core.mail.backends.locmem.EmailBackend" }, "backend", "memory"],
  [{ EMAIL_BACKEND: "django.core.mail.backends.dummy.EmailBackend" }, "backend", "dummy"],
  [{ EMAIL_BACKEND: "django.core.mail.backends.filebased.EmailBackend", EMAIL_FILE_PATH: "x" }, "backend", "file"],
  [{ EMAIL_SSL_CERTFILE: "cert.pem", EMAIL_SSL_KEYFILE: "key.pem" }, "keyFile", "key.pem"],
  [{ EMAIL_SSL_CERTFILE: "both.pem" }, "certFile", "both.pem"],
  [{ DEFAULT_FROM_EMAIL: "Kim <kim@example.com>" }, "from", "Kim <kim@example.com>"],
  [{ SERVER_EMAIL: "ops@example.com" }, "serverEmail", "ops@example.com"],
  [{ EMAIL_SUBJECT_PREFIX: "[shop] " }, "subjectPrefix", "[shop] "],
  [{ EMAIL_USE_LOCALTIME: "1" }, "useLocalTime", true],
  [{ ADMINS: "a@example.com" }, "admins", ["a@example.com"]],
  [
    { ADMINS: '"Kim, A." <a@example.com>, Lee <b@example.com>' },
    "admins",
    ['"Kim, A." <a@example.com>', "Lee <b@example.com>"],
  ],
  [{ ADMINS: '["a@example.com", "b@example.com"]' }, "admins", ["a@example.com", "b@example.com"]],
  [{ ADMINS: "[]" }, "admins", []],
  [{ ADMINS: "a@example.com" }, "managers", ["a@example.com"]],
  [{ ADMINS: "a@example.com", MANAGERS: "b@example.com" }, "managers", ["b@example.com"]],
];

test("each setting of the environment is read", () => {
  for (const [environment, name, value] of READ)
    assert.deepEqual(mailSettings(environment)[name], value, JSON.stringify(environment));
});

test("an object has the same names, with numbers, booleans and arrays, and an empty prefix is none", () => {
  const object: SettingsObject = {
    EMAIL_HOST: "mail.example",
    EMAIL_PORT: 2525,
    EMAIL_USE_TLS: true,
    EMAIL_TIMEOUT: 5,
    EMAIL_USE_LOCALTIME: false,
    EMAIL_SUBJECT_PREFIX: "",
    ADMINS: ["a@example.com"],
    SERVER_EMAIL: undefined,
  };
  const { host, port, tls, timeout, subjectPrefix, admins, serverEmail } = mailSettingsFrom(object);
  assert.deepEqual(
    [host, port, tls, timeout, subjectPrefix, admins, serverEmail],
    ["mail.example", 2525, "starttls", 5000, "", ["a@example.com"], "root@localhost"],
  );
  assert.throws(() => mailSettingsFrom({ EMAIL_HOSTS: "x" } as SettingsObject), {
    code: "unknown-setting",
    message: /did you mean EMAIL_HOST\?/,
  });
  assert.throws(() => mailSettingsFrom({ PATH: "x" } as SettingsObject), { code: "unknown-setting", setting: "PATH" });
});

test("settings are frozen, and can be cloned for a worker thread", () => {
  const settings = mailSettings({ ADMINS: "a@example.com", EMAIL_HOST_USER: "u", EMAIL_HOST_PASSWORD: "p" });
  for (const part of [settings, settings.mailers, settings.mailers.default, settings.admins, settings.auth])
    assert.ok(Object.isFrozen(part));
  assert.deepEqual(structuredClone(settings), settings);
});

const WRONG: readonly [setting: string, environment: Environment][] = [
  ["EMAIL_PORT", { EMAIL_PORT: "hunter2" }],
  ["EMAIL_PORT", { EMAIL_PORT: "0" }],
  ["EMAIL_PORT", { EMAIL_PORT: "65536" }],
  ["EMAIL_USE_TLS", { EMAIL_USE_TLS: "hunter2" }],
  ["EMAIL_USE_TLS", { EMAIL_USE_TLS: "true", EMAIL_USE_SSL: "true" }],
  ["EMAIL_USE_LOCALTIME", { EMAIL_USE_LOCALTIME: "hunter2" }],
  ["EMAIL_TIMEOUT", { EMAIL_TIMEOUT: "-1" }],
  ["EMAIL_TIMEOUT", { EMAIL_TIMEOUT: "86401" }],
  ["EMAIL_TIMEOUT", { EMAIL_TIMEOUT: "hunter2" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "hunter2 x" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "smpt" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "SMTP" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "django.core.mail.backends.base.BaseEmailBackend" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "@hunter2" }],
  ["EMAIL_FILE_PATH", { EMAIL_BACKEND: "file" }],
  ["EMAIL_SSL_CERTFILE", { EMAIL_SSL_KEYFILE: "hunter2" }],
  ["EMAIL_HOST_PASSWORD", { EMAIL_HOST_USER: "me", EMAIL_HOST_PASSWORD: "hunter2\0" }],
  ["ADMINS", { ADMINS: "hunter2,," }],
  ["ADMINS", { ADMINS: '"hunter2 <a@example.com>' }],
  ["ADMINS", { ADMINS: '["hunter2"' }],
  ["ADMINS", { ADMINS: '[["Kim", "hunter2@example.com"]]' }],
  ["MANAGERS", { MANAGERS: "[1]" }],
  ["EMAIL_URL", { EMAIL_URL: "hunter2" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunt\ner2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example:0" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example?timeout=3" }],
  ["EMAIL_URL", { EMAIL_URL: "smtps://user:hunter2@mail.example", EMAIL_USE_TLS: "false" }],
  ["EMAIL_URL", { EMAIL_URL: "http://user:hunter2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example/path" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://hunter2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2%ZZ@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example", EMAIL_HOST: "x" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example", EMAIL_HOST_PASSWORD: "hunter2" }],
  // A known name misspelt: without it, mail would go out without its password, or in clear.
  ["EMAIL_HOST_PASWORD", { EMAIL_HOST_PASWORD: "hunter2" }],
  ["EMAIL_HSOT", { EMAIL_HSOT: "hunter2" }],
  ["EMAIL_USE_TSL", { EMAIL_USE_TSL: "hunter2" }],
  ["EMAIL_TIMEOUTS", { EMAIL_TIMEOUTS: "hunter2" }],
];

test("a bad setting is an error that names it, and never its value", () => {
  for (const [setting, environment] of WRONG) {
    assert.throws(
      () => mailSettings(environment),
      (error) => error instanceof SettingsError && error.setting === setting && !error.message.includes("hunter2"),
      JSON.stringify(environment),
    );
  }
});
