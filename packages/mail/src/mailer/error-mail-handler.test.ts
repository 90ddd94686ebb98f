import assert from "node:assert/strict";
import { type Mock, mock, test } from "node:test";
import { multistream, pino, type Logger } from "pino";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { memoryTransport } from "../transport/memory.ts";
import { smtpTransport } from "../transport/smtp.ts";
import { ErrorMailHandler, type ErrorMailOptions } from "./error-mail-handler.ts";
import { createMailer } from "./mailer.ts";
import { getConnection } from "./connection.ts";

const PEOPLE = { from: "app@example.com", admins: ["admin@example.com"], subjectPrefix: "[x] " };
const HOUR = 3_600_000;

function inMemory(options: Omit<ErrorMailOptions, "mailer"> = {}) {
  const transport = memoryTransport();
  const handler = new ErrorMailHandler({ mailer: createMailer({ transport, ...PEOPLE }), ...options });
  const log: Logger = pino({ level: "trace" }, handler);
  return { transport, box: transport.box, handler, log };
}

/** What is written to standard error while the work runs. */
async function complaints(work: () => Promise<void>): Promise<string[]> {
  const write: Mock<typeof process.stderr.write> = mock.method(process.stderr, "write", () => true);
  try {
    await work();
    return write.mock.calls
      .map(({ arguments: [text] }) => String(text))
      .filter((text) => text.startsWith("posthaste:"));
  } finally {
    write.mock.restore();
  }
}

test("an error of pino goes to the admins through a real server, with its stack and context, and no secret", async () => {
  await using peer = await startSmtpPeer();
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
  await using mailer = createMailer({ transport, ...PEOPLE });
  const handler = new ErrorMailHandler({ mailer });
  const written: string[] = [];
  const streams = [
    { stream: { write: (line: string) => void written.push(line) } },
    { level: "error", stream: handler },
  ];
  const log = pino({}, multistream(streams as Parameters<typeof multistream>[0]));
  log.info("all is well");
  const err = Object.assign(new Error("no such user"), { code: "E_USER", apiKey: "hunter2" });
  log.error({ err, req: { url: "/activate?token=hunter2&a=1", headers: { cookie: "hunter2" } } }, "sign-up failed");
  await handler.close();
  assert.equal(written.length, 2);
  const [message, ...others] = peer.messages;
  assert.equal(others.length, 0);
  assert.deepEqual([message?.reversePath, message?.forwardPaths], ["app@example.com", ["admin@example.com"]]);
  const content = message?.content ?? "";
  assert.match(content, /^Subject: \[x\] ERROR: sign-up failed\r?$/m);
  for (const part of [
    /Time: +20\d\d-/,
    /Level: +ERROR/,
    /Error: +no such user/,
    /error-mail-handler\.test\.ts/,
    /E_USER/,
  ])
    assert.match(content, part);
  assert.match(content, /\*{8}/);
  assert.doesNotMatch(content, /hunter2/);
});

test("the functions of the environment send by default", async () => {
  await using peer = await startSmtpPeer();
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port), ADMINS: "admin@example.com" };
  Object.assign(process.env, environment);
  try {
    await using handler = new ErrorMailHandler();
    pino({}, handler).fatal("gone");
    await handler.close();
    assert.match(peer.messages[0]?.content ?? "", /^Subject: \[Django\] FATAL: gone\r?$/m);
    assert.equal(peer.messages[0]?.reversePath, "root@localhost");
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
});

const LEVELS: readonly [level: ErrorMailOptions["level"], subjects: string[]][] = [
  [undefined, ["ERROR: e", "FATAL: f"]],
  ["warn", ["WARN: w", "ERROR: e", "FATAL: f"]],
  ["fatal", ["FATAL: f"]],
  [55, ["FATAL: f"]],
];

test("what is below the level is not mailed", async () => {
  for (const [level, subjects] of LEVELS) {
    const { log, handler, box } = inMemory({ level });
    log.info("i");
    log.warn("w");
    log.error("e");
    log.fatal("f");
    await handler.close();
    assert.deepEqual(
      box.map(({ subject }) => subject),
      subjects.map((subject) => `[x] ${subject}`),
    );
  }
});

const SUBJECTS: readonly [line: object, subject: string][] = [
  [{ level: 50, msg: "a\r\nBcc: evil@example.com\u2028b" }, "ERROR: a Bcc: evil@example.com b"],
  [{ level: 50, msg: "x".repeat(500) }, `ERROR: ${"x".repeat(192)}…`],
  [{ level: 50, msg: `${"x".repeat(191)}\u{1f600}y` }, `ERROR: ${"x".repeat(191)}…`],
  [{ level: 50, msg: "\ud800" }, "ERROR: \ufffd"],
  [{ level: 50, err: { message: "no message" } }, "ERROR: no message"],
  [{ level: 50 }, "ERROR: (without a message)"],
  [{ level: 50, msg: { a: 1, password: "hunter2" } }, 'ERROR: {"a":1,"password":"********"}'],
  [{ level: "fatal", msg: "by name" }, "FATAL: by name"],
  [{ level: 55, msg: "own" }, "LEVEL 55: own"],
  [{ level: 50, msg: "postgres://me:hunter2@db/x failed" }, "ERROR: postgres://me:********@db/x failed"],
  [
    { level: 50, msg: 'Bearer hunter2 {"token":"hunter2"} password=hunter2' },
    'ERROR: Bearer ******** {"token":********} password=********',
  ],
];

test("the subject is one line, cut, well-formed and without secrets", async () => {
  const { handler, box } = inMemory({ perHour: 100 });
  for (const [line] of SUBJECTS) handler.write(`${JSON.stringify(line)}\n`);
  await handler.close();
  assert.deepEqual(
    box.map(({ subject }) => subject),
    SUBJECTS.map(([, subject]) => `[x] ${subject}`),
  );
});

test("lines may be cut anywhere, and what is no line of pino is passed over", async () => {
  const { handler, box } = inMemory();
  handler.write('not JSON\n{"level":50,"m');
  handler.write(Buffer.from('sg":"one"}\n{"level":50,"msg":"two"}\nnull\n[]\n{"msg":"no level"}\n'));
  handler.write(`{"level":60,"msg":"${"x".repeat(2_000_000)}`);
  handler.write('x"}\n{"level":50,"time":"no time","msg":"three"}\n');
  await handler.close();
  assert.deepEqual(
    box.map(({ subject }) => subject),
    ["ERROR: one", "ERROR: two", "FATAL: (a line that is too long to mail)", "ERROR: three"].map(
      (each) => `[x] ${each}`,
    ),
  );
});

test("beyond so many an hour errors are collected into one mail at the hour's end, and then the hour begins anew", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const { log, handler, box, transport } = inMemory({ perHour: 2 });
    for (const each of ["a", "b", "c", "d", "c"]) log.error(each);
    await transport.waitFor({ subject: "[x] ERROR: b" });
    mock.timers.tick(HOUR - 1);
    assert.equal(box.length, 2);
    mock.timers.tick(1);
    const digest = await transport.waitFor({ subject: "[x] 3 more errors in the last hour" });
    assert.match(digest.text, / 2 × ERROR: c\n/);
    assert.match(digest.text, / 1 × ERROR: d\n/);
    log.error("e");
    await transport.waitFor({ subject: "[x] ERROR: e" });
    mock.timers.tick(HOUR);
    log.error("f");
    await handler.close();
    assert.deepEqual(
      box.map(({ subject }) => subject),
      ["ERROR: a", "ERROR: b", "3 more errors in the last hour", "ERROR: e", "ERROR: f"].map((each) => `[x] ${each}`),
    );
  } finally {
    mock.timers.reset();
  }
});

test("close sends what was collected; different errors beyond 200 are counted", async () => {
  const { log, handler, box } = inMemory({ perHour: 0 });
  for (let index = 0; index < 250; index++) log.error(`error ${index}`);
  await handler.close();
  await handler.close();
  assert.equal(box.length, 1);
  assert.equal(box[0]?.subject, "[x] 250 more errors in the last hour");
  assert.match(box[0].text, /ERROR: error 199\n/);
  assert.doesNotMatch(box[0].text, /ERROR: error 200\n/);
  assert.match(box[0].text, /and 50 others, which are not listed/);
});

test("an error in mailing never reaches the logger, and standard error has it once", async () => {
  const peer = await startSmtpPeer();
  await peer.close();
  const said = await complaints(async () => {
    const transport = getConnection({ backend: "smtp", host: "127.0.0.1", port: peer.port });
    const handler = new ErrorMailHandler({ mailer: createMailer({ transport, ...PEOPLE }) });
    const log = pino({}, handler);
    for (let index = 0; index < 3; index++) log.error("a");
    await handler.close();
    log.error("after the end");
    await transport.close();
  });
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /errors cannot be mailed/);
});

test("what an observer logs about the handler's own mail is not mailed again", async () => {
  const transport = memoryTransport();
  const logger: { log?: Logger } = {};
  let seen = 0;
  const observers = [
    async (): Promise<void> => {
      await Promise.resolve();
      seen++;
      logger.log?.error("a mail went out");
    },
  ];
  const handler = new ErrorMailHandler({ mailer: createMailer({ transport, ...PEOPLE, observers }) });
  logger.log = pino({}, handler);
  logger.log.error("first");
  await handler.close();
  assert.deepEqual([seen, transport.box.length], [1, 1]);
});

test("without admins nothing is sent; an option that is not allowed is an error", async () => {
  const transport = memoryTransport();
  const handler = new ErrorMailHandler({ mailer: createMailer({ transport, from: "app@example.com" }) });
  pino({}, handler).error("a");
  await handler.close();
  assert.equal(transport.box.length, 0);
  for (const [setting, options] of [
    ["perHour", { perHour: -1 }],
    ["perHour", { perHour: 0.5 }],
    ["level", { level: "loud" }],
    ["level", { level: 0 }],
    ["mailer", { mailer: {} }],
    ["rate", { rate: 1 }],
  ] as const)
    assert.throws(() => new ErrorMailHandler(options as ErrorMailOptions), { name: "SettingsError", setting });
});

test("a text that a stranger chose does not take long to search for secrets", async () => {
  const { log, handler, box } = inMemory({ perHour: 100 });
  const started = performance.now();
  for (const each of ["a.", "-", "key", "a://", "password", "x=", "Basic ", '"', "a:"])
    log.error({ text: each.repeat(300_000 / each.length) }, each.repeat(300_000 / each.length));
  await handler.close();
  assert.equal(box.length, 9);
  assert.ok(performance.now() - started < 3000, `${performance.now() - started} ms`);
});
