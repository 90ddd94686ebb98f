import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { EmailMessage } from "posthaste";
import PostalMime from "postal-mime";
import { temporaryFolder } from "./peer/posthaste.ts";

/**
 * Whatever is written reads back, in two parsers that nobody here wrote. The seed of a run that fails is in its message;
 * `POSTHASTE_SEED` repeats it.
 */
const SEED = Number(process.env.POSTHASTE_SEED ?? Math.floor(Math.random() * 2 ** 31));
const PARSER = join(import.meta.dirname, "vectors/django/parse.py");
const hasPython = spawnSync("python3", ["--version"]).status === 0;

const unit = fc.constantFrom(
  "a",
  "Z",
  "word",
  " ",
  ".",
  ",",
  "=",
  "-",
  "_",
  "?",
  "é",
  "한",
  "국어",
  "日本",
  "😀",
  "👨‍👩‍👧",
  "שלום",
  "مرحبا",
  "<",
  ">",
  '"',
  "\\",
  ";",
);
const line = fc.string({ unit, maxLength: 120 });
/** White space at the ends and in runs is no part of a display name's meaning. */
const name = line.map((text) => text.replace(/ +/g, " ").trim());
const bodyUnit = fc.oneof(unit, fc.constantFrom("\n", "\n.\n", "\t", "\u0001", "\u007f", "\u001b", "--", "From "));
const body = fc.string({ unit: bodyUnit, maxLength: 600 });
/** Python's get_filename drops white space in front, however it was written. */
const filename = line.map((text) => `${text.replace(/[/\\]/g, "")}f.bin`.trimStart());
const mail = fc.record({
  subject: line,
  displayName: name,
  text: body,
  html: body,
  filename,
  octets: fc.uint8Array({ maxLength: 300 }),
});
type Mail = typeof mail extends fc.Arbitrary<infer T> ? T : never;

function messageOf({ subject, displayName, text, html, filename: file, octets }: Mail): EmailMessage {
  const to = displayName === "" ? "to@example.com" : `"${displayName.replace(/["\\]/g, "\\$&")}" <to@example.com>`;
  return new EmailMessage({
    subject,
    text,
    html,
    from: "from@example.com",
    to: [to],
    attachments: [{ filename: file, content: octets }],
  });
}

const lines = (text = ""): string => text.replace(/\r\n|\r/g, "\n").replace(/\n+$/, "");

/** CRLF alone ends a line; no line over 998 octets, no encoded-word over 75; a boundary stands nowhere in the content. */
function lint(bytes: Uint8Array): void {
  const text = Buffer.from(bytes).toString("latin1");
  assert.doesNotMatch(text, /[^\r]\n|\r[^\n]|[^\0-\x7f]|\0/);
  assert.ok(text.split("\r\n").every((each) => each.length <= 998));
  for (const [word] of text.matchAll(/=\?utf-8\?[bq]\?[^?\s]*\?=/g)) assert.ok(word.length <= 75, word);
  for (const [, boundary = ""] of text.matchAll(/boundary="([^"]+)"/g)) {
    const delimiters = text.split("\r\n").filter((each) => each.startsWith(`--${boundary}`)).length;
    assert.equal(
      text.split(boundary).length - 1,
      delimiters + 1,
      "the boundary stands in its field and its delimiters only",
    );
  }
}

test("every message keeps to the format, and reads back equal in postal-mime", async () => {
  await fc.assert(
    fc.asyncProperty(mail, async (given) => {
      const bytes = messageOf(given).toBytes();
      lint(bytes);
      const read = await PostalMime.parse(bytes);
      assert.equal(read.subject ?? "", given.subject);
      assert.equal(read.to?.[0]?.name ?? "", given.displayName);
      if (given.text !== "") assert.equal(lines(read.text), lines(given.text));
      if (given.html !== "") assert.equal(lines(read.html), lines(given.html));
      const [attachment] = read.attachments;
      assert.equal(attachment?.filename, given.filename);
      assert.deepEqual(Buffer.from(attachment?.content as ArrayBuffer), Buffer.from(given.octets));
    }),
    { seed: SEED, numRuns: 300 },
  );
});

interface Part {
  readonly type: string;
  readonly parts?: Part[];
  readonly filename?: string;
  readonly text?: string;
  readonly sha256?: string;
}

interface Meaning {
  readonly subject: string | null;
  readonly to: [string, string][];
  readonly structure: Part;
}

const leaves = (part: Part): Part[] => (part.parts === undefined ? [part] : part.parts.flatMap(leaves));

test(
  "every message reads back equal in Python's parser",
  { skip: hasPython ? false : "python3 is not installed" },
  async () => {
    await using folder = await temporaryFolder();
    const mails = fc.sample(mail, { seed: SEED, numRuns: 200 });
    const files = mails.map((given, index) => {
      const file = join(folder.path, `${index}.eml`);
      writeFileSync(file, messageOf(given).toBytes());
      return file;
    });
    const meanings = JSON.parse(execFileSync("python3", [PARSER, ...files], { maxBuffer: 1e8 }).toString()) as Record<
      string,
      Meaning
    >;
    mails.forEach((given, index) => {
      const what = `seed ${SEED}, message ${index}`;
      const read = meanings[files[index] ?? ""];
      assert.ok(read !== undefined, what);
      assert.equal(read.subject ?? "", given.subject, what);
      assert.deepEqual(read.to, [[given.displayName, "to@example.com"]], what);
      const parts = leaves(read.structure);
      const texts = [given.text, given.html].filter((text) => text !== "").map(lines);
      assert.deepEqual(
        parts.flatMap(({ text }) => (text === undefined ? [] : [lines(text)])),
        texts,
        what,
      );
      const attachment = parts.at(-1);
      assert.equal(attachment?.filename, given.filename, what);
      assert.equal(attachment?.sha256, createHash("sha256").update(given.octets).digest("hex"), what);
    });
  },
);
