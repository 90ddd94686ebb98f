import assert from "node:assert/strict";
import { test } from "node:test";
import { login } from "./login.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

test("LOGIN lets the server ask for the user and the password, with whatever words", async () => {
  const steps = login({ user: "me", password: "비밀" });
  assert.deepEqual((await steps.next()).value, { response: undefined, isComplete: false });
  assert.deepEqual((await steps.next(encode("Username:"))).value, { response: encode("me"), isComplete: false });
  assert.deepEqual((await steps.next(encode(""))).value, { response: encode("비밀"), isComplete: true });
  assert.deepEqual(await steps.next(encode("Once more:")), { value: undefined, done: true });
});
