import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { localhostCertificate } from "./peer/certificate.ts";
import { type Ended, environment as clean, posthaste, startService, temporaryFolder } from "./peer/posthaste.ts";
import { startSmtpPeer } from "./peer/smtp-peer.ts";

test("--help says what each command does, with examples, and exits with 0", async () => {
  for (const command of [[], ["serve"], ["inbox"], ["send"], ["send-mass"], ["check"], ["sendtestemail"]]) {
    const { code, stdout } = await posthaste([...command, "--help"], ".");
    assert.equal(code, 0);
    assert.match(stdout, /Usage: posthaste/);
    if (command.length > 0) assert.match(stdout, /Examples:\n {2}\$ /);
  }
});

const MAIL = ["send", "--to", "kim@example.com", "--subject", "x", "--text", "x"];

const BAD: readonly [name: string, parameters: string[], environment: NodeJS.ProcessEnv, says: RegExp][] = [
  ["an unknown command", ["sent"], {}, /unknown command/],
  ["an unknown flag", ["serve", "--prot", "1"], {}, /unknown option/],
  ["a port that is none", ["serve", "--port", "http"], {}, /--port.*0 to 65535/],
  ["a port in the environment that is none", ["serve"], { PORT: "99999" }, /PORT.*0 to 65535/],
  ["a bad mail setting", ["serve"], { EMAIL_PORT: "smtp" }, /EMAIL_PORT/],
  [
    "two mail settings that contradict each other",
    ["serve"],
    { EMAIL_USE_TLS: "1", EMAIL_USE_SSL: "1" },
    /EMAIL_USE_TLS and EMAIL_USE_SSL/,
  ],
  [
    "a database that is not SQLite",
    ["serve", "--port", "0"],
    { DATABASE_URL: "mysql://x" },
    /DATABASE_URL.*sqlite:PATH/,
  ],
  [
    "a public URL that is none",
    ["serve", "--port", "0", "--inbox-smtp-port", "0"],
    { PUBLIC_URL: "example" },
    /PUBLIC_URL/,
  ],
  [
    "a host that is not this machine's",
    ["serve", "--port", "0", "--host", "192.0.2.1"],
    { EMAIL_HOST: "127.0.0.1", PUBLIC_URL: "https://example.com", POSTHASTE_KEYS: `k:${"A".repeat(44)}` },
    /HOST.*192\.0\.2\.1/,
  ],
  [
    "a key ring that is none",
    ["serve", "--port", "0", "--inbox-smtp-port", "0"],
    { POSTHASTE_KEYS: "hunter2" },
    /POSTHASTE_KEYS/,
  ],
  ["no address to send to", ["sendtestemail"], {}, /--managers or --admins/],
  ["no admins to send to", ["sendtestemail", "--admins"], {}, /ADMINS: not set/],
  ["a bad setting to check", ["check"], { EMAIL_PORT: "smtp" }, /EMAIL_PORT/],
  ["a mailer to check that there is none of", ["check", "--using", "news"], {}, /MAILERS\["news"\]/],
  ["a host to check that is none", ["check"], { EMAIL_HOST: "a b" }, /EMAIL_HOST/],
  ["a certificate to check that is not there", ["check"], { EMAIL_SSL_CERTFILE: "none.pem" }, /EMAIL_SSL_CERTFILE/],
  ["a backend to check that is not installed", ["check"], { EMAIL_BACKEND: "@example/none" }, /EMAIL_BACKEND/],
  ["a server to try that there is none of", ["check", "--connect"], { EMAIL_BACKEND: "console" }, /--connect.*console/],
  ["a mail without a subject", ["send", "--to", "kim@example.com", "--text", "x"], {}, /--subject/],
  ["a mail without a body", ["send", "--to", "kim@example.com", "--subject", "x"], {}, /--text: not given/],
  ["a mail without a recipient", ["send", "--subject", "x", "--text", "x"], {}, /--to: not given/],
  ["a text given twice", [...MAIL, "--text-file", "-"], {}, /--text: given twice/],
  ["an attachment that is not there", [...MAIL, "--attach", "none.pdf"], {}, /--attach: none\.pdf: .*ENOENT/],
  ["a header field without a colon", [...MAIL, "--header", "X-A"], {}, /--header/],
  ["a header field that is the message's own", [...MAIL, "--header", "Bcc: lee@example.com"], {}, /headers\["Bcc"\]/],
  ["a header field with a line break", [...MAIL, "--header", "X-A: a\nBcc: x@example.com"], {}, /headers\["X-A"\]/],
  ["a subject with a line break", [...MAIL, "--subject", "a\nBcc: x@example.com"], {}, /subject/],
  ["a mailer that there is none of", [...MAIL, "--using", "news"], {}, /MAILERS\["news"\]/],
  ["an address with a line break", [...MAIL, "--cc", "lee@example.com\nBcc: x@example.com"], {}, /cc\[0\]/],
  ["a mass mailing without a file", ["send-mass", "--to", "x", "--subject", "x"], {}, /missing required argument/],
  ["a file of another kind", ["send-mass", "people.xlsx", "--subject", "x"], {}, /people\.xlsx.*\.csv/],
  ["a file that is not there", ["send-mass", "people.csv", "--subject", "x"], {}, /people\.csv.*ENOENT/],
  ["a bad author", ["sendtestemail", "kim@example.com"], { DEFAULT_FROM_EMAIL: "nobody" }, /DEFAULT_FROM_EMAIL/],
  ["a bad author of the service", ["serve"], { DEFAULT_FROM_EMAIL: "no address" }, /DEFAULT_FROM_EMAIL/],
  // The development inbox shows every link, so it is for this machine alone.
  ["the inbox on every interface", ["serve", "--port", "0", "--host", "0.0.0.0"], {}, /HOST.*loopback.*EMAIL_HOST/],
  ["the inbox alone on every interface", ["inbox", "--port", "0", "--host", "0.0.0.0"], {}, /HOST.*loopback/],
  [
    "an open host without a public URL",
    ["serve", "--port", "0", "--host", "0.0.0.0"],
    { EMAIL_HOST: "127.0.0.1" },
    /PUBLIC_URL/,
  ],
  ["a public URL with a path", ["serve", "--public-url", "http://localhost:8000/app"], {}, /PUBLIC_URL.*path/],
  ["a number of proxies that is none", ["serve", "--trusted-proxies", "-1"], {}, /0 to 99/],
  ["an address that is none", ["sendtestemail", "kim"], {}, /to\[0\]/],
  // Production starts with what it needs, or not at all.
  [
    "production without a mail server",
    ["serve"],
    { NODE_ENV: "production", POSTHASTE_KEYS: `k:${"A".repeat(44)}`, PUBLIC_URL: "https://example.com" },
    /EMAIL_HOST/,
  ],
  [
    "production without keys",
    ["serve"],
    { NODE_ENV: "production", EMAIL_HOST: "127.0.0.1", PUBLIC_URL: "https://example.com" },
    /POSTHASTE_KEYS/,
  ],
  [
    "production without a public URL",
    ["serve"],
    { NODE_ENV: "production", EMAIL_HOST: "127.0.0.1", POSTHASTE_KEYS: `k:${"A".repeat(44)}` },
    /PUBLIC_URL/,
  ],
  [
    "production with a backend that sends nothing",
    ["serve"],
    {
      NODE_ENV: "production",
      EMAIL_BACKEND: "console",
      POSTHASTE_KEYS: `k:${"A".repeat(44)}`,
      PUBLIC_URL: "https://example.com",
    },
    /EMAIL_BACKEND/,
  ],
  ["a public URL without a mail server", ["serve", "--public-url", "https://example.com"], {}, /EMAIL_HOST/],
  [
    "a public URL without keys",
    ["serve", "--public-url", "https://example.com"],
    { EMAIL_HOST: "127.0.0.1" },
    /POSTHASTE_KEYS/,
  ],
  [
    "a public URL in clear",
    ["serve", "--port", "0", "--public-url", "http://example.com"],
    { EMAIL_HOST: "127.0.0.1", POSTHASTE_KEYS: `k:${"A".repeat(44)}` },
    /PUBLIC_URL.*https/,
  ],
];

describe("what is wrong with a command or setting is a clear error, and nothing starts", { concurrency: 3 }, () => {
  for (const [name, parameters, environment, says] of BAD) {
    test(name, async () => {
      await using folder = await temporaryFolder();
      const { code, stdout, stderr } = await posthaste(parameters, folder.path, environment);
      assert.equal(code, 2);
      assert.match(stderr, says);
      assert.deepEqual(await readdir(folder.path), [], "nothing was written");
      assert.doesNotMatch(stderr, /\n {4}at |hunter2/, "no stack, no secret");
      assert.doesNotMatch(stdout, /listens/);
    });
  }
});

test("a taken port is a clear error that names the flag", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const taken = String((server.address() as AddressInfo).port);
  await using folder = await temporaryFolder();
  const http = await posthaste(["serve", "--port", taken], folder.path);
  assert.deepEqual([http.code, /PORT.*taken.*--port/.test(http.stderr)], [2, true], http.stderr);
  const smtp = await posthaste(["serve", "--port", "0", "--inbox-smtp-port", taken], folder.path);
  assert.deepEqual([smtp.code, smtp.stderr.includes("INBOX_SMTP_PORT")], [2, true], smtp.stderr);
  server.close();
});

test("a folder that cannot be written to is a clear error that names the setting", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "file"), "");
  const { code, stderr } = await posthaste(
    ["serve", "--port", "0", "--inbox-smtp-port", "0", "--database", "sqlite:file/posthaste.db"],
    folder.path,
  );
  assert.equal(code, 2);
  assert.match(stderr, /DATABASE_URL/);
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test("a key file that cannot be used is a clear error that names it", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, ".posthaste/keys"), { recursive: true });
  const { code, stderr } = await posthaste(["serve", "--port", "0", "--inbox-smtp-port", "0"], folder.path);
  assert.deepEqual([code, /POSTHASTE_KEYS.*\.posthaste\/keys/.test(stderr)], [2, true], stderr);
  assert.doesNotMatch(stderr, /\n {4}at /);
});

test("an empty variable is as none: it listens on this machine alone", async () => {
  await using folder = await temporaryFolder();
  const empty = {
    HOST: "",
    PORT: "",
    DATABASE_URL: "",
    PUBLIC_URL: "",
    INBOX_SMTP_PORT: "",
    POSTHASTE_KEYS: "",
    EMAIL_HOST: "",
  };
  await using service = await startService(folder.path, empty);
  assert.match(service.origin, /^http:\/\/127\.0\.0\.1:/);
  assert.equal((await fetch(service.origin)).status, 200);
});

test("the limits count clients, not the proxy in front", async () => {
  await using folder = await temporaryFolder();
  await using service = await startService(folder.path, { TRUSTED_PROXIES: "1" });
  for (let client = 1; client <= 22; client++) {
    const response = await fetch(`${service.origin}/users/signup`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": `198.51.100.${client}` },
      body: JSON.stringify({ email: `kim${client}@example.com`, password: "correct horse battery" }),
    });
    assert.equal(response.status, 201);
  }
});

test("--version says which it is", async () => {
  const { code, stdout } = await posthaste(["--version"], ".");
  assert.deepEqual([code, /^\d+\.\d+\.\d+\n$/.test(stdout)], [0, true]);
});

test("serve says what it listens on and what to open; its keys are readable by the owner alone; SIGTERM ends it with 0", async () => {
  await using folder = await temporaryFolder();
  await using service = await startService(folder.path);
  assert.match(service.printed.stdout, /listens on http:\/\/127\.0\.0\.1:\d+/);
  assert.match(service.printed.stdout, /\/users\/signup\n.*\/inbox/);
  assert.equal((await stat(join(folder.path, ".posthaste/keys"))).mode & 0o777, 0o600);
  assert.equal((await stat(join(folder.path, ".posthaste"))).mode & 0o777, 0o700);
  assert.equal(await service.stop("SIGTERM"), 0);
});

test("sendtestemail says each recipient's verdict, and exits with 0 only when all were accepted", async () => {
  await using peer = await startSmtpPeer();
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const good = await posthaste(["sendtestemail", "kim@example.com"], ".", environment);
  assert.deepEqual([good.code, good.stdout.trim().split(/ +/).slice(0, 2)], [0, ["accepted", "kim@example.com"]]);
  const partial = await posthaste(
    ["sendtestemail", "--json", "kim@example.com", "refused@example.com"],
    ".",
    environment,
  );
  assert.equal(partial.code, 3);
  const receipt = JSON.parse(partial.stdout) as { status: string; recipients: { status: string }[] };
  assert.deepEqual(
    [receipt.status, receipt.recipients.map(({ status }) => status)],
    ["partial", ["accepted", "refused"]],
  );
  assert.match(peer.messages[0]?.content ?? "", /If you're reading this, it was successful\./);
});

test("credentials that are refused are trouble, and no verdict on the recipients", async () => {
  await using peer = await startSmtpPeer();
  const server = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const environment = { ...server, EMAIL_HOST_USER: "kim", EMAIL_HOST_PASSWORD: "hunter2" };
  for (const parameters of [["sendtestemail", "kim@example.com"], MAIL]) {
    const { code, stdout, stderr } = await posthaste(parameters, ".", environment);
    assert.deepEqual([code, stdout], [4, ""]);
    assert.match(stderr, /^posthaste: .*credentials/);
    assert.doesNotMatch(stderr, /hunter2/);
  }
  assert.equal(peer.credentials.length, 2);
});

test("sendtestemail goes to the addresses, the managers and the admins, as Django's does", async () => {
  await using peer = await startSmtpPeer();
  const environment = {
    EMAIL_HOST: "127.0.0.1",
    EMAIL_PORT: String(peer.port),
    ADMINS: "Ops <ops@example.com>",
    MANAGERS: "boss@example.com",
    SERVER_EMAIL: "server@example.com",
  };
  const sent = await posthaste(["sendtestemail", "kim@example.com", "--admins", "--managers"], ".", environment);
  assert.equal(sent.code, 0, sent.stderr);
  assert.deepEqual(
    peer.messages.map(({ forwardPaths, reversePath }) => [reversePath, forwardPaths]),
    [
      ["webmaster@localhost", ["kim@example.com"]],
      ["server@example.com", ["boss@example.com"]],
      ["server@example.com", ["ops@example.com"]],
    ],
  );
  assert.match(peer.messages[2]?.content ?? "", /^Subject: \[Django\] Test email from /m);
  const news = { BACKEND: "smtp", OPTIONS: { host: "127.0.0.1", port: peer.port } };
  const mailers = { MAILERS: JSON.stringify({ default: { BACKEND: "console" }, news }) };
  const using = await posthaste(["sendtestemail", "lee@example.com", "--using", "news"], ".", mailers);
  assert.equal(using.code, 0, using.stderr);
  assert.deepEqual(peer.messages[3]?.forwardPaths, ["lee@example.com"]);
});

test("send takes a mail from flags and files, and its exit code says what became of it", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "letter.html"), "<p>안녕하세요</p>");
  await writeFile(join(folder.path, "data.bin"), Buffer.from([0, 1, 2, 255]));
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const send = (to: string[], ...more: string[]): ReturnType<typeof posthaste> =>
    posthaste(
      ["send", ...to.flatMap((each) => ["--to", each]), "--subject", "보고서", ...more],
      folder.path,
      environment,
    );
  const whole = ["--from", "김 <kim@example.com>", "--bcc", "b@example.com", "--reply-to", "r@example.com"];
  const parts = ["--text", "hello", "--html-file", "letter.html", "--attach", "data.bin", "--header", "X-A: 1"];
  const accepted = await send(["lee@example.com"], ...whole, ...parts);
  assert.equal(accepted.code, 0, accepted.stderr);
  assert.match(accepted.stdout, /^accepted {2}lee@example\.com .*\naccepted {2}b@example\.com/);
  const [message] = peer.messages;
  assert.deepEqual(message?.forwardPaths, ["lee@example.com", "b@example.com"]);
  for (const part of [/^X-A: 1\r$/m, /^Reply-To: r@example\.com\r$/m, /filename=data\.bin/, /\r\nAAEC\/w==\r\n/]) {
    assert.match(message?.content ?? "", part);
  }
  const codes = await Promise.all([
    send(["lee@example.com", "refused@example.com"], "--text", "x"),
    send(["refused@example.com"], "--text", "x"),
    send(["deferred@example.com"], "--text", "x"),
  ]);
  assert.deepEqual(
    codes.map(({ code }) => code),
    [3, 1, 4],
  );
});

/** Runs the command with an end of standard input, and where nobody reads what it prints if so wanted. */
async function piped(
  parameters: readonly string[],
  cwd: string,
  extra: NodeJS.ProcessEnv,
  input?: Buffer,
): Promise<Ended> {
  const command = join(import.meta.dirname, "../packages/cli/src/posthaste.ts");
  const child = spawn(process.execPath, ["--conditions=posthaste-source", command, ...parameters], {
    cwd,
    env: clean(extra),
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  // What it does not read to the end breaks the pipe.
  child.stdin.on("error", () => undefined).end(input);
  if (input === undefined) {
    child.stdout.destroy();
    child.stderr.destroy();
    return { code: (await ended)[0], stdout: "", stderr: "" };
  }
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: (await ended)[0], stdout, stderr };
}

test("where nobody reads what is printed, a command ends as it would have", async () => {
  await using peer = await startSmtpPeer();
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "people.csv"), "email\nkim@example.com\nno address\nlee@example.com\n");
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const mass = ["send-mass", "people.csv", "--to", "{{ email }}", "--subject", "x", "--text-file", "people.csv"];
  const rows: readonly [parameters: string[], code: number][] = [
    [["--help"], 0],
    [["send", "--nope"], 2],
    [["check", "--json"], 0],
    [MAIL, 0],
    [[...MAIL, "--to", "refused@example.com"], 3],
    [mass, 3],
  ];
  for (const [parameters, code] of rows)
    assert.equal((await piped(parameters, folder.path, environment)).code, code, parameters.join(" "));
  assert.equal(peer.messages.length, 4);
});

test("standard input is read as a file is: in UTF-8, and up to ten million octets", async () => {
  await using peer = await startSmtpPeer();
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const send = (input: Buffer): Promise<Ended> =>
    piped(["send", "--to", "kim@example.com", "--subject", "x", "--text-file", "-"], ".", environment, input);
  const good = await send(Buffer.from("\ufeffplain"));
  assert.equal(good.code, 0, good.stderr);
  assert.match(peer.messages[0]?.content ?? "", /\r\n\r\nplain/);
  const latin1 = await send(Buffer.from([0x63, 0x61, 0x66, 0xe9]));
  assert.deepEqual([latin1.code, latin1.stderr], [2, "posthaste: --text-file: standard input is not UTF-8\n"]);
  const endless = await send(Buffer.alloc(20_000_000, "x"));
  assert.equal(endless.code, 2);
  assert.match(endless.stderr, /^posthaste: --text-file: standard input is longer than 10000000 octets; attach it/);
  assert.equal(peer.messages.length, 1);
});

test("check prints what the settings were understood as, without secrets, and tries the server", async () => {
  const keys = await localhostCertificate();
  await using peer = await startSmtpPeer({ ...keys, disabledCommands: [] });
  const environment = {
    EMAIL_URL: `smtp://kim:secret@localhost:${peer.port}`,
    EMAIL_USE_TLS: "true",
    DEFAULT_FROM_EMAIL: "kim@example.com",
    NODE_EXTRA_CA_CERTS: "ca.pem",
  };
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "ca.pem"), keys.cert);
  const good = await posthaste(["check", "--connect"], folder.path, environment);
  assert.equal(good.code, 0, good.stderr + good.stdout);
  assert.match(good.stdout, /user +kim\n +password +\*\*\*\n/);
  assert.match(
    good.stdout,
    /tls +TLSv1\.[23], and the certificate holds: for .*localhost.*, until \d{4}-\d\d-\d\d, \d+ days left\n +login +\w+\n/,
  );
  assert.match(good.stdout, /round trip +\d+\.\d ms\n +takes mail\n/);
  assert.doesNotMatch(good.stdout + good.stderr, /secret/);
  assert.deepEqual([peer.messages.length, peer.credentials], [0, ["kim:secret"]]);
  const bad = await posthaste(["check", "--connect", "--json"], folder.path, {
    ...environment,
    NODE_EXTRA_CA_CERTS: "",
  });
  assert.equal(bad.code, 1);
  const { server } = JSON.parse(bad.stdout) as { server: { tls?: object; error: string } };
  assert.equal(server.tls, undefined);
  assert.match(server.error, /certificate/i);
});

test("check exits with 1 where production would send nothing", async () => {
  const { code, stdout } = await posthaste(["check", "--deploy"], ".", { EMAIL_BACKEND: "console" });
  assert.equal(code, 1);
  assert.match(stdout, /^error mail\.E001: /m);
});

test("the inbox alone takes mail and shows it", async () => {
  await using inbox = await startService(".", {}, "inbox");
  const sent = await posthaste(["sendtestemail", "kim@example.com"], ".", {
    EMAIL_HOST: "127.0.0.1",
    EMAIL_PORT: String(inbox.smtpPort),
  });
  assert.equal(sent.code, 0, sent.stderr);
  const { messages } = (await (await fetch(`${inbox.origin}/api/messages`)).json()) as {
    messages: { subject: string }[];
  };
  assert.match(messages[0]?.subject ?? "", /^Test email from /);
  assert.equal(await inbox.stop("SIGINT"), 0);
});
