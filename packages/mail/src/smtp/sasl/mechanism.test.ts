import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthError, SmtpError } from "../../errors.ts";
import { type Credentials, mechanismNames, startExchange } from "./mechanism.ts";

const PASSWORD = { user: "user", password: "pencil" };
const TOKEN = { user: "user@example.com", accessToken: "ya29.token" };
const PEER = { host: "mail.example.com", port: 587 };

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (octets: Uint8Array | undefined): string => new TextDecoder().decode(octets);

test("the strongest mechanism comes first", () => {
  assert.deepEqual(mechanismNames(PASSWORD), ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"]);
  assert.deepEqual(mechanismNames(TOKEN), ["OAUTHBEARER", "XOAUTH2"]);
});

test("a password that SASLprep prohibits is not presented by SCRAM", () => {
  assert.deepEqual(mechanismNames({ user: "u", password: "tab\there" }), ["CRAM-MD5", "PLAIN", "LOGIN"]);
});

test("an exchange is of the mechanism that was asked for, and begins without a challenge", async () => {
  for (const [name, start] of [
    ["SCRAM-SHA-256", /^n,,n=user,r=/],
    ["SCRAM-SHA-1", /^n,,n=user,r=/],
    ["PLAIN", /^\0user\0pencil$/],
  ] as const) {
    assert.match(decode((await startExchange(name, PASSWORD, PEER)(undefined)).response), start);
  }
  for (const name of ["CRAM-MD5", "LOGIN"]) {
    const step = await startExchange(name, PASSWORD, PEER)(undefined);
    assert.deepEqual(step, { response: undefined, isComplete: false });
  }
  const { response } = await startExchange("OAUTHBEARER", TOKEN, PEER)(undefined);
  assert.match(decode(response), /host=mail\.example\.com\x01port=587\x01/);
});

test("SCRAM-SHA-256 and SCRAM-SHA-1 differ in the length of their proof", async () => {
  for (const [name, octets] of [
    ["SCRAM-SHA-256", 32],
    ["SCRAM-SHA-1", 20],
  ] as const) {
    const exchange = startExchange(name, PASSWORD, PEER);
    const nonce = decode((await exchange(undefined)).response).replace(/^.*,r=/, "");
    const { response } = await exchange(encode(`r=${nonce}theirs,s=QSXCR+Q6sek8bf92,i=4096`));
    assert.equal(Buffer.from(decode(response).replace(/^.*,p=/, ""), "base64").length, octets);
  }
});

test("a mechanism that has nothing left to say cancels, however often it is asked", async () => {
  const exchange = startExchange("PLAIN", PASSWORD, PEER);
  assert.equal((await exchange(undefined)).isComplete, true);
  for (let round = 0; round < 3; round++)
    assert.deepEqual(await exchange(encode("more")), { response: undefined, isComplete: false });
});

test("a token is asked for in each exchange anew", async () => {
  let asked = 0;
  const credentials = { user: "me", accessToken: async () => `token-${++asked}` };
  for (const mechanism of ["XOAUTH2", "OAUTHBEARER"]) {
    const { response } = await startExchange(mechanism, credentials, PEER)(undefined);
    assert.match(decode(response), new RegExp(`auth=Bearer token-${asked}\\x01\\x01$`));
  }
  assert.equal(asked, 2);
});

const failing = (): string => {
  throw new Error("the issuer is down");
};
const BAD: readonly (readonly [string, string, Credentials])[] = [
  // U+0001 would begin a field of its own, NUL the password of PLAIN.
  ["auth.user", "XOAUTH2", { user: "me\x01auth=Bearer secret", accessToken: "t" }],
  ["auth.user", "OAUTHBEARER", { user: "me\r\nsecret", accessToken: "t" }],
  ["auth.user", "PLAIN", { user: "me\0secret", password: "p" }],
  ["auth.user", "LOGIN", { user: "", password: "secret" }],
  ["auth.user", "CRAM-MD5", { user: "secret\ud800", password: "p" }],
  ["auth.password", "PLAIN", { user: "me", password: "secret\0" }],
  ["auth.password", "CRAM-MD5", { user: "me", password: "secret\udc00" }],
  ["auth.password", "LOGIN", { user: "me", password: "" }],
  ["auth.password", "SCRAM-SHA-256", { user: "me", password: "secret\n" }],
  ["auth.password", "SCRAM-SHA-1", { user: "me", password: "\u00ad" }],
  ["auth.accessToken", "XOAUTH2", { user: "me", accessToken: "secret\x01\x01" }],
  ["auth.accessToken", "OAUTHBEARER", { user: "me", accessToken: "secret\x01host=evil" }],
  ["auth.accessToken", "OAUTHBEARER", { user: "me", accessToken: "Bearer secret" }],
  ["auth.accessToken", "XOAUTH2", { user: "me", accessToken: "secret\n" }],
  ["auth.accessToken", "XOAUTH2", { user: "me", accessToken: () => "secret é" }],
  ["auth.accessToken", "XOAUTH2", { user: "me", accessToken: "" }],
  ["auth.accessToken", "XOAUTH2", { user: "me", accessToken: () => undefined as unknown as string }],
  ["auth", "PLAIN", { user: "me", password: "secret".repeat(2000) }],
  ["auth", "OAUTHBEARER", { user: "me", accessToken: "secret".repeat(2000) }],
];

for (const [setting, mechanism, credentials] of BAD) {
  test(`${mechanism} names ${setting} and does not show it: ${JSON.stringify(credentials).slice(0, 60)}`, async () => {
    await assert.rejects(startExchange(mechanism, credentials, PEER)(undefined), (error) => {
      assert.ok(error instanceof AuthError);
      assert.deepEqual([error.code, error.setting], ["bad-setting", setting]);
      assert.ok(error.message.startsWith(`${setting}: `) && !error.message.includes("secret"), error.message);
      return true;
    });
  });
}

test("a function that fails to give a token is no refusal of the credentials, and its error is the cause", async () => {
  for (const accessToken of [failing, async () => failing()]) {
    const exchange = startExchange("XOAUTH2", { user: "me", accessToken }, PEER);
    await assert.rejects(
      exchange(undefined),
      (error) =>
        !(error instanceof AuthError) &&
        error instanceof SmtpError &&
        error.code === "token-unavailable" &&
        (error.cause as Error).message === "the issuer is down",
    );
  }
});

test("a challenge beyond what RFC 4954 counts on ends the exchange", async () => {
  for (const mechanism of mechanismNames(PASSWORD)) {
    const exchange = startExchange(mechanism, PASSWORD, PEER);
    await exchange(undefined);
    await assert.rejects(exchange(new Uint8Array(9_217)), { name: "AuthError", code: "protocol" });
    assert.deepEqual(await exchange(encode("x")), { response: undefined, isComplete: false });
  }
  const exchange = startExchange("LOGIN", PASSWORD, PEER);
  await exchange(undefined);
  assert.equal(decode((await exchange(new Uint8Array(9_216))).response), "user");
});

test("a mechanism that is not known, or is for other credentials, is the caller's mistake", () => {
  for (const [mechanism, credentials] of [
    ["GSSAPI", PASSWORD],
    ["toString", PASSWORD],
    ["plain", PASSWORD],
    ["XOAUTH2", PASSWORD],
    ["PLAIN", TOKEN],
  ] as const) {
    assert.throws(() => startExchange(mechanism, credentials, PEER), { name: "AuthError", code: "auth-missing" });
  }
});
