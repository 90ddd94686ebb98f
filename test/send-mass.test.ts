import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { type MassMailing, messageIdOf, readReport, startMassMailing } from "./peer/mass-mailing.ts";
import { type Ended, environment, eventually, temporaryFolder } from "./peer/posthaste.ts";
import type { SMTPServerOptions } from "smtp-server";
import { type SmtpPeer, startSmtpPeer } from "./peer/smtp-peer.ts";

const COMMAND = join(import.meta.dirname, "../packages/cli/src/posthaste.ts");
const FLAGS = ["--to", "{{ email }}", "--subject", "{{ name }}님께", "--text-file", "letter.txt"];
const LETTER = "{{ name }}님, 안녕하세요.\n";
/** A message is marked before its end of data leaves, and so many are under way at most. */
const IN_FLIGHT = 18;

interface Place extends AsyncDisposable {
  readonly path: string;
  write(name: string, content: string | Uint8Array): Promise<void>;
}

/** A folder with a letter, and the file. */
async function place(rows: string | Uint8Array, name = "people.csv"): Promise<Place> {
  const folder = await temporaryFolder();
  const write = (file: string, content: string | Uint8Array): Promise<void> =>
    writeFile(join(folder.path, file), content);
  await write("letter.txt", LETTER);
  await write(name, rows);
  return { path: folder.path, write, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

function people(count: number): string {
  const rows = Array.from({ length: count }, (_, index) => `p${index + 1}@example.com,김철수 ${index + 1}`);
  return ["email,name", ...rows, ""].join("\n");
}

const settings = ({ port }: { readonly port: number }): NodeJS.ProcessEnv => ({
  EMAIL_HOST: "127.0.0.1",
  EMAIL_PORT: String(port),
});

function start(peer: { readonly port: number }, folder: Place, ...more: string[]): MassMailing {
  return startMassMailing(["people.csv", ...FLAGS, ...more], folder.path, settings(peer));
}

const send = (peer: { readonly port: number }, folder: Place, ...more: string[]): Promise<Ended> =>
  start(peer, folder, ...more).ended;

const report = (folder: Place): ReturnType<typeof readReport> => readReport(join(folder.path, "people.csv.report.csv"));

interface Gate {
  readonly options: SMTPServerOptions;
  /** The Message-IDs of what arrived. */
  readonly taken: readonly string[];
  /** Resolves when so many messages are there. */
  readonly reached: Promise<void>;
  open(): void;
}

/** A server that leaves the last of so many messages, and those behind it, without a reply until the gate opens. */
function gatedPeer(count: number): Gate {
  const taken: string[] = [];
  const [reached, opened] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const onData: SMTPServerOptions["onData"] = (stream, _session, callback) => {
    let content = "";
    stream.on("data", (chunk: Buffer) => (content += chunk.toString()));
    stream.on("end", () => {
      taken.push(messageIdOf(content));
      if (taken.length < count) return callback();
      reached.resolve();
      void opened.promise.then(() => callback());
    });
  };
  return { options: { onData }, taken, reached: reached.promise, open: () => opened.resolve() };
}

/** How often each Message-ID arrived. */
function arrivals({ messages }: SmtpPeer): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { content } of messages) {
    const id = messageIdOf(content);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

test("each row becomes a message of its own, in Korean, with what it holds escaped in HTML alone; the report has every verdict", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(
    '\ufeffemail,name,"first, last",number\r\nkim@example.com,"김 ""철수""","<b>&",7\r\nrefused@example.com,이영희,x,8\r\n\r\n"lee@example.com","박\r\n지성",y,9\r\n',
  );
  await folder.write("page.html", "<p>{{ ['first, last'] }}</p>");
  await folder.write("invoice-7.txt", "seven");
  await folder.write("invoice-8.txt", "eight");
  await folder.write("invoice-9.txt", "nine");
  const flags = ["--to", "{{ email }}", "--cc", "boss@example.com", "--from", "보내는 이 <from@example.com>"];
  const ended = await startMassMailing(
    ["people.csv", ...flags, "--subject", "{{ number }} {{ ['first, last'] }}", "--text-file", "letter.txt"].concat(
      ["--html-file", "page.html", "--attach", "invoice-{{ number }}.txt", "--header", "X-Number: {{ number }}"],
      ["--connections", "2", "--rate", "1000", "--report", "out.csv"],
    ),
    folder.path,
    settings(peer),
  ).ended;
  assert.equal(ended.code, 3, ended.stderr);
  assert.match(ended.stdout, /^3 rows: 2 accepted, 1 accepted for some recipients\n/);
  const message = peer.messages.find(({ content }) => content.includes("X-Number: 7"))?.content ?? "";
  assert.match(message, /^Subject: 7 <b>&\r$/m);
  assert.match(message, /<p>&lt;b&gt;&amp;<\/p>/);
  assert.match(message, /filename=invoice-7\.txt/);
  assert.ok(message.includes(Buffer.from('김 "철수"님, 안녕하세요.\r\n').toString("base64").slice(0, 30)));
  const lines = await readReport(join(folder.path, "out.csv"));
  assert.deepEqual(
    lines.map(({ row, line, address, status, code }) => [row, line, address, status, code]),
    [
      ["1", "2", "kim@example.com", "accepted", "250"],
      ["1", "2", "boss@example.com", "accepted", "250"],
      ["2", "3", "refused@example.com", "refused", "550"],
      ["2", "3", "boss@example.com", "accepted", "250"],
      ["3", "5", "lee@example.com", "accepted", "250"],
      ["3", "5", "boss@example.com", "accepted", "250"],
    ],
  );
  assert.equal(lines[2]?.enhanced, "5.1.1");
  assert.deepEqual(
    peer.messages.map(({ content }) => messageIdOf(content)).sort(),
    [...new Set(lines.map(({ message_id }) => message_id))].sort(),
  );
});

test("what is wrong with a row is named with the row and line, and every other row goes out", async () => {
  await using peer = await startSmtpPeer();
  const wrong: readonly [row: string | Buffer, says: RegExp][] = [
    ["one field", /it has 1 field, the header 3/],
    ["a@example.com,x,none,four", /it has 4 fields, the header 3/],
    [`a@example.com${",".repeat(9_999)}`, /it has 10000 fields, the header 3/],
    ['a@example.com,"no end,none', /quote/],
    ['a@example.com,"end" of it,none', /something follows a closing quote/],
    ['a@example.com,in"side,none', /a quote stands inside of a field/],
    ["a@example.com,N\0L,none", /NUL byte/],
    [Buffer.concat([Buffer.from("a@example.com,"), Buffer.from([0xb1, 0xe8]), Buffer.from(",none")]), /is not UTF-8/],
    [`a@example.com,${"x".repeat(1_100_000)},none`, /longer than 1048576 octets/],
    ["no-address,x,none", /to\[0\]/],
    [",x,none", /no recipient/],
    ["a@example.com,x,missing", /--attach: files\/missing\.txt: .*ENOENT/],
    [`a@example.com,x,${"y".repeat(100_000)}`, /--attach: files\/y{484} …$/],
    // Attacks: what a stranger typed must neither add recipients and header fields, nor choose a file.
    ['"a@example.com, b@example.com",x,none', /to\[0\]/],
    ['a@example.com,"x\r\nBcc: b@example.com",none', /subject.*line break/],
    ["a@example.com,x,../letter", /--attach: .*not in the folder files\//],
    // And nothing that the operator's terminal would obey.
    ["a@example.com,x,\x1b[2J", /--attach: files\/\\u001b\[2J\.txt: .*ENOENT/],
  ];
  const good = (index: number): string => `p${index}@example.com,김철수,none\n`;
  const rows = [Buffer.from("email,name,file\n")];
  wrong.forEach(([row], index) => rows.push(Buffer.from(row), Buffer.from("\n"), Buffer.from(good(index))));
  await using folder = await place(Buffer.concat(rows));
  await folder.write("letter.txt", "{{ name }}");
  await mkdir(join(folder.path, "files"));
  await folder.write("files/none.txt", "");
  const { code, stderr } = await send(peer, folder, "--attach", "files/{{ file }}.txt");
  assert.equal(code, 3, stderr);
  const lines = await report(folder);
  const faults = lines.filter(({ status }) => status === "error");
  assert.deepEqual(
    faults.map(({ text }, index) => wrong[index]?.[1].test(text)),
    wrong.map(() => true),
    JSON.stringify(faults, null, 1),
  );
  assert.deepEqual(
    lines.filter(({ status }) => status === "accepted").map(({ address }) => address),
    wrong.map((_, index) => `p${index}@example.com`),
  );
  assert.match(stderr, /^posthaste: row 1 \(line 2\): it has 1 field/m);
  assert.match(stderr, /^posthaste: row 7 \(line 8\): .*quote/m);
  assert.doesNotMatch(stderr, /\n {4}at |\x1b/);
  assert.equal(peer.messages.length, wrong.length);
});

test("NDJSON: a row has its own columns, objects among them; what is none is named", async () => {
  await using peer = await startSmtpPeer();
  const lines = [
    '{"user": {"email": "kim@example.com"}, "name": "김철수"}',
    "[1]",
    "",
    '{"user": {"email": "lee@example.com"}',
    '{"user": {"email": "lee@example.com"}}',
    '{"user": {"email": "choi@example.com"}, "name": "\\u0000"}',
    '{"user": {"email": "choi@example.com"}, "name": "최"}',
  ];
  await using folder = await place(lines.join("\n"), "people.ndjson");
  const flags = ["--to", "{{ user.email }}", "--subject", "{{ name }}", "--text-file", "letter.txt", "--json"];
  const { code, stdout } = await startMassMailing(["people.ndjson", ...flags], folder.path, settings(peer)).ended;
  const counts = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual([code, counts.rows, counts.accepted, counts.error], [3, 6, 2, 4]);
  const verdicts = await readReport(join(folder.path, "people.ndjson.report.csv"));
  assert.deepEqual(
    verdicts.map(({ line, status }) => [line, status]),
    [
      ["1", "accepted"],
      ["2", "error"],
      ["4", "error"],
      ["5", "error"],
      ["6", "error"],
      ["7", "accepted"],
    ],
  );
  assert.match(verdicts[3]?.text ?? "", /--subject: line 1, column 4: undefined variable: name/);
});

const EUC_KR = Buffer.concat([
  Buffer.from("email,name\nkim@example.com,"),
  Buffer.from([0xb1, 0xe8]),
  Buffer.from("\n"),
]);

test("a file in EUC-KR is read where --encoding says so", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(EUC_KR);
  const { code, stderr } = await send(peer, folder, "--encoding", "euc-kr");
  assert.equal(code, 0, stderr);
  assert.match(peer.messages[0]?.content ?? "", new RegExp(Buffer.from("김님께").toString("base64")));
});

const REFUSED: readonly [name: string, rows: string | Uint8Array, parameters: string[], says: RegExp][] = [
  ["an empty file", "", FLAGS, /people\.csv: the file is empty/],
  ["a header alone", "email,name\n", FLAGS, /there are no rows/],
  ["two columns of one name", "email,name,email\n", FLAGS, /line 1: the header has the column "email" twice/],
  ["a column without a name", "email,name,\n", FLAGS, /column 3 of the header has no name/],
  ["too many columns", `email,name${",c".repeat(2000)}\n`, FLAGS, /2002 columns; at most 1000/],
  ["a header in another encoding", Buffer.from([0xb1, 0xe8, 0x2c, 0x0a]), FLAGS, /line 1.*not UTF-8.*euc-kr/],
  ["UTF-16", Buffer.from("\ufeffemail,name\n", "utf16le"), FLAGS, /UTF-16/],
  ["CR alone", "email,name\rkim@example.com,x\r", FLAGS, /control character/],
  [
    "a missing column",
    "email,nmae\n",
    FLAGS,
    /--subject: line 1, column 4: people\.csv has no column "name"; it has "email", "nmae"/,
  ],
  [
    "a template that is none",
    people(1),
    [...FLAGS, "--cc", "{% if name %}x"],
    /--cc: line 1, column 1: tag {% if name %} not closed/,
  ],
  ["an unknown filter", people(1), [...FLAGS, "--cc", "\n {{ name | nope }}"], /--cc: line 2, column 2.*nope/],
  [
    "a template that reads files",
    people(1),
    [...FLAGS, "--cc", "{% render 'letter.txt' %}"],
    /--cc: line 1, column 1: tag "render" not found/,
  ],
  ["semicolons for commas", "email;name\nkim@example.com;x\n", FLAGS, /one column with semicolons in it/],
  ["tabs for commas", "email\tname\nkim@example.com\tx\n", FLAGS, /one column with tabs in it/],
  ["nobody to send to", people(1), FLAGS.slice(2), /--to: not given/],
  [
    "one standard input for two bodies",
    people(1),
    [...FLAGS.slice(0, 4), "--text-file", "-", "--html-file", "-"],
    /--html-file: standard input is read once/,
  ],
  ["an encoding that is none", people(1), [...FLAGS, "--encoding", "utf-16"], /--encoding.*euc-kr/],
  ["no body", people(1), FLAGS.slice(0, 4), /--text-file.*not given/],
  ["a body that is not there", people(1), [...FLAGS.slice(0, 4), "--text-file", "none.txt"], /--text-file: none\.txt/],
  ["a Message-ID", people(1), [...FLAGS, "--header", "message-id: <a@b>"], /--header: Message-ID/],
  [
    "nothing to go on with",
    people(1),
    [...FLAGS, "--resume"],
    /--resume: there is no people\.csv\.report\.csv\.journal/,
  ],
  [
    "a report where no folder is",
    people(1),
    [...FLAGS, "--report", "none/r.csv"],
    /--report: none\/r\.csv\.journal cannot/,
  ],
  // The report takes the place of what is there.
  ["a report in place of the rows", people(1), [...FLAGS, "--report", "people.csv"], /--report: .*file of the rows/],
  ["a report in place of another file", people(1), [...FLAGS, "--report", "letter.txt"], /--report: .*is no report/],
  ["a report in place of a folder", people(1), [...FLAGS, "--report", "."], /--report: .*is no file/],
  ["a report without a name", people(1), [...FLAGS, "--report", ""], /--report: .*path/],
  [
    "to go on with what sends nothing",
    people(1),
    [...FLAGS, "--dry-run", "out", "--resume"],
    /--dry-run.*cannot be used with.*--resume/,
  ],
  ["a rate, where there is none", people(1), [...FLAGS, "--rate", "5"], /--rate: the backend is dummy/],
  ["a rate that is none", people(1), [...FLAGS, "--rate", "fast"], /--rate.*above 0/],
];

describe("what no row could make good is an error before anything is sent or written", { concurrency: 3 }, () => {
  for (const [name, rows, parameters, says] of REFUSED) {
    test(name, async () => {
      await using folder = await place(rows);
      const environment = { EMAIL_BACKEND: "dummy" };
      const { code, stdout, stderr } = await startMassMailing(["people.csv", ...parameters], folder.path, environment)
        .ended;
      assert.match(stderr, says);
      assert.doesNotMatch(stderr, /\n {4}at /);
      assert.equal(code, 2);
      assert.deepEqual([stdout, await readdir(folder.path)], ["", ["letter.txt", "people.csv"]]);
    });
  }
});

test("--dry-run writes each message to a file, and sends nothing", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(`${people(2)}broken\n`);
  const { code, stdout, stderr } = await send(peer, folder, "--dry-run", "out");
  assert.deepEqual([code, peer.sessions.length], [3, 0], stderr);
  assert.match(stdout, /2 messages written to out, 1 without/);
  assert.deepEqual(await readdir(join(folder.path, "out")), ["000001.eml", "000002.eml"]);
  assert.match(await readFile(join(folder.path, "out/000002.eml"), "utf8"), /^To: p2@example\.com\r$/m);
  assert.equal((await send(peer, folder, "--dry-run", "out")).code, 2, "a folder that is not empty");
});

test("--dry-run ends by Ctrl-C", async () => {
  await using folder = await place(people(20_000));
  await using mailing = startMassMailing(["people.csv", ...FLAGS, "--dry-run", "out"], folder.path, {});
  const written = (): Promise<string[]> => readdir(join(folder.path, "out")).catch(() => []);
  await eventually(async () => ((await written()).length > 0 ? true : undefined), "the first message");
  const { code, stdout } = await mailing.kill("SIGINT");
  const count = (await written()).length;
  assert.deepEqual([code, stdout.startsWith(`${count} rows: ${count} messages`)], [130, true], stdout);
  assert.ok(count < 20_000);
});

test("Ctrl-C finishes what is past the end of data; --resume sends the rest, and nothing twice", async () => {
  const gate = gatedPeer(100);
  await using peer = await startSmtpPeer(gate.options);
  await using folder = await place(people(300));
  await using first = start(peer, folder);
  await gate.reached;
  const other = await send(peer, folder, "--resume");
  assert.equal(other.code, 2);
  assert.match(other.stderr, /in use by another posthaste/);
  setImmediate(() => gate.open());
  const stopped = await first.kill("SIGINT");
  assert.equal(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stdout, /^300 rows: \d+ accepted, \d+ not tried\n/);
  assert.match(stopped.stdout, /--resume/);
  const accepted = (await report(folder)).filter(({ status }) => status === "accepted");
  assert.equal(accepted.length, gate.taken.length, "the report is complete");
  const again = await send(peer, folder);
  assert.equal(again.code, 2, "it does not begin anew by mistake");
  assert.match(again.stderr, /--resume/);
  const resumed = await send(peer, folder, "--resume");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stdout, /^300 rows: 300 accepted\n/);
  assert.deepEqual([gate.taken.length, new Set(gate.taken).size], [300, 300]);
});

test("killed with SIGKILL twice and resumed: no recipient is missing, and those who got it twice are in the report", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(people(600));
  for (const [run, until] of [150, 350].entries()) {
    await using mailing = start(peer, folder, ...(run === 0 ? [] : ["--resume"]));
    await peer.received(until);
    await mailing.kill("SIGKILL");
  }
  const last = await send(peer, folder, "--resume");
  assert.equal(last.code, 0, last.stderr);
  const lines = await report(folder);
  assert.deepEqual(
    lines.map(({ address, status }) => [address, status]),
    Array.from({ length: 600 }, (_, index) => [`p${index + 1}@example.com`, "accepted"]),
  );
  const named = new Set(lines.filter((line) => line.may_have_arrived_twice === "yes").map((line) => line.message_id));
  const counts = arrivals(peer);
  assert.deepEqual([...counts.keys()].sort(), lines.map(({ message_id }) => message_id).sort());
  const twice = [...counts].filter(([, count]) => count > 1).map(([id]) => id);
  assert.deepEqual(
    twice.filter((id) => !named.has(id)),
    [],
  );
  assert.ok(named.size <= 2 * IN_FLIGHT, `${named.size} rows were in doubt`);
});

test("a row that may have left before a crash is held where --in-doubt says so, and else sent with the same Message-ID", async () => {
  // It has the tenth message, and the client never learns of it.
  const gate = gatedPeer(10);
  const { taken } = gate;
  await using peer = await startSmtpPeer(gate.options);
  await using folder = await place(people(30));
  await using mailing = start(peer, folder);
  await gate.reached;
  await mailing.kill("SIGKILL");
  gate.open();
  const holding = await send(peer, folder, "--resume", "--in-doubt", "hold");
  assert.equal(holding.code, 3, holding.stderr);
  const doubtful = (await report(folder)).filter(({ status }) => status === "unknown");
  assert.ok(doubtful.some(({ message_id }) => message_id === taken[9]));
  assert.equal(new Set(taken).size, taken.length, "nothing was sent twice");
  const resending = await send(peer, folder, "--resume");
  assert.equal(resending.code, 0, resending.stderr);
  assert.match(resending.stdout, /may have arrived twice/);
  const named = (await report(folder)).filter((line) => line.may_have_arrived_twice === "yes");
  assert.deepEqual(
    named.map(({ row }) => row),
    doubtful.map(({ row }) => row),
  );
  assert.equal(taken.filter((id) => id === taken[9]).length, 2);
});

test("--resume tries those who were deferred once more, and nobody else; another file or template is an error", async () => {
  let isFull = true;
  await using peer = await startSmtpPeer({
    onRcptTo({ address }, _session, callback) {
      const error = Object.assign(new Error("4.2.2 the mailbox is full"), { responseCode: 452 });
      callback(isFull && address.startsWith("full") ? error : undefined);
    },
  });
  await using folder = await place("email,name\nkim@example.com,김\nfull@example.com,이\n");
  const first = await send(peer, folder, "--cc", "boss@example.com");
  assert.equal(first.code, 3, first.stderr);
  isFull = false;
  const letter = await send(peer, folder, "--resume", "--cc", "other@example.com");
  assert.equal(letter.code, 2);
  assert.match(letter.stderr, /--resume: --cc is not what/);
  await folder.write("people.csv", "email,name\nkim@example.com,김\nfull@example.com,박\n");
  const file = await send(peer, folder, "--resume", "--cc", "boss@example.com");
  assert.equal(file.code, 2);
  assert.match(file.stderr, /--resume: the file is not what/);
  await folder.write("people.csv", "email,name\nkim@example.com,김\nfull@example.com,이\n");
  assert.equal((await send(peer, folder, "--resume", "--cc", "boss@example.com")).code, 0);
  assert.deepEqual(
    peer.messages.map(({ forwardPaths }) => forwardPaths),
    [["kim@example.com", "boss@example.com"], ["boss@example.com"], ["full@example.com"]],
  );
  assert.ok((await report(folder)).every(({ status }) => status === "accepted"));
});

test("a terminal that is gone stops a mailing as Ctrl-C does", async () => {
  const gate = gatedPeer(20);
  await using peer = await startSmtpPeer(gate.options);
  await using folder = await place(people(60));
  await using mailing = start(peer, folder);
  await gate.reached;
  setImmediate(() => gate.open());
  const { code, stderr } = await mailing.kill("SIGHUP");
  assert.equal(code, 130, stderr);
  assert.match(stderr, /stopping; .*Ctrl-C again/);
  const resumed = await send(peer, folder, "--resume");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.deepEqual([gate.taken.length, new Set(gate.taken).size], [60, 60]);
});

/** Runs it where no file may grow beyond so many blocks, of 512 or 1024 octets each as the shell has it. */
async function sendWithin(
  blocks: number,
  parameters: readonly string[],
  cwd: string,
  extra: NodeJS.ProcessEnv,
): Promise<Ended> {
  const command = [process.execPath, "--conditions=posthaste-source", COMMAND, "send-mass", "people.csv"];
  const child = spawn("sh", ["-c", `ulimit -f ${blocks}; exec "$@"`, "sh", ...command, ...parameters], {
    cwd,
    env: environment({ ...extra, NODE_DISABLE_COMPILE_CACHE: "1" }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await ended)[0], stdout, stderr };
}

const withoutLimits = process.platform === "win32" && "a shell that limits files is needed";

test(
  "where the journal cannot grow, the mailing ends and says so; --resume misses nobody, and names who got it twice",
  { skip: withoutLimits },
  async () => {
    await using peer = await startSmtpPeer();
    await using folder = await place(people(400));
    const full = await sendWithin(200, FLAGS, folder.path, settings(peer));
    assert.equal(full.code, 3, full.stderr);
    assert.match(full.stderr, /^posthaste: --report: .*journal cannot be written: /m);
    assert.doesNotMatch(full.stderr, /\n {4}at /);
    const before = arrivals(peer);
    assert.ok(before.size > 0 && before.size < 400, `${before.size} left`);
    const resumed = await send(peer, folder, "--resume");
    assert.equal(resumed.code, 0, resumed.stderr);
    const counts = arrivals(peer);
    assert.equal(counts.size, 400);
    const named = new Set(
      (await report(folder))
        .filter((each) => each.may_have_arrived_twice === "yes")
        .map(({ message_id }) => message_id),
    );
    assert.deepEqual(
      [...counts].filter(([id, count]) => count > 1 && !named.has(id)),
      [],
    );
    assert.ok(named.size <= IN_FLIGHT, `${named.size} rows were in doubt`);
  },
);

test("a message that --dry-run cannot write ends it, and leaves no half of it", { skip: withoutLimits }, async () => {
  await using folder = await place(people(3));
  const { code, stderr } = await sendWithin(0, [...FLAGS, "--dry-run", "out"], folder.path, {});
  assert.deepEqual([code, await readdir(join(folder.path, "out"))], [2, []]);
  assert.match(stderr, /^posthaste: --dry-run: out\/000001\.eml cannot be written: EFBIG\n$/);
});

test("of a mailing of which nothing left no journal stays: what was wrong is corrected, and it begins anew", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(people(2).replaceAll("@", " at "));
  const wrong = await send(peer, folder);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /Nothing was sent.* begins anew/);
  assert.deepEqual(await readdir(folder.path), ["letter.txt", "people.csv", "people.csv.report.csv"]);
  assert.match((await send(peer, folder, "--resume")).stderr, /nothing to go on with/);
  await folder.write("people.csv", people(2));
  assert.equal((await send(peer, folder)).code, 0);
  assert.equal(peer.messages.length, 2);
  assert.ok((await readdir(folder.path)).includes("people.csv.report.csv.journal"));
});

test("a journal that was not begun is begun by --resume, and what is none is not touched", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await place(people(2));
  const journal = "people.csv.report.csv.journal";
  await folder.write(journal, "");
  const begun = await send(peer, folder, "--resume");
  assert.equal(begun.code, 0, begun.stderr);
  await folder.write(journal, "no database, but a text of more than a hundred octets: ".repeat(20));
  const other = new DatabaseSync(join(folder.path, "other.csv.journal"));
  other.exec("create table mailing (format text) strict; insert into mailing values ('1')");
  other.close();
  for (const more of [[], ["--report", "other.csv"]]) {
    const { code, stderr } = await send(peer, folder, "--resume", ...more);
    assert.deepEqual([code, /\n {4}at /.test(stderr)], [2, false], stderr);
    assert.match(stderr, /journal (?:cannot be used: file is not a database|is not a journal that this version reads)/);
  }
  assert.equal(peer.messages.length, 2);
});

test("without a server none is accepted: exit code 1, and what to do", async () => {
  const peer = await startSmtpPeer();
  await peer.close();
  await using folder = await place(people(10));
  const { code, stdout, stderr } = await send(peer, folder);
  assert.equal(code, 1);
  assert.match(stderr, /^posthaste: .*127\.0\.0\.1/m);
  assert.match(stdout, /--resume/);
  assert.doesNotMatch(stderr, /\n {4}at /);
});
