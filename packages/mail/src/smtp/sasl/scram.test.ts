import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { scramSecret, scramServer } from "../../../../../test/peer/scram-server.ts";
import { AuthError } from "../../errors.ts";
import type { Steps } from "./exchange.ts";
import { scram } from "./scram.ts";

const CREDENTIALS = { user: "user", password: "pencil" };
// RFC 5802 section 5.
const SHA1 = {
  hash: "sha1",
  nonce: "fyko+d2lbbFgONRv9qkxdawL",
  clientFirst: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
  serverFirst: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
  clientFinal: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
  serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
} as const;
// RFC 7677 section 3.
const SHA256 = {
  hash: "sha256",
  nonce: "rOprNGfwEbeRWgbNEkqO",
  clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
  serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  clientFinal:
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
} as const;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What the client says to the challenge, and whether it is satisfied with the server then. */
async function say(steps: Steps, challenge?: string | Uint8Array): Promise<[string | undefined, boolean]> {
  const octets = typeof challenge === "string" ? encode(challenge) : challenge;
  const { value } = await (octets === undefined ? steps.next() : steps.next(octets));
  return [value?.response && new TextDecoder().decode(value.response), value?.isComplete ?? false];
}

for (const { hash, nonce, clientFirst, serverFirst, clientFinal, serverFinal } of [SHA1, SHA256]) {
  test(`SCRAM with ${hash} goes as in the RFC's example, and only the last step is complete`, async () => {
    const steps = scram(hash, CREDENTIALS, nonce);
    assert.deepEqual(await say(steps), [clientFirst, false]);
    assert.deepEqual(await say(steps, serverFirst), [clientFinal, false]);
    assert.deepEqual(await say(steps, serverFinal), ["", true]);
    assert.deepEqual(await say(steps, serverFinal), [undefined, false]);
  });
}

const AGREED: readonly (readonly [string, string, string, string, string?])[] = [
  ["ASCII", "me@example.com", "me@example.com", "correct horse"],
  ["a user with a comma and an equals sign", "a,b=c=2C", "a=2Cb=3Dc=3D2C", "x"],
  ["a password in conjoining Hangul letters", "u", "u", "\u1112\u1161\u11ab"],
  ["a user in compatibility characters", "\u2168", "IX", "p"],
  ["a server that adds an extension which may be ignored", "u", "u", "p", ",x=anything=한글"],
];

for (const [name, user, written, password, extension] of AGREED) {
  test(`SCRAM agrees with a server, each with a nonce of its own: ${name}`, async () => {
    const steps = scram("sha256", { user, password });
    const [clientFirst = ""] = await say(steps);
    assert.equal(clientFirst.slice(0, clientFirst.lastIndexOf(",r=")), `n,,n=${written}`);
    const secret = scramSecret(
      "sha256",
      password.normalize("NFKC"),
      Buffer.from("4125c247e43ab1e93c6dff76", "hex"),
      5000,
    );
    const server = scramServer(secret, clientFirst, "~srv", extension);
    assert.equal(server.user, user.normalize("NFKC"));
    const [clientFinal = ""] = await say(steps, server.serverFirst);
    assert.deepEqual(await say(steps, server.serverFinal(clientFinal)), ["", true]);
  });
}

test("the server that the client is tried against goes as in the RFCs' examples, and takes no other proof", () => {
  for (const { hash, nonce, clientFirst, serverFirst, clientFinal, serverFinal } of [SHA1, SHA256]) {
    const [, theirs = "", salt = ""] = /^r=(.*),s=(.*),i=4096$/.exec(serverFirst) ?? [];
    const secret = scramSecret(hash, CREDENTIALS.password, Buffer.from(salt, "base64"), 4096);
    const server = scramServer(secret, clientFirst, theirs.slice(nonce.length));
    assert.deepEqual([server.user, server.serverFirst], ["user", serverFirst]);
    assert.equal(server.serverFinal(clientFinal), serverFinal);
    assert.equal(server.serverFinal(clientFinal.replace("p=d", "p=e").replace("p=v", "p=w")), "e=invalid-proof");
    assert.equal(server.serverFinal(clientFinal.replace("c=biws", "c=eSws")), "e=other-error");
    assert.equal(server.serverFinal(clientFinal.replace(",p=", "x,p=")), "e=other-error");
    const other = scramSecret(hash, "Pencil", Buffer.from(salt, "base64"), 4096);
    assert.equal(
      scramServer(other, clientFirst, theirs.slice(nonce.length)).serverFinal(clientFinal),
      "e=invalid-proof",
    );
  }
});

test("SCRAM's nonce is another in each exchange", async () => {
  const nonces = await Promise.all(Array.from({ length: 100 }, () => say(scram("sha256", CREDENTIALS))));
  assert.equal(new Set(nonces.map(([message]) => message)).size, 100);
  for (const [message] of nonces) assert.match(message ?? "", /^n,,n=user,r=[A-Za-z0-9+/]{24}$/);
});

const NONCE = SHA1.serverFirst.slice(0, SHA1.serverFirst.indexOf(",s="));
const BAD_SERVER_FIRST: readonly (readonly [string, string | Uint8Array])[] = [
  // A replay of what was once said to somebody else.
  ["another's nonce", "r=fyko+d2lbbFgONRv9qkxdawX3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"],
  ["the client's nonce at the end", "r=3rfcNHYJY1Zfyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096"],
  ["the client's nonce alone", "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096"],
  ["a part of the client's nonce", "r=fyko+d2lbbFgONRv9qkxda,s=QSXCR+Q6sek8bf92,i=4096"],
  ["a nonce that is not ASCII", "r=fyko+d2lbbFgONRv9qkxdawL한,s=QSXCR+Q6sek8bf92,i=4096"],
  // A proof that is cheap to try passwords against, or one that keeps the client busy.
  ...[
    "0",
    "1",
    "4095",
    "1000001",
    "1000000000",
    "9".repeat(400),
    "4294971392",
    "NaN",
    "Infinity",
    "1e4",
    "4096.0",
    "-4096",
    "04096",
    "0x1000",
    "+4096",
    " 4096",
    "",
  ].map((count) => [`the iteration count ${count.slice(0, 20)}`, `${NONCE},s=QSXCR+Q6sek8bf92,i=${count}`] as const),
  ["an extension that must be understood", `m=x,${SHA1.serverFirst}`],
  ["such an extension behind the nonce", `${NONCE},m=x,s=QSXCR+Q6sek8bf92,i=4096`],
  ["no nonce", "s=QSXCR+Q6sek8bf92,i=4096"],
  ["no salt", `${NONCE},i=4096`],
  ["an empty salt", `${NONCE},s=,i=4096`],
  ["a salt that is not base64", `${NONCE},s=QSXCR+Q6sek8bf9,i=4096`],
  ["no iteration count", `${NONCE},s=QSXCR+Q6sek8bf92`],
  ["another order", `${NONCE},i=4096,s=QSXCR+Q6sek8bf92`],
  ["two iteration counts", `${NONCE},s=QSXCR+Q6sek8bf92,i=4096,4096`],
  ["a line break behind", `${SHA1.serverFirst}\n`],
  ["a NUL in an extension", `${SHA1.serverFirst},x=\0`],
  ["the client's own message", SHA1.clientFirst],
  ["an error too early", "e=unknown-user"],
  ["nothing", ""],
  ["what is not UTF-8", Buffer.concat([encode(`${SHA1.serverFirst},x=`), Buffer.of(0xff)])],
  ["a byte order mark", `\ufeff${SHA1.serverFirst}`],
];

for (const [name, serverFirst] of BAD_SERVER_FIRST) {
  test(`SCRAM gives no proof to a server-first message with ${name}`, async () => {
    const steps = scram("sha1", CREDENTIALS, SHA1.nonce);
    await say(steps);
    await assert.rejects(
      say(steps, serverFirst),
      (error) => error instanceof AuthError && error.code === "protocol" && error.verb === "AUTH",
    );
    assert.deepEqual(await say(steps, SHA1.serverFirst), [undefined, false], "the exchange is over");
  });
}

const UNPROVED = /did not prove that it knows the password/;
const BAD_SERVER_FINAL: readonly (readonly [string, string, RegExp])[] = [
  ["another signature", "v=rmF9pqV8S7suAoZWja4dJRkFsKU=", UNPROVED],
  ["a part of the signature", "v=rmF9pqV8S7suAoZW", UNPROVED],
  ["more than the signature", "v=rmF9pqV8S7suAoZWja4dJRkFsKQA", UNPROVED],
  ["SHA-256's signature", SHA256.serverFinal, UNPROVED],
  ["an empty signature", "v=", UNPROVED],
  ["nothing", "", UNPROVED],
  ["the client's proof", "v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", UNPROVED],
  ["the signature in other base64", "v=rmF9pqV8S7suAoZWja4dJRkFsKR=", UNPROVED],
  ["the signature behind something", "x=1,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", UNPROVED],
  ["the server-first message again", SHA1.serverFirst, UNPROVED],
  ["an error", "e=invalid-proof", /refused the credentials: invalid-proof$/],
  [
    "an error and the signature",
    "e=other-error,v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    /refused the credentials: other-error$/,
  ],
  ["an error that writes to the terminal", "e=\u001b[2J", /refused the credentials$/],
];

for (const [name, serverFinal, message] of BAD_SERVER_FINAL) {
  test(`SCRAM does not believe a server-final message with ${name}`, async () => {
    const steps = scram("sha1", CREDENTIALS, SHA1.nonce);
    await say(steps);
    await say(steps, SHA1.serverFirst);
    const code = message === UNPROVED ? "server-unproved" : "auth-refused";
    await assert.rejects(say(steps, serverFinal), { name: "AuthError", code, message });
    assert.deepEqual(await say(steps, SHA1.serverFinal), [undefined, false], "the exchange is over");
  });
}

test("SCRAM is not for a user or password that SASLprep prohibits, and neither is shown", async () => {
  for (const [setting, credentials] of [
    ["auth.user", { user: "top\u0007secret", password: "p" }],
    ["auth.password", { user: "u", password: "top\u0007secret" }],
  ] as const) {
    await assert.rejects(
      say(scram("sha256", credentials)),
      (error) =>
        error instanceof AuthError &&
        error.code === "bad-setting" &&
        error.setting === setting &&
        !error.message.includes("secret"),
    );
  }
});

test("whatever a server says, SCRAM throws nothing but AuthError and is satisfied with its signature alone", async () => {
  const token = fc.constantFrom(
    ..."rsivemx=,4096+/".split(""),
    NONCE,
    "s=QSXCR+Q6sek8bf92",
    "i=4096",
    SHA1.serverFinal,
    "\0",
    "한",
  );
  const garbled = fc.oneof(
    fc.array(token, { maxLength: 12 }).map((tokens) => tokens.join("")),
    fc.string(),
  );
  const property = fc.asyncProperty(fc.oneof(garbled, fc.constant(SHA1.serverFirst)), garbled, async (first, final) => {
    const steps = scram("sha1", CREDENTIALS, SHA1.nonce);
    try {
      await say(steps);
      await say(steps, first);
      const [, isComplete] = await say(steps, final);
      assert.equal(isComplete, first === SHA1.serverFirst && final.startsWith(SHA1.serverFinal));
    } catch (error) {
      if (!(error instanceof AuthError)) throw error;
    }
  });
  await fc.assert(property, { numRuns: 500 });
});
