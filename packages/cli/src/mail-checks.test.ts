import assert from "node:assert/strict";
import { test } from "node:test";
import { mailSettings } from "posthaste";
import { checkMail } from "./mail-checks.ts";

const GOOD = {
  EMAIL_URL: "smtp://kim:hunter2@mail.example.com:587",
  DEFAULT_FROM_EMAIL: "a@example.com",
  SERVER_EMAIL: "a@example.com",
};
const CONSOLE = { ...GOOD, EMAIL_URL: "", EMAIL_BACKEND: "console" };
const news = '{"news": {"BACKEND": "smtp", "OPTIONS": {"host": "mail.example.com"}}}';

const CASES: readonly [name: string, environment: Record<string, string>, deploy: boolean, ids: string[]][] = [
  ["a server with TLS", GOOD, true, []],
  ["MAILERS without default", { ...GOOD, EMAIL_URL: "", MAILERS: news }, false, ["mail.W001"]],
  ["the console in development", CONSOLE, false, []],
  ["the console in production", CONSOLE, true, ["mail.E001"]],
  ["no server", { ...GOOD, EMAIL_URL: "" }, false, ["posthaste.W001"]],
  ["in clear", { ...GOOD, EMAIL_URL: "smtp://mail.example.com:25", EMAIL_USE_TLS: "false" }, false, ["posthaste.W002"]],
  ["in clear to this machine", { ...GOOD, EMAIL_URL: "smtp://127.0.0.1:25", EMAIL_USE_TLS: "false" }, false, []],
  [
    "a user without password",
    { ...GOOD, EMAIL_URL: "", EMAIL_HOST: "mail.example.com", EMAIL_HOST_USER: "kim" },
    false,
    ["posthaste.W003"],
  ],
  ["the author that is default", { ...GOOD, DEFAULT_FROM_EMAIL: "" }, false, ["posthaste.W004"]],
  ["an author at localhost", { ...GOOD, DEFAULT_FROM_EMAIL: "Shop <a@LOCALHOST>" }, false, ["posthaste.W004"]],
  [
    "admins, and the server's author by default",
    { ...GOOD, SERVER_EMAIL: "", ADMINS: "ops@example.com" },
    false,
    ["posthaste.W005"],
  ],
  ["an author that is none", { ...GOOD, DEFAULT_FROM_EMAIL: "nobody" }, false, ["posthaste.E001"]],
];

for (const [name, environment, deploy, ids] of CASES) {
  test(`${name}: ${ids.length === 0 ? "nothing" : ids.join(", ")}`, () => {
    const found = checkMail(mailSettings(environment), environment, deploy);
    assert.deepEqual(
      found.map(({ id }) => id),
      ids,
    );
    assert.doesNotMatch(JSON.stringify(found), /hunter2/);
  });
}
