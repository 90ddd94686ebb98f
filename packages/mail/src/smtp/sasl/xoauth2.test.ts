import assert from "node:assert/strict";
import { test } from "node:test";
import { xoauth2 } from "./xoauth2.ts";

// The example of Google's description of the mechanism.
const CREDENTIALS = { user: "someuser@example.com", accessToken: "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg" };
const INITIAL_RESPONSE =
  "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==";

test("XOAUTH2 presents the token at once", async () => {
  const { value } = await xoauth2(CREDENTIALS).next();
  assert.equal(Buffer.from(value?.response ?? []).toString("base64"), INITIAL_RESPONSE);
  assert.equal(value?.isComplete, true);
});

test("XOAUTH2 answers a refusal with an empty response, after which no success is believed", async () => {
  const steps = xoauth2(CREDENTIALS);
  await steps.next();
  const { value } = await steps.next(new TextEncoder().encode('{"status":"401","schemes":"Bearer","scope":"mail"}'));
  assert.deepEqual(value, { response: new Uint8Array(), isComplete: false });
  assert.deepEqual(await steps.next(new Uint8Array()), { value: undefined, done: true });
});
