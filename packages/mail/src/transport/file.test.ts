import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DeliveryError, SettingsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { fileTransport } from "./file.ts";

async function temporary(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "posthaste-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const message = (text: string): Message => new Message({ text, from: "a@example.com", to: ["b@example.com"] });

test("each message is a file of its own, for its owner alone, and names sort by time", async () => {
  await using folder = await temporary();
  const directory = join(folder.path, "not", "there");
  const messages = Array.from({ length: 30 }, (_, index) => message(`number ${index}`));
  const receipts = await Array.fromAsync(fileTransport({ directory }).deliver(messages));
  assert.ok(receipts.every(({ status }) => status === "accepted"));
  const names = (await readdir(directory)).sort();
  assert.match(names[0] ?? "", /^\d{8}-\d{6}\.\d{3}-\d{6}-[0-9a-f]{16}\.eml$/);
  const contents = await Promise.all(names.map((name) => readFile(join(directory, name))));
  assert.deepEqual(
    contents,
    messages.map((each) => Buffer.from(each.toBytes())),
  );
  assert.equal((await stat(directory)).mode & 0o777, 0o700);
  assert.equal((await stat(join(directory, names[0] ?? ""))).mode & 0o777, 0o600);
});

test("as a log all messages of a transport are in one file, as Django writes it", async () => {
  await using folder = await temporary();
  const transport = fileTransport({ directory: folder.path, format: "log" });
  const messages = [message("one"), message("two")];
  await Array.fromAsync(transport.deliver(messages));
  const [name = "", ...others] = await readdir(folder.path);
  assert.match(name, /^\d{8}-\d{6}-[0-9a-f]{16}\.log$/);
  assert.deepEqual(others, []);
  const rule = "-".repeat(79);
  const expected = messages.map(
    (each) => `${Buffer.from(each.toBytes()).toString().replaceAll("\r\n", "\n")}\n${rule}\n`,
  );
  assert.equal(await readFile(join(folder.path, name), "utf8"), expected.join(""));
  assert.equal((await stat(join(folder.path, name))).mode & 0o777, 0o600);
});

test("a directory that cannot be is an error that names it, at once", async () => {
  await using folder = await temporary();
  const file = join(folder.path, "file");
  await writeFile(file, "");
  for (const directory of [file, join(file, "below"), "", "a\0b", 1 as unknown as string]) {
    assert.throws(
      () => fileTransport({ directory }),
      (error) =>
        error instanceof SettingsError && error.setting === "directory" && !error.message.includes(folder.path),
    );
  }
  assert.throws(() => fileTransport({ directory: folder.path, format: "mbox" as "eml" }), { setting: "format" });
});

test("a message that could not be written is deferred, says why, and leaves no piece", async () => {
  await using folder = await temporary();
  const directory = join(folder.path, "mail");
  const transport = fileTransport({ directory });
  await rm(directory, { recursive: true });
  const [gone] = await Array.fromAsync(transport.deliver([message("a")]));
  assert.ok(gone?.status === "deferred" && gone.error instanceof DeliveryError);
  assert.match(gone.error.message, /^directory: the message could not be written: ENOENT$/);
  const other = fileTransport({ directory });
  await chmod(directory, 0o700);
  const broken = message("b");
  broken.attach({
    filename: "a.bin",
    async *content() {
      yield new Uint8Array(100_000);
      throw new Error("the stream broke");
    },
  });
  const [receipt] = await Array.fromAsync(other.deliver([broken]));
  assert.deepEqual([receipt?.status, receipt?.error?.message], ["deferred", "the content could not be read"]);
  assert.deepEqual(await readdir(directory), []);
});
