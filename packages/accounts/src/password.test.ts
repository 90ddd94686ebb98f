import assert from "node:assert/strict";
import { test } from "node:test";
import { createPasswordHasher, NOBODYS_HASH, OverloadedError, passwordFault } from "./password.ts";

test("passwords are held to length and a blocklist, and to nothing else", () => {
  const cases: [string, string | undefined][] = [
    ["1234567", "passwordShort"],
    ["가나다라마바사", "passwordShort"],
    ["가나다라마바사아", undefined],
    ["😀".repeat(7), "passwordShort"],
    ["😀".repeat(256), undefined],
    ["x".repeat(256), undefined],
    ["x".repeat(257), "passwordLong"],
    ["password", "passwordCommon"],
    ["PassWord1", "passwordCommon"],
    ["qwer1234", "passwordCommon"],
    ["        ", undefined],
    ["e\u0301".repeat(200_000), "passwordLong"],
  ];
  for (const [password, fault] of cases) assert.equal(passwordFault(password), fault, password.slice(0, 20));
});

test("hashes are argon2id with 19 MiB, two passes and one lane, and nobody's hash costs the same", async () => {
  const parameters = "$argon2id$v=19$m=19456,t=2,p=1$";
  const hash = await createPasswordHasher().hash("correct horse");
  assert.ok(hash.startsWith(parameters));
  assert.ok(NOBODYS_HASH.startsWith(parameters));
  assert.equal(NOBODYS_HASH.length, hash.length);
});

test("a password is right in either normal form, wrong in any other way, and never right for nobody", async () => {
  const hasher = createPasswordHasher();
  const hash = await hasher.hash("cafe\u0301 한글 비밀");
  assert.equal(await hasher.verify(hash, "caf\u00e9 한글 비밀"), true);
  assert.equal(await hasher.verify(hash, "cafe 한글 비밀"), false);
  assert.equal(await hasher.verify(null, "cafe 한글 비밀"), false);
});

test("passwords wait in a bounded queue, and what does not fit is refused at once", async () => {
  const hasher = createPasswordHasher({ concurrency: 1, queueLength: 1 });
  const results = await Promise.allSettled([
    hasher.hash("first one"),
    hasher.hash("second one"),
    hasher.hash("third one"),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected"],
  );
  assert.ok(results[2]?.status === "rejected" && results[2].reason instanceof OverloadedError);
  assert.match(await hasher.hash("after the flood"), /^\$argon2id/);
});
