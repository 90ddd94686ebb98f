import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SmtpError } from "../../errors.ts";
import { isAscii } from "../../text.ts";
import { LocalProtocolError } from "./command.ts";
import { ClientConnection } from "./connection.ts";
import type { Output } from "./output.ts";
import type { ConnectionOptions } from "./session-initiation.ts";
import type { TransactionRequest } from "./transaction.ts";

/**
 * Transcripts of both sides of the wire. `S:` the server says; `>` the driver calls; `C:` the client must write then,
 * `=` the machine must put out then. What is not there must not happen.
 */
const HELLO = `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250-PIPELINING
S: 250 SIZE 1000
= ready`;

const LOCKSTEP = `
S: 220 server.example
C: EHLO client.example
S: 250 server.example
= ready`;

const TRANSCRIPTS: readonly { name: string; options?: Partial<ConnectionOptions>; text: string }[] = [
  {
    name: "groups MAIL, RCPT and DATA into one write where PIPELINING is offered",
    text: `${HELLO}
> deliver a@x.example b@x.example c@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: RCPT TO:<c@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 2.0.0 queued
= done b@x.example:accepted c@x.example:accepted
> quit
C: QUIT
= closed`,
  },
  {
    name: "sends one command at a time where PIPELINING is not offered",
    text: `${LOCKSTEP}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example>
S: 250 ok
C: RCPT TO:<b@x.example>
S: 250 ok
C: DATA
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x.example:accepted`,
  },
  {
    name: "tells each recipient's verdict",
    text: `${HELLO}
> deliver a@x.example b@x.example c@x.example d@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: RCPT TO:<c@x.example>
C: RCPT TO:<d@x.example>
C: DATA
S: 250 ok
S: 550 5.1.1 no such mailbox
S: 250 ok
S: 451 4.3.0 later
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x.example:refused c@x.example:accepted d@x.example:deferred`,
  },
  {
    name: "puts RSET before the next MAIL after a transaction that was not completed, so that the sender cannot be wrong",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 550 no
S: 554 no valid recipients
= done b@x.example:refused
> deliver e@x.example f@x.example
C: RSET
C: MAIL FROM:<e@x.example> SIZE=7
C: RCPT TO:<f@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content`,
  },
  {
    name: "ends with RSET in lockstep too, and withdraws RCPT and DATA after a refused MAIL",
    text: `${LOCKSTEP}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example>
S: 451 not now
= done b@x.example:deferred
> deliver e@x.example f@x.example
C: RSET
S: 250 ok
C: MAIL FROM:<e@x.example>
S: 250 ok
C: RCPT TO:<f@x.example>
S: 550 no
= done f@x.example:refused`,
  },
  {
    name: "takes the refusal of MAIL for all recipients, not the 503 that follows from it",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 451 4.7.1 greylisted
S: 503 need MAIL
S: 503 need RCPT
= done b@x.example:deferred`,
  },
  {
    name: "sends a lone dot when DATA gets 354 although every recipient was refused, and ignores its reply",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 550 no
S: 354 go on
C: .
S: 250 queued
= done b@x.example:refused
> deliver a@x.example c@x.example
C: RSET
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<c@x.example>
C: DATA`,
  },
  {
    name: "closes when MAIL was refused, a recipient accepted and DATA answered 354: a dot would deliver an empty message",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 550 bad sender
S: 250 ok
S: 354 go on
= done b@x.example:refused
= failed protocol`,
  },
  {
    name: "keeps the verdict of the end of data when the server closes right behind it",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x.example:accepted
> eof
= failed connection-lost`,
  },
  {
    name: "is in doubt when the connection dies behind the end of data",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
> eof
= done b@x.example:unknown
= failed connection-lost`,
  },
  {
    name: "is not in doubt when the connection dies before the end of data",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> eof
= done b@x.example:deferred
= failed connection-lost`,
  },
  {
    name: "reports the refusal that came before the connection died",
    text: `${HELLO}
> deliver a@x.example b@x.example c@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: RCPT TO:<c@x.example>
C: DATA
S: 250 ok
S: 550 no
> eof
= done b@x.example:refused c@x.example:deferred
= failed connection-lost`,
  },
  {
    name: "takes 421 inside a group as the end of the connection, and defers the rest",
    text: `${HELLO}
> deliver a@x.example b@x.example c@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: RCPT TO:<c@x.example>
C: DATA
S: 250 ok
S: 550 no
S: 421 closing
= done b@x.example:refused c@x.example:deferred
= failed unexpected-reply`,
  },
  {
    name: "takes 421 to the end of data as a verdict: not accepted",
    text: `${HELLO}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=7
C: RCPT TO:<b@x.example>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 421 not taken
= done b@x.example:deferred
= failed unexpected-reply`,
  },
  {
    name: "refuses what is larger than SIZE before a byte leaves",
    text: `${HELLO}
> deliver-octets 1001 a@x.example b@x.example
= done b@x.example:refused`,
  },
  {
    name: "refuses an address that needs SMTPUTF8 where it is not offered",
    text: `${HELLO}
> deliver a@x.example 사용자@x.example
= done 사용자@x.example:refused`,
  },
  {
    name: "takes what is exactly as large as SIZE",
    text: `${HELLO}
> deliver-octets 1000 a@x.example b@x.example
C: MAIL FROM:<a@x.example> SIZE=1000
C: RCPT TO:<b@x.example>
C: DATA`,
  },
  {
    name: "refuses 8-bit content where 8BITMIME is not offered",
    text: `${HELLO}
> deliver-8bit a@x.example b@x.example
= done b@x.example:refused`,
  },
  {
    name: "declares 8-bit content and addresses that are not ASCII",
    text: `
S: 220 server.example
C: EHLO client.example
S: 250-server.example
S: 250-8BITMIME
S: 250 SMTPUTF8
= ready
> deliver-8bit 보내는이@x.example b@x.example
C: MAIL FROM:<보내는이@x.example> BODY=8BITMIME SMTPUTF8`,
  },
  {
    name: "ends the session when RSET is refused: the next message could go out under the previous sender",
    text: `${LOCKSTEP}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example>
S: 550 no
= done b@x.example:refused
> deliver e@x.example f@x.example
C: RSET
S: 502 no such command
= done f@x.example:deferred
= failed unexpected-reply`,
  },
  {
    name: "takes 3yz to MAIL or RCPT as a broken protocol",
    text: `${LOCKSTEP}
> deliver a@x.example b@x.example
C: MAIL FROM:<a@x.example>
S: 250 ok
C: RCPT TO:<b@x.example>
S: 354 what
= done b@x.example:deferred
= failed protocol`,
  },
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
    name: "takes a reply that nobody asked for as a broken protocol",
    text: `${HELLO}
S: 250 surprise
= failed protocol`,
  },
  {
    name: "takes the first octet that nobody asked for as a broken protocol, not only a whole line",
    text: `${HELLO}
> bytes 2
= failed protocol`,
  },
  {
    name: "takes an unasked 421 alike, since its first octet is unasked already",
    text: `${HELLO}
S: 421 idle too long
= failed protocol`,
  },
];

const OPTIONS: ConnectionOptions = {
  clientName: "client.example",
  protocol: "smtp",
  schedule: "across",
  tls: "none",
  mechanisms: [],
  clearAuth: false,
};
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (octets: Uint8Array): string => new TextDecoder().decode(octets);

type Step = { readonly kind: "S" | ">"; readonly text: string; readonly expected: string[] };

/** Server lines that follow each other arrive together. */
function steps(transcript: string): Step[] {
  const found: { kind: "S" | ">"; text: string; expected: string[] }[] = [];
  let serverSpoke = false;
  for (const line of transcript.trim().split("\n")) {
    const last = found.at(-1);
    if (line.startsWith("S: ") && serverSpoke && last !== undefined) last.text += `${line.slice(3)}\r\n`;
    else if (line.startsWith("S: ")) found.push({ kind: "S", text: `${line.slice(3)}\r\n`, expected: [] });
    else if (line.startsWith("> ")) found.push({ kind: ">", text: line.slice(2), expected: [] });
    else last?.expected.push(line);
    serverSpoke = line.startsWith("S: ");
  }
  return found;
}

function requestOf(reversePath: string, forwardPaths: string[]): TransactionRequest {
  const smtpUtf8 = ![reversePath, ...forwardPaths].every(isAscii);
  return { envelope: { reversePath, forwardPaths }, size: 7, eightBit: false, smtpUtf8 };
}

function call(connection: ClientConnection, text: string): Output[] {
  const [verb = "", ...words] = text.split(" ");
  const [size, ...sized] = words;
  const [reversePath = "", ...forwardPaths] = verb === "deliver-octets" ? sized : words;
  switch (verb) {
    case "deliver":
      return connection.deliver(requestOf(reversePath, forwardPaths));
    case "deliver-octets":
      return connection.deliver({ ...requestOf(reversePath, forwardPaths), size: Number(size) });
    case "deliver-8bit":
      return connection.deliver({ ...requestOf(reversePath, forwardPaths), eightBit: true });
    case "content":
      return [...connection.content(encode(words.join(" "))), ...connection.endOfContent()];
    case "sasl":
      return connection.sasl(words.length === 0 ? undefined : encode(words.join(" ")), true);
    case "sasl-unproved":
      return connection.sasl(encode(words.join(" ")), false);
    case "tls":
      return connection.tlsEstablished();
    case "bytes":
      return connection.receive(encode(words.join(" ")));
    case "eof":
      return connection.receiveEof();
    default:
      return connection.quit();
  }
}

/** The outputs as transcript lines; what is written counts as one stream. */
function lines(outputs: readonly Output[]): string[] {
  const found: string[] = [];
  let written = "";
  for (const output of outputs) {
    if (output.type === "write") written += decode(output.octets);
    else {
      found.push(...writtenLines(written), describe(output));
      written = "";
    }
  }
  return [...found, ...writtenLines(written)];
}

function writtenLines(written: string): string[] {
  if (written === "") return [];
  assert.ok(written.endsWith("\r\n"), "what is written ends with CRLF");
  return written
    .slice(0, -2)
    .split("\r\n")
    .map((line) => `C: ${line}`);
}

function describe(output: Exclude<Output, { type: "write" }>): string {
  if (output.type === "done")
    return ["= done", ...output.outcome.recipients.map(({ address, status }) => `${address}:${status}`)].join(" ");
  if (output.type === "failed") return `= failed ${output.error.code}`;
  if (output.type === "need-sasl")
    return ["= need-sasl", output.mechanism, ...(output.challenge ? [decode(output.challenge)] : [])].join(" ");
  return `= ${output.type}`;
}

function play(
  text: string,
  options: Partial<ConnectionOptions> | undefined,
  cut: (octets: Uint8Array) => Uint8Array[],
): void {
  const connection = new ClientConnection({ ...OPTIONS, ...options });
  for (const step of steps(text)) {
    const outputs =
      step.kind === ">"
        ? call(connection, step.text)
        : cut(encode(step.text)).flatMap((part) => connection.receive(part));
    assert.deepEqual(lines(outputs), step.expected, `after ${step.kind} ${step.text}`);
  }
}

for (const { name, options, text } of TRANSCRIPTS) {
  test(name, () => play(text, options, (octets) => [octets]));
}

test("every transcript ends alike when the server's octets come one by one, or cut in two anywhere", () => {
  for (const { text, options, name } of TRANSCRIPTS) {
    // Cut in front of the injected octets, they come before TLS asks for them or belong to TLS: another story.
    if (/^(?:refuses bytes behind|writes nothing behind)/.test(name)) continue;
    play(text, options, (octets) => Array.from(octets, (octet) => Uint8Array.of(octet)));
    for (let at = 1; at < 60; at++) play(text, options, (octets) => [octets.subarray(0, at), octets.subarray(at)]);
  }
});

test("one flight is one write", () => {
  const connection = new ClientConnection(OPTIONS);
  connection.receive(encode("220 s\r\n"));
  connection.receive(encode("250-s\r\n250 PIPELINING\r\n"));
  const outputs = connection.deliver(requestOf("a@x", ["b@x", "c@x"]));
  assert.deepEqual(
    outputs.map(({ type }) => type),
    ["write"],
  );
});

test("a command argument that is no addr-spec is the caller's fault, and nothing leaves", () => {
  for (const address of [
    "a@x\r\nRCPT TO:<evil@x>",
    "a@x\nb",
    "a\0@x",
    "a\u2028@x",
    "a\t@x",
    "a@x> SIZE=1",
    "a@x> <b@y",
    "<a@x",
    "a b@x",
    '"a@x',
  ]) {
    const connection = new ClientConnection(OPTIONS);
    connection.receive(encode("220 s\r\n"));
    connection.receive(encode("250-s\r\n250 SMTPUTF8\r\n"));
    assert.throws(() => connection.deliver(requestOf(address, ["b@x"])), LocalProtocolError);
    assert.throws(() => connection.deliver(requestOf("b@x", [address])), LocalProtocolError);
  }
  assert.throws(() => new ClientConnection({ ...OPTIONS, clientName: "me\r\nMAIL" }), LocalProtocolError);
});

/** A server that answers anything at all. */
const SOME_REPLIES = [
  "220 s\r\n",
  "250 ok\r\n",
  "250-s\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n",
  "354 go\r\n",
  "334 \r\n",
  "235 ok\r\n",
  "421 bye\r\n",
  "451 later\r\n",
  "550 no\r\n",
  "251 ok\r\n",
  "garbage\r\n",
  "25",
  "\r\n",
  "600 x\r\n",
];

test("whatever the server says, the machine fails only by outputs, and accepts only what the end of data was answered 2yz", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...SOME_REPLIES), { maxLength: 30 }),
      fc.constantFrom("none", "opportunistic", "starttls"),
      (replies, tls) => {
        const connection = new ClientConnection({ ...OPTIONS, tls, mechanisms: ["PLAIN"], clearAuth: true });
        let answered = "";
        let failed = false;
        const drive = (outputs: readonly Output[]): void => {
          for (const output of outputs) {
            if (failed) assert.notEqual(output.type, "write", "nothing is written behind a failure");
            failed ||= output.type === "failed";
            if (output.type === "upgrade-tls") drive(connection.tlsEstablished());
            else if (output.type === "need-sasl") drive(connection.sasl(encode("x"), true));
            else if (output.type === "ready") drive(call(connection, "deliver a@x b@x c@x"));
            else if (output.type === "need-content") drive(call(connection, "content Hello"));
            else if (output.type === "failed") assert.ok(output.error instanceof SmtpError);
            else if (output.type === "done" && output.outcome.recipients.some(({ status }) => status === "accepted")) {
              assert.match(answered, /^2/);
            }
          }
        };
        for (const reply of replies) {
          answered = reply;
          drive(connection.receive(encode(reply)));
        }
        drive(connection.receiveEof());
        assert.ok(connection.isClosed);
        assert.deepEqual(connection.receive(encode("250 ok\r\n")), []);
      },
    ),
    { numRuns: 2000 },
  );
});
