import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decode,
  encode,
  OPTIONS,
  requestOf,
  testTranscripts,
  type Transcript,
} from "../../../../../test/peer/transcript.ts";
import type { Reply } from "../../delivery.ts";
import { ClientConnection } from "./connection.ts";
import type { Output } from "./output.ts";

const TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "falls back to HELO",
    text: `
S: 220 server.example
C: EHLO client.example
S: 502 what?
C: HELO client.example
S: 250 hello
= ready`,
  },
  {
    name: "does not greet a server that is not ready",
    text: `
S: 554 go away
= failed unexpected-reply`,
  },
  {
    name: "sends neither credentials nor mail where STARTTLS is required and not offered",
    options: { tls: "starttls", mechanisms: ["PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH PLAIN
C: QUIT
= failed starttls-missing`,
  },
  {
    name: "sends nothing where STARTTLS is required and refused",
    options: { tls: "starttls" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 STARTTLS
C: STARTTLS
S: 454 not now
C: QUIT
= failed starttls-refused`,
  },
  {
    name: "forgets after STARTTLS what was offered in clear",
    options: { tls: "starttls", mechanisms: ["PLAIN"] },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250-STARTTLS
S: 250-PIPELINING
S: 250 AUTH PLAIN
C: STARTTLS
S: 220 go on
= upgrade-tls
> tls
C: EHLO client.example
S: 250 server.example
C: QUIT
= failed auth-missing`,
  },
  // STARTTLS injection: a reply that an attacker put behind the 220 in clear must not be read inside TLS.
  {
    name: "refuses bytes behind the reply to STARTTLS",
    uncut: true,
    options: { tls: "starttls" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 STARTTLS
C: STARTTLS
S: 220 go on
S: 250-server.example
= upgrade-tls
= failed starttls-injection`,
  },
  {
    name: "authenticates with PLAIN at once",
    options: { mechanisms: ["PLAIN", "LOGIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH login plain
= need-sasl PLAIN
> sasl secret
C: AUTH PLAIN c2VjcmV0
S: 235 ok
= ready`,
  },
  {
    name: "authenticates with LOGIN, which waits for the challenge, and takes the next mechanism when one is refused",
    options: { mechanisms: ["PLAIN", "LOGIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH=PLAIN LOGIN
= need-sasl PLAIN
> sasl secret
C: AUTH PLAIN c2VjcmV0
S: 504 not this one
= need-sasl LOGIN
> sasl
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
= need-sasl LOGIN Username:
> sasl me
C: bWU=
S: 334 UGFzc3dvcmQ6
= need-sasl LOGIN Password:
> sasl secret
C: c2VjcmV0
S: 535 5.7.8 wrong
C: QUIT
= failed auth-refused`,
  },
  {
    name: "cancels an exchange that the server would go on with for ever",
    options: { mechanisms: ["PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH PLAIN
= need-sasl PLAIN
> sasl secret
C: AUTH PLAIN c2VjcmV0
S: 334 bW9yZQ==
= need-sasl PLAIN more
> sasl
C: *
S: 334
= failed protocol`,
  },
  {
    name: "takes 4yz to AUTH as trouble of the server's, not as wrong credentials",
    options: { mechanisms: ["PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH PLAIN
= need-sasl PLAIN
> sasl secret
C: AUTH PLAIN c2VjcmV0
S: 454 4.7.0 later
C: QUIT
= failed unexpected-reply`,
  },
  {
    name: "writes nothing behind a failure: no credentials to a server that is out of step",
    uncut: true,
    options: { mechanisms: ["PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH PLAIN
S: 250 unasked
= need-sasl PLAIN
= failed protocol
> sasl secret`,
  },
  {
    name: "takes the challenge as it is, though it holds what was presented",
    options: { mechanisms: ["LOGIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH LOGIN
= need-sasl LOGIN
> sasl
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
= need-sasl LOGIN Username:
> sasl Pas
C: UGFz
S: 334 UGFzc3dvcmQ6
= need-sasl LOGIN Password:
> sasl secret
C: c2VjcmV0
S: 235 ok
= ready`,
  },
  {
    name: "does not believe a server that has not proved that it knows the password",
    options: { mechanisms: ["SCRAM-SHA-256", "PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH SCRAM-SHA-256 PLAIN
= need-sasl SCRAM-SHA-256
> sasl-unproved first
C: AUTH SCRAM-SHA-256 Zmlyc3Q=
S: 235 welcome
C: QUIT
= failed server-unproved`,
  },
  {
    name: "takes no other mechanism once a challenge was answered",
    options: { mechanisms: ["SCRAM-SHA-256", "PLAIN"], clearAuth: true },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH SCRAM-SHA-256 PLAIN
= need-sasl SCRAM-SHA-256
> sasl-unproved first
C: AUTH SCRAM-SHA-256 Zmlyc3Q=
S: 334 bW9yZQ==
= need-sasl SCRAM-SHA-256 more
> sasl-unproved proof
C: cHJvb2Y=
S: 534 too weak
C: QUIT
= failed auth-refused`,
  },
  {
    name: "presents no credentials in clear to another host",
    options: { mechanisms: ["PLAIN"], clearAuth: false },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 AUTH PLAIN
C: QUIT
= failed auth-in-clear`,
  },
  {
    name: "writes nothing before the greeting, and takes no mail before it is ready",
    text: `> deliver a@x b@x
= misuse
> quit
= misuse
> content Hello
= misuse
> tls
= misuse
> sasl x
= misuse
> awaiting
= greeting
S: 220-server.example
S: 220 says more
C: EHLO client.example
> deliver a@x b@x
= misuse
> awaiting
= EHLO
S: 250 server.example
= ready`,
  },
  {
    name: "reads EHLO keywords in any case, and a last line that is empty",
    options: { tls: "starttls" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250-Pipelining
S: 250-starttls
S: 250
C: STARTTLS`,
  },
  {
    name: "opportunistic TLS is made where it is offered",
    options: { tls: "opportunistic" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 STARTTLS
C: STARTTLS
> deliver a@x b@x
= misuse
S: 220 go on
= upgrade-tls
> awaiting
= nothing
> tls
C: EHLO client.example
S: 250 server.example
= ready`,
  },
  {
    name: "opportunistic TLS goes on in clear where it is refused",
    options: { tls: "opportunistic" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 STARTTLS
C: STARTTLS
S: 454 not now
= ready`,
  },
  {
    name: "the HELO of a server that knows no EHLO offers nothing, so STARTTLS that is required is missing",
    options: { tls: "starttls" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 502 what?
C: HELO client.example
S: 250-hello
S: 250 STARTTLS
C: QUIT
= failed starttls-missing`,
  },
  {
    name: "sends nothing behind AUTH before its reply, and asks for TLS but once",
    options: { tls: "starttls", mechanisms: ["PLAIN"] },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250-AUTH PLAIN
S: 250 STARTTLS
C: STARTTLS
S: 220 go on
= upgrade-tls
> tls
C: EHLO client.example
S: 250-server.example
S: 250-STARTTLS
S: 250 AUTH PLAIN
= need-sasl PLAIN
> sasl secret
C: AUTH PLAIN c2VjcmV0
> deliver a@x b@x
= misuse
S: 235 ok
= ready`,
  },
  {
    name: "greets by LMTP with LHLO, and never with HELO",
    options: { protocol: "lmtp" },
    text: `
S: 220 server.example
C: LHLO client.example
S: 500 what?
= failed unexpected-reply`,
  },
  {
    name: "STARTTLS answered 421, and EOF behind EHLO, end the session",
    options: { tls: "opportunistic" },
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250 STARTTLS
C: STARTTLS
S: 421 no
= failed unexpected-reply
> eof
> tls`,
  },
];

testTranscripts(TRANSCRIPTS);

test("the observer sees each command and reply, and no secret in them", () => {
  const seen: string[] = [];
  const connection = new ClientConnection({
    ...OPTIONS,
    mechanisms: ["LOGIN", "PLAIN"],
    clearAuth: true,
    observer: {
      command: (verb, line) => seen.push(`C ${verb}: ${line}`),
      reply: (verb, { code, lines }) => seen.push(`S ${verb}: ${code} ${lines.join("|")}`),
    },
  });
  const say = (text: string): Output[] => connection.receive(encode(`${text}\r\n`));
  say("220 server");
  say("250-server\r\n250 AUTH LOGIN PLAIN");
  connection.sasl(undefined, false);
  say("504 not LOGIN");
  connection.sasl(encode("\0me\0secret"), true);
  say("334 ");
  connection.sasl(encode("secret"), true);
  say("535 you sent c2VjcmV0, after AG1lAHNlY3JldA==");
  assert.deepEqual(seen, [
    "S greeting: 220 server",
    "C EHLO: EHLO client.example",
    "S EHLO: 250 server|AUTH LOGIN PLAIN",
    "C AUTH: AUTH LOGIN",
    "S AUTH: 504 not LOGIN",
    "C AUTH: AUTH PLAIN ***",
    "S AUTH: 334 ",
    "C AUTH: ***",
    "S AUTH: 535 you sent ***, after ***",
    "C QUIT: QUIT",
  ]);
});

/** A session with PLAIN on which the server has said `reply` to the credentials, and what the observer saw. */
function authenticated(password: string, reply: string) {
  const seen: Reply[] = [];
  const connection = new ClientConnection({
    ...OPTIONS,
    mechanisms: ["PLAIN"],
    clearAuth: true,
    observer: { command: () => undefined, reply: (_verb, said) => seen.push(said) },
  });
  const say = (text: string): Output[] => connection.receive(encode(`${text}\r\n`));
  say("220 server");
  say("250-server\r\n250 AUTH PLAIN");
  connection.sasl(encode(`\0kim\0${password}`), true);
  return { connection, seen, say, outputs: say(reply) };
}

test("a secret of any length is masked in the reply to AUTH, and from four characters on in later replies", () => {
  const rows: readonly (readonly [password: string, said: string, toAuth: string, later: string])[] = [
    ["hunter2", "ok user=kim pass=hunter2", "ok user=kim pass=***", "ok user=kim pass=***"],
    ["비밀번호", "ok 비밀번호", "ok ***", "ok ***"],
    // Cut short, and without the padding of its base64.
    ["correct horse", "ok correct ho, AGtpbQBjb3JyZWN0IGhvcnNl", "ok ***, ***", "ok ***, ***"],
    ["hunter234", "ok AGtpbQBodW5 hunter2", "ok *** hunter2", "ok *** hunter2"],
    ["a.b", "ok a.b", "ok ***", "ok a.b"],
    ["k", "queued at kim", "queued at ***im", "queued at kim"],
    // What it was made into is masked first, else what is left of it would give the rest away.
    ["GtpbQ", "ok AGtpbQBHdHBiUQ== GtpbQ", "ok *** ***", "ok *** ***"],
    ["del\u007fete", "ok del\u007fete", "ok ***", "ok ***"],
  ];
  for (const [password, said, ...expected] of rows) {
    const { connection, seen, say } = authenticated(password, `235 ${said}`);
    connection.noop();
    say(`250 ${said}`);
    assert.deepEqual(
      seen.slice(-2).map(({ lines }) => lines[0]),
      expected,
      password,
    );
  }
});

test("a later reply that repeats what was presented stands masked in the outcome, and one that does not is no copy", () => {
  const { connection, seen, say } = authenticated("hunter2", "235 ok");
  connection.deliver(requestOf("a@x", ["b@x"]));
  const [done] = say("550 5.7.1 no a@x for AGtpbQBodW50ZXIy, that is hunter2");
  assert.ok(done?.type === "done");
  assert.deepEqual(done.outcome.reply, {
    code: 550,
    enhanced: "5.7.1",
    lines: ["5.7.1 no a@x for ***, that is ***"],
  });
  connection.noop();
  say("250 ok");
  connection.noop();
  say("250 ok");
  assert.equal(seen.at(-1), seen.at(-2));
});

test("what is no reply is quoted without what was presented", () => {
  for (const text of ["AUTH PLAIN AGtpbQBodW50ZXIy?", `pass=hunter2${" ".repeat(90)}`, `${" ".repeat(76)}hunter2`]) {
    const failed = authenticated("hunter2", text).outputs.at(-1);
    assert.ok(failed?.type === "failed" && failed.error.code === "protocol");
    assert.doesNotMatch(failed.error.message, /AGtp|hunt/);
  }
});

test("an error holds nothing of what was presented, though the server repeats it", () => {
  const connection = new ClientConnection({ ...OPTIONS, mechanisms: ["PLAIN"], clearAuth: true });
  connection.receive(encode("220 s\r\n"));
  connection.receive(encode("250-s\r\n250 AUTH PLAIN\r\n"));
  assert.equal(decode(new Uint8Array(written(connection.sasl(encode("secret"), true)))), "AUTH PLAIN c2VjcmV0\r\n");
  const last = connection.receive(encode("535 c2VjcmV0 is wrong\r\n")).at(-1);
  assert.ok(last?.type === "failed");
  assert.doesNotMatch(JSON.stringify([last.error.message, last.error.reply]), /c2VjcmV0/);
});

const written = (outputs: readonly Output[]): number[] =>
  outputs.flatMap((output) => (output.type === "write" ? [...output.octets] : []));
