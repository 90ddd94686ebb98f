import assert from "node:assert/strict";
import { test } from "node:test";
import { oauthBearer } from "./oauthbearer.ts";

const CREDENTIALS = { user: "user@example.com", accessToken: "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==" };
const PEER = { host: "server.example.com", port: 587 };

const base64 = (octets: Uint8Array | undefined): string => Buffer.from(octets ?? []).toString("base64");

test("OAUTHBEARER presents the token as in RFC 7628 section 4.1, and to port 587", async () => {
  const imap = await oauthBearer(CREDENTIALS, { ...PEER, port: 143 }).next();
  assert.equal(
    base64(imap.value?.response),
    "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB",
  );
  const { value } = await oauthBearer(CREDENTIALS, PEER).next();
  assert.equal(
    new TextDecoder().decode(value?.response),
    `n,a=user@example.com,\x01host=server.example.com\x01port=587\x01auth=Bearer ${CREDENTIALS.accessToken}\x01\x01`,
  );
  assert.equal(value?.isComplete, true);
});

test("OAUTHBEARER escapes a comma and an equals sign in the user (RFC 5801 section 4)", async () => {
  const { value } = await oauthBearer({ ...CREDENTIALS, user: "a=b,c" }, PEER).next();
  assert.match(new TextDecoder().decode(value?.response), /^n,a=a=3Db=2Cc,\x01/);
});

test("OAUTHBEARER answers a refusal with U+0001, after which no success is believed (RFC 7628 section 4.3)", async () => {
  const steps = oauthBearer(CREDENTIALS, PEER);
  await steps.next();
  const { value } = await steps.next(new TextEncoder().encode('{"status":"invalid_token","scope":"example_scope"}'));
  assert.equal(base64(value?.response), "AQ==");
  assert.equal(value?.isComplete, false);
  assert.deepEqual(await steps.next(new Uint8Array()), { value: undefined, done: true });
});
