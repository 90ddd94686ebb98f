import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError } from "../errors.ts";
import { type Environment, mailSettings, mailSettingsFrom } from "./environment.ts";

const MAILERS = {
  default: {
    BACKEND: "django.core.mail.backends.smtp.EmailBackend",
    OPTIONS: {
      host: "mail.example",
      username: "me",
      password: "secret",
      use_tls: true,
      timeout: 10,
      fail_silently: true,
    },
  },
  newsletter: { OPTIONS: { host: "bulk.example", port: 2525, use_ssl: false, password: null } },
  "to see": { BACKEND: "console" },
  archive: { BACKEND: "file", OPTIONS: { file_path: "mail" } },
  outbox: { BACKEND: "@posthaste/outbox", OPTIONS: { database: "mail.db", nested: { deep: 1 } } },
};

test("MAILERS in JSON or as an object is Django 6.1's, and its default is what the other settings would be", () => {
  const settings = mailSettings({ MAILERS: JSON.stringify(MAILERS) });
  assert.deepEqual(mailSettingsFrom({ MAILERS }), settings);
  const { host, port, tls, auth, timeout, failSilently, namedBy } = settings;
  assert.deepEqual(
    [host, port, tls, auth, timeout, failSilently, namedBy],
    ["mail.example", 587, "starttls", { user: "me", password: "secret" }, 10_000, true, "MAILERS"],
  );
  assert.deepEqual(
    Object.values(settings.mailers).map(({ alias, backend, host, port, filePath, options }) => [
      alias,
      backend,
      host,
      port,
      filePath,
      options,
    ]),
    [
      ["default", "smtp", "mail.example", 587, undefined, {}],
      ["newsletter", "smtp", "bulk.example", 2525, undefined, {}],
      ["to see", "console", "localhost", 25, undefined, {}],
      ["archive", "file", "localhost", 25, "mail", {}],
      ["outbox", "@posthaste/outbox", "localhost", 25, undefined, { database: "mail.db", nested: { deep: 1 } }],
    ],
  );
});

test("MAILERS without a default has no backend; an alias may be called as anything", () => {
  assert.equal(mailSettings({ MAILERS: "{}" }).backend, undefined);
  const { mailers } = mailSettings({
    MAILERS: '{"__proto__": {"BACKEND": "dummy"}, "toString": {"BACKEND": "dummy"}}',
  });
  assert.deepEqual(Object.keys(mailers), ["__proto__", "toString"]);
  assert.equal(mailSettings({ MAILERS: '{"__proto__": {"BACKEND": "dummy"}}' }).backend, undefined);
});

const json = (definition: unknown): Environment => ({ MAILERS: JSON.stringify({ default: definition }) });
const smtp = (options: unknown): Environment => json({ OPTIONS: options });

const WRONG: readonly [setting: string, environment: Environment][] = [
  ["MAILERS", { MAILERS: '{"hunter2' }],
  ["MAILERS", { MAILERS: '["hunter2"]' }],
  ["MAILERS", { MAILERS: "null" }],
  ["MAILERS", { MAILERS: '{"": {}}' }],
  ["MAILERS", { MAILERS: JSON.stringify(Object.fromEntries(Array.from({ length: 101 }, (_, index) => [index, {}]))) }],
  ['MAILERS["default"]', json("hunter2")],
  ['MAILERS["default"].BACKENDS', json({ BACKENDS: "hunter2" })],
  ['MAILERS["default"].BACKEND', json({ BACKEND: "smpt" })],
  ['MAILERS["default"].BACKEND', json({ BACKEND: 25 })],
  ['MAILERS["default"].OPTIONS', json({ OPTIONS: ["hunter2"] })],
  ['MAILERS["default"].OPTIONS.host', json({})],
  ['MAILERS["default"].OPTIONS.host', smtp({ host: 25 })],
  ['MAILERS["default"].OPTIONS.pasword', smtp({ host: "x", pasword: "hunter2" })],
  ['MAILERS["default"].OPTIONS.alias', smtp({ host: "x", alias: "hunter2" })],
  ['MAILERS["default"].OPTIONS.alias', json({ BACKEND: "@posthaste/outbox", OPTIONS: { alias: "hunter2" } })],
  ['MAILERS["default"].OPTIONS.port', smtp({ host: "x", port: 0.5 })],
  ['MAILERS["default"].OPTIONS.use_tls', smtp({ host: "x", use_tls: true, use_ssl: true })],
  ['MAILERS["default"].OPTIONS.use_tls', smtp({ host: "x", use_tls: "hunter2" })],
  ['MAILERS["default"].OPTIONS.timeout', smtp({ host: "x", timeout: -1 })],
  ['MAILERS["default"].OPTIONS.username', smtp({ host: "x", username: ["hunter2"] })],
  ['MAILERS["default"].OPTIONS.password', smtp({ host: "x", password: { hunter2: 1 } })],
  ['MAILERS["default"].OPTIONS.ssl_certfile', smtp({ host: "x", ssl_keyfile: "hunter2" })],
  ['MAILERS["default"].OPTIONS.fail_silently', smtp({ host: "x", fail_silently: "hunter2" })],
  ['MAILERS["default"].OPTIONS.file_path', json({ BACKEND: "file" })],
  ['MAILERS["default"].OPTIONS.host', json({ BACKEND: "console", OPTIONS: { host: "hunter2" } })],
  ['MAILERS["default"].OPTIONS.fail_silently', json({ BACKEND: "memory", OPTIONS: { fail_silently: true } })],
  ["MAILERS", { MAILERS: "{}", EMAIL_URL: "smtp://user:hunter2@mail.example" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_BACKEND: "console" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_HOST: "hunter2" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_PORT: "25" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_HOST_USER: "hunter2" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_HOST_PASSWORD: "hunter2" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_USE_TLS: "true" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_USE_SSL: "true" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_TIMEOUT: "1" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_SSL_CERTFILE: "hunter2" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_SSL_KEYFILE: "hunter2" }],
  ["MAILERS", { MAILERS: "{}", EMAIL_FILE_PATH: "hunter2" }],
];

test("what MAILERS may not hold, or stand beside, is an error that names it, and never its value", () => {
  for (const [setting, environment] of WRONG) {
    assert.throws(
      () => mailSettings(environment),
      (error) => error instanceof SettingsError && error.setting === setting && !error.message.includes("hunter2"),
      JSON.stringify(environment),
    );
  }
});
