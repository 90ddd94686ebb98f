import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError } from "../errors.ts";
import { type Environment, mailSettings } from "./environment.ts";

test("without settings they are Django's defaults", () => {
  assert.deepEqual(
    { ...mailSettings({}) },
    {
      host: "localhost",
      port: 25,
      tls: undefined,
      auth: undefined,
      namedBy: undefined,
      useLocalTime: false,
      backend: "smtp",
      timeout: undefined,
      from: "webmaster@localhost",
    },
  );
  assert.deepEqual(mailSettings({ EMAIL_HOST: "", EMAIL_PORT: "" }), mailSettings({}));
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

test("EMAIL_TIMEOUT is in seconds", () => {
  assert.equal(mailSettings({ EMAIL_TIMEOUT: "2.5" }).timeout, 2500);
});

const WRONG: readonly [setting: string, environment: Environment][] = [
  ["EMAIL_PORT", { EMAIL_PORT: "hunter2" }],
  ["EMAIL_PORT", { EMAIL_PORT: "0" }],
  ["EMAIL_PORT", { EMAIL_PORT: "65536" }],
  ["EMAIL_USE_TLS", { EMAIL_USE_TLS: "hunter2" }],
  ["EMAIL_USE_TLS", { EMAIL_USE_TLS: "true", EMAIL_USE_SSL: "true" }],
  ["EMAIL_USE_LOCALTIME", { EMAIL_USE_LOCALTIME: "hunter2" }],
  ["EMAIL_TIMEOUT", { EMAIL_TIMEOUT: "-1" }],
  ["EMAIL_TIMEOUT", { EMAIL_TIMEOUT: "hunter2" }],
  ["EMAIL_BACKEND", { EMAIL_BACKEND: "hunter2" }],
  ["EMAIL_URL", { EMAIL_URL: "hunter2" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunt\ner2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example:0" }],
  ["EMAIL_URL", { EMAIL_URL: "smtps://user:hunter2@mail.example", EMAIL_USE_TLS: "false" }],
  ["EMAIL_URL", { EMAIL_URL: "http://user:hunter2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example/path" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://hunter2@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2%ZZ@mail.example" }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://user:hunter2@mail.example", EMAIL_HOST: "x" }],
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
