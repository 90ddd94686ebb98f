import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Attachment, EmailMessage, type Envelope, type MessageFields } from "posthaste";
import PostalMime from "postal-mime";
import { temporaryFolder } from "./peer/posthaste.ts";

/**
 * What Django's mail system makes of 141 inputs, and what is to be made of them here: the same, or as divergences.json
 * says where doing the same would be wrong.
 */
const FOLDER = join(import.meta.dirname, "vectors/django");
const read = <T>(file: string): T => JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as T;

interface Spec {
  readonly subject?: string | null;
  readonly body?: string | null;
  readonly from_email?: string;
  readonly to?: string[];
  readonly cc?: string[];
  readonly bcc?: string[];
  readonly reply_to?: string[];
  readonly headers?: Record<string, string>;
  readonly encoding?: string;
  readonly alternatives?: { content?: string; content_base64?: string; mimetype: string }[];
  readonly attachments?: SpecAttachment[];
}

interface SpecAttachment {
  readonly filename?: string | null;
  readonly content_utf8?: string | null;
  readonly content_base64?: string;
  readonly message?: Spec;
  readonly mimetype?: string | null;
  readonly cid?: string;
  readonly maintype?: string;
  readonly subtype?: string;
}

interface Golden {
  readonly id: string;
  readonly construct_error?: unknown;
  readonly message_error?: unknown;
  readonly recipients: string[];
  readonly smtp: { error?: unknown; sent?: number; mail_from?: string; rcpt_to?: string[] } | null;
  readonly message: Record<string, unknown> | null;
}

const CASES = read<{ cases: { id: string; spec: Spec }[] }>("cases.json").cases;
const GOLDEN = new Map(read<{ results: Golden[] }>("golden.json").results.map((result) => [result.id, result]));
const DIVERGENCES: Readonly<Record<string, { kind: string } | undefined>> = {
  ...read<Record<string, { kind: string }>>("divergences.json"),
  // Every control but TAB is refused in a header field, whatever Django does with it.
  "subj-esc-del": { kind: "reject" },
  "hdr-value-tab-nul": { kind: "reject" },
};

/** By this package's own table of types, the same on every machine, where Django asks the system's. */
const OTHER_TYPE = new Map([["att-guess-data_csv_gz", "application/gzip"]]);

function octets(base64: string): Uint8Array {
  return Buffer.from(base64, "base64");
}

function attachmentOf(spec: SpecAttachment): Attachment {
  const content = spec.message
    ? messageOf(spec.message)
    : spec.content_base64 === undefined
      ? spec.content_utf8
      : octets(spec.content_base64);
  const contentType = spec.maintype === undefined ? spec.mimetype : `${spec.maintype}/${spec.subtype ?? ""}`;
  return {
    filename: spec.filename ?? undefined,
    content: content as Attachment["content"],
    contentType: contentType ?? undefined,
    cid: spec.cid,
  };
}

function fieldsOf(spec: Spec): MessageFields {
  return {
    subject: spec.subject,
    text: spec.body,
    from: spec.from_email === undefined || spec.from_email === "" ? "webmaster@localhost" : spec.from_email,
    to: spec.to,
    cc: spec.cc,
    bcc: spec.bcc,
    replyTo: spec.reply_to,
    headers: spec.headers,
    charset: spec.encoding,
    alternatives: spec.alternatives?.map(({ content, content_base64, mimetype }) => ({
      content: content_base64 === undefined ? (content ?? "") : octets(content_base64),
      contentType: mimetype,
    })),
    attachments: spec.attachments?.map(attachmentOf),
  };
}

function messageOf(spec: Spec): EmailMessage {
  return new EmailMessage(fieldsOf(spec));
}

interface Made {
  readonly recipients: string[];
  readonly envelope: Envelope;
  readonly bytes: Uint8Array;
}

function make(spec: Spec): Made | Error {
  try {
    const message = messageOf(spec);
    return { bytes: message.toBytes(), envelope: message.envelope(), recipients: message.recipients() };
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
}

const failed = ({ construct_error, message_error, smtp }: Golden): boolean =>
  Boolean(construct_error ?? message_error ?? smtp?.error);

/** The kinds of divergence after which it is an error here, and after which it is none. */
const REFUSED = new Set(["reject", "decide"]);

test("of 141 inputs the same are refused as Django refuses, or those that it ought to", () => {
  for (const { id, spec } of CASES) {
    const golden = GOLDEN.get(id);
    assert.ok(golden !== undefined);
    const kind = DIVERGENCES[id]?.kind;
    const wanted = kind === undefined ? failed(golden) : REFUSED.has(kind);
    const made = make(spec);
    assert.equal(made instanceof Error, wanted, `${id}: ${made instanceof Error ? made.message : "was made"}`);
    if (made instanceof Error || failed(golden)) continue;
    assert.deepEqual(made.recipients, golden.recipients, id);
    const { sent, mail_from: reversePath, rcpt_to: forwardPaths = [] } = golden.smtp ?? {};
    if (sent !== 1 || kind === "better") continue;
    assert.deepEqual(
      [made.envelope.reversePath, made.envelope.forwardPaths],
      [reversePath, [...new Set(forwardPaths)]],
      id,
    );
  }
});

test("what is made keeps to the format: CRLF, lines of 998 octets, encoded-words of 75, no NUL", () => {
  for (const { id, spec } of CASES) {
    const made = make(spec);
    if (made instanceof Error) continue;
    const text = Buffer.from(made.bytes).toString("latin1");
    assert.doesNotMatch(text, /\0|[^\r]\n|\r[^\n]/, id);
    assert.ok(
      text.split("\r\n").every((line) => line.length <= 998),
      id,
    );
    const header = text.slice(0, text.indexOf("\r\n\r\n"));
    for (const [word] of header.matchAll(/=\?[^?\s]+\?[bq]\?[^?\s]*\?=/gi))
      assert.ok(word.length <= 75, `${id}: ${word}`);
  }
});

test("an independent parser reads the subject, the recipients and the text", async () => {
  for (const { id, spec } of CASES) {
    const made = make(spec);
    if (made instanceof Error) continue;
    const mail = await PostalMime.parse(made.bytes);
    assert.equal(mail.subject ?? "", spec.subject ?? "", id);
    if (spec.body && !spec.encoding) {
      const lines = (text = ""): string =>
        text
          .replace(/^\ufeff/, "")
          .replace(/\r\n|\r/g, "\n")
          .replace(/\n+$/, "");
      assert.equal(lines(mail.text), lines(spec.body), id);
    }
  }
});

type Meaning = Record<string, unknown>;
/** Latitude that every implementation has; what Python's parser says of the raw octets is judged above. */
const FREE = new Set(["cte", "charset", "raw", "date", "message_id", "text_head"]);

function differences(ours: unknown, golden: unknown, path: string): string[] {
  if (isObject(ours) && isObject(golden)) {
    if (typeof ours.text === "string" && typeof golden.text === "string") {
      const same = ours.text.replace(/\n+$/, "") === golden.text.replace(/\n+$/, "");
      return [
        ...(same ? [] : [`${path}.text: ${JSON.stringify(ours.text)} for ${JSON.stringify(golden.text)}`]),
        ...others(ours, golden, path, /^text/),
      ];
    }
    return others(ours, golden, path, /^$/);
  }
  if (Array.isArray(ours) && Array.isArray(golden) && ours.length === golden.length) {
    return ours.flatMap((item, index) => differences(item, golden[index], `${path}[${index}]`));
  }
  // Django writes an empty header field for a list of empty strings; here there is none.
  if (ours === null && Array.isArray(golden) && golden.length === 0) return [];
  return JSON.stringify(ours) === JSON.stringify(golden)
    ? []
    : [`${path}: ${JSON.stringify(ours)} for ${JSON.stringify(golden)}`];
}

function others(ours: Meaning, golden: Meaning, path: string, ignored: RegExp): string[] {
  const names = new Set([...Object.keys(ours), ...Object.keys(golden)]);
  return [...names]
    .filter((name) => !FREE.has(name) && !ignored.test(name))
    .flatMap((name) => differences(ours[name], golden[name], `${path}.${name}`));
}

function isObject(value: unknown): value is Meaning {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const hasPython = spawnSync("python3", ["--version"]).status === 0;

test(
  "Python's parser reads what it reads of Django's messages",
  { skip: hasPython ? false : "python3 is not installed" },
  async () => {
    await using folder = await temporaryFolder();
    const made = CASES.flatMap(({ id, spec }) => {
      const result = make(spec);
      if (result instanceof Error || failed(GOLDEN.get(id)!)) return [];
      const file = join(folder.path, `${id}.eml`);
      writeFileSync(file, result.bytes);
      return [{ id, file }];
    });
    const parsed = execFileSync("python3", [join(FOLDER, "parse.py"), ...made.map(({ file }) => file)], {
      maxBuffer: 1e8,
    });
    const meanings = JSON.parse(parsed.toString()) as Record<string, Meaning>;
    const found: string[] = [];
    for (const { id, file } of made) {
      const kind = DIVERGENCES[id]?.kind;
      if (kind === "better" || kind === "literal" || kind === "accept") continue;
      found.push(
        ...differences(meanings[file], GOLDEN.get(id)?.message, id).filter((line) => !isExpected(id, kind, line)),
      );
    }
    assert.deepEqual(found, []);
  },
);

/** `exact`: an attachment's octets are what was given, where Django changed them. */
function isExpected(id: string, kind: string | undefined, line: string): boolean {
  if (kind === "exact") return line.includes("text");
  // Inline images stand in multipart/related here, which html-inline-cid-filename is about.
  if (id === "kitchen-sink") return line.startsWith("kitchen-sink.structure");
  const type = OTHER_TYPE.get(id);
  return type !== undefined && line.includes(type);
}
