import assert from "node:assert/strict";
import { test } from "node:test";
import { mailTransport } from "./mail-transport.ts";

const ROWS: readonly [
  setting: string,
  environment: Record<string, string>,
  pace: Parameters<typeof mailTransport>[1],
][] = [
  ["EMAIL_HOST", { EMAIL_HOST: "a b" }, { connections: 2 }],
  ["EMAIL_URL", { EMAIL_URL: "smtp://a_b%20c.example" }, { messagesPerSecond: 2 }],
  ["EMAIL_SSL_CERTFILE", { EMAIL_SSL_CERTFILE: "none.pem" }, { connections: 2 }],
  ["EMAIL_SSL_CERTFILE", { EMAIL_SSL_CERTFILE: "none.pem" }, {}],
  ["EMAIL_SSL_CERTFILE", { EMAIL_SSL_CERTFILE: "package.json" }, { messagesPerSecond: 2 }],
  [
    'MAILERS["default"].OPTIONS.ssl_certfile',
    { MAILERS: '{"default": {"OPTIONS": {"host": "x", "ssl_certfile": "none.pem"}}}' },
    { connections: 2 },
  ],
  ["--connections", { EMAIL_BACKEND: "dummy" }, { connections: 2, messagesPerSecond: 2 }],
  ["--rate", { EMAIL_BACKEND: "console" }, { messagesPerSecond: 2 }],
  ["--rate", { EMAIL_HOST: "localhost" }, { messagesPerSecond: 0.00001 }],
];

test("with a pace as without, what is wrong is named as the operator gave it", () => {
  for (const [setting, environment, pace] of ROWS) {
    Object.assign(process.env, environment);
    assert.throws(
      () => mailTransport(undefined, pace),
      (error: Error) => {
        assert.equal((error as { setting?: string }).setting, setting, error.message);
        return error.message.startsWith(`${setting}: `);
      },
      setting,
    );
    for (const name of Object.keys(environment)) Reflect.deleteProperty(process.env, name);
  }
  process.env.EMAIL_BACKEND = "dummy";
  assert.throws(() => mailTransport("news", { connections: 2 }), { setting: 'MAILERS["news"]' });
});
