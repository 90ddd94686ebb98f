import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthError } from "../../errors.ts";
import { cramMd5 } from "./cram-md5.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

test("CRAM-MD5 answers as in RFC 2195 section 2", async () => {
  const steps = cramMd5({ user: "tim", password: "tanstaaftanstaaf" });
  assert.deepEqual((await steps.next()).value, { response: undefined, isComplete: false });
  const { value } = await steps.next(encode("<1896.697170952@postoffice.reston.mci.net>"));
  assert.deepEqual(value, { response: encode("tim b913a602c7eda7a495b4e6e7334d3890"), isComplete: true });
  assert.deepEqual(await steps.next(encode("<2@x>")), { value: undefined, done: true });
});

test("CRAM-MD5 does not sign an empty challenge", async () => {
  const steps = cramMd5({ user: "tim", password: "tanstaaftanstaaf" });
  await steps.next();
  await assert.rejects(steps.next(encode("")), (error) => error instanceof AuthError && error.code === "protocol");
});
