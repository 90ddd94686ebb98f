import assert from "node:assert/strict";
import { test } from "node:test";
import { plain } from "./plain.ts";

test("PLAIN says all at once (RFC 4616 section 4)", async () => {
  const steps = plain({ user: "tim", password: "tanstaaftanstaaf" });
  const { value } = await steps.next();
  assert.deepEqual(value, { response: new TextEncoder().encode("\0tim\0tanstaaftanstaaf"), isComplete: true });
});

test("PLAIN is UTF-8, and has nothing to answer a challenge with", async () => {
  const steps = plain({ user: "홍길동", password: "비밀 €" });
  const { value } = await steps.next();
  assert.equal(new TextDecoder().decode(value?.response), "\0홍길동\0비밀 €");
  assert.deepEqual(await steps.next(new Uint8Array()), { value: undefined, done: true });
});
