import assert from "node:assert/strict";
import { appendFile, copyFile, rename, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../../../test/peer/posthaste.ts";
import { checkReadable, type FileIdentity, identify, sameRows } from "./file-identity.ts";
import type { RowFile } from "./row.ts";

const ROWS = 20_000;
const SIGNAL = new AbortController().signal;

interface Begun extends AsyncDisposable {
  readonly file: RowFile;
  readonly identity: FileIdentity;
  readonly folder: string;
}

async function begun(): Promise<Begun> {
  const folder = await temporaryFolder();
  const path = join(folder.path, "rows.csv");
  await writeFile(path, `a,b\n${"1,2\n".repeat(ROWS)}`);
  const file: RowFile = { path, name: "rows.csv", encoding: "utf-8" };
  const identity = await identify(file, SIGNAL);
  assert.ok(identity);
  return { file, identity, folder: folder.path, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const CHANGES: readonly [name: string, change: (file: Begun) => Promise<void>, isSame: boolean][] = [
  ["nothing", () => Promise.resolve(), true],
  ["its time alone", ({ file }) => utimes(file.path, 1, 1), true],
  [
    "another file that takes its place",
    async ({ file, folder }) => {
      await copyFile(file.path, join(folder, "next.csv"));
      await appendFile(join(folder, "next.csv"), "3,4\n");
      await rename(join(folder, "next.csv"), file.path);
    },
    true,
  ],
  ["a row more", ({ file }) => appendFile(file.path, "3,4\n"), false],
  ["another first row", ({ file }) => writeFile(file.path, `a,b\n${"3,4\n".repeat(ROWS)}`), false],
];

for (const [name, change, isSame] of CHANGES) {
  test(`while its rows are read, ${name} ${isSame ? "does not matter" : "is an error, and no row beyond is given"}`, async () => {
    await using own = await begun();
    let count = 0;
    const read = async (): Promise<void> => {
      for await (const { number } of sameRows(own.file, own.identity)) {
        count++;
        if (number === 1) await change(own);
      }
    };
    if (isSame) await read();
    else await assert.rejects(read(), { name: "SettingsError", message: /^rows\.csv: the file was changed/ });
    assert.equal(count, ROWS);
  });
}

test("a file is identified by what is in it, and no further than the signal allows", async () => {
  await using own = await begun();
  assert.deepEqual([own.identity.rows, own.identity.digest.length], [ROWS, 64]);
  assert.equal(await identify(own.file, AbortSignal.abort()), undefined);
  await assert.rejects(checkReadable(own.folder), /it is no file/);
  await assert.rejects(checkReadable(join(own.folder, "none.csv")), /ENOENT/);
});
