import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encode,
  hello,
  OPTIONS,
  outputLines,
  requestOf,
  testTranscripts,
  type Transcript,
} from "../../../../../test/peer/transcript.ts";
import { SmtpError } from "../../errors.ts";
import { LocalProtocolError } from "./command.ts";
import { ClientConnection } from "./connection.ts";
import type { Output } from "./output.ts";
import type { Schedule } from "./schedule.ts";
import { canonical } from "./transparency.ts";

const HELLO = hello("PIPELINING");

const TRANSCRIPTS: readonly Transcript[] = [
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
  {
    name: "NOOP asks whether the server is still there, alone and while nothing is under way",
    text: `${HELLO}
> noop
C: NOOP
> awaiting
= NOOP
> noop
= misuse
> quit
= misuse
S: 250 ok
= alive
> awaiting
= nothing
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
> noop
= misuse`,
  },
  {
    name: "a message that comes while NOOP is not answered waits, since nothing may stand behind NOOP",
    text: `${HELLO}
> noop
C: NOOP
> deliver a@x b@x
S: 250 ok
= alive
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA`,
  },
  {
    name: "421 to NOOP and EOF while nothing is under way end the session",
    text: `${HELLO}
> noop
C: NOOP
S: 421 idle
= failed unexpected-reply
> eof
> awaiting
= nothing
> room
= no
> quit
= misuse
> deliver a@x b@x
= misuse`,
  },
  {
    name: "3yz is no reply to NOOP",
    text: `${HELLO}
> noop
C: NOOP
S: 354 go on
= failed protocol`,
  },
  {
    name: "calls out of order are the caller's fault, and change nothing",
    text: `${HELLO}
> content Hello
= misuse
> end
= misuse
> tls
= misuse
> sasl x
= misuse
> deliver a@x
= misuse
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
> content Hello
= misuse
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> noop
= misuse
> quit
= misuse
> content Hello
C: Hello
C: .
> end
= misuse
S: 250 ok
= done b@x:accepted(250 end-of-data)`,
  },
  {
    name: "after QUIT nothing is awaited, and what comes then is not read",
    text: `${HELLO}
> quit
C: QUIT
= closed
> awaiting
= nothing
S: 221 bye
> eof
> quit
= misuse`,
  },
];

testTranscripts(TRANSCRIPTS);

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

/** How a server answers what it accepts. */
const REPLIES: Readonly<Record<string, string>> = { DATA: "354 go on", greeting: "220 server.example" };

/** A transaction's content, as the schedule takes it. */
function give(connection: ClientConnection, place: number): Output[] {
  const chunk = connection.takesChunks ? canonical(encode(`message ${place}`)) : undefined;
  return connection.deliver({ ...requestOf(`s${place}@x`, [`r${place}@x`]), chunk });
}

/**
 * Three messages, of which each is handed over as soon as there is room, up to the reply with the given number, which
 * the server does not give any more.
 */
function until(
  schedule: Schedule,
  keywords: string,
  number: number,
): { ended: string[]; connection: ClientConnection } {
  const connection = new ClientConnection({ ...OPTIONS, schedule });
  const ended: string[] = [];
  let given = 0;
  const drive = (outputs: readonly Output[]): void => {
    for (const output of outputs) {
      if (output.type === "need-content") {
        if (connection.hasRoom && given < 3) drive(give(connection, given++));
        drive([...connection.content(encode("Hello")), ...connection.endOfContent()]);
      }
      ended.push(...outputLines(output.type === "done" ? [output] : []));
    }
    while (connection.hasRoom && given < 3) drive(give(connection, given++));
  };
  for (let replies = 0; replies < number && connection.awaiting !== undefined; replies++) {
    const { awaiting } = connection;
    drive(connection.receive(encode(awaiting === "EHLO" ? keywords : `${REPLIES[awaiting] ?? "250 ok"}\r\n`)));
  }
  return { ended, connection };
}

const PIPELINING = "250-s\r\n250-CHUNKING\r\n250 PIPELINING\r\n";
const PLACES: readonly [name: string, schedule: Schedule, keywords: string][] = [
  ["lockstep", "across", "250 s\r\n"],
  ["grouped", "grouped", PIPELINING],
  ["across", "across", PIPELINING],
  ["window", { window: 3 }, PIPELINING],
];

for (const [name, schedule, keywords] of PLACES) {
  test(`${name}: EOF, 421 and a lost connection at every place leave in doubt what was terminated and not answered`, () => {
    for (let number = 0; ; number++) {
      const { ended, connection } = until(schedule, keywords, number);
      if (connection.awaiting === undefined) {
        assert.deepEqual(
          ended.map((line) => line.replace(/\(.*/, "")),
          ["= done r0@x:accepted", "= done r1@x:accepted", "= done r2@x:accepted"],
        );
        assert.ok(number > 10, "there were places");
        return;
      }
      const verb = connection.awaiting;
      const isVerdict = verb === "end-of-data" || verb === "BDAT";
      const inDoubt = connection.isInDoubt;
      const eof = outputLines(connection.receiveEof());
      assert.equal(eof.at(-1), "= failed connection-lost");
      assert.equal(eof.join().includes("unknown"), inDoubt, `EOF instead of the reply to ${verb}`);
      assert.ok(!eof.join().includes("accepted"));
      // What was not terminated may be tried again at once.
      for (const line of eof.slice(0, -1)) assert.match(line, /unknown \[connection-lost\]$|deferred \[lost\] \[conn/);

      const { connection: closing } = until(schedule, keywords, number);
      const lines = outputLines(closing.receive(encode("421 4.3.2 closing\r\n250 ok\r\n250 ok\r\n354 go on\r\n")));
      assert.equal(lines.at(-1), "= failed unexpected-reply");
      assert.equal(lines.length, eof.length, "each message has its outcome");
      const [first, ...others] = lines.slice(0, -1);
      if (first !== undefined)
        assert.match(first, isVerdict ? /:deferred\(421 [Ba-z-][-\w]*\)$/ : /:deferred\(421 [A-Z]+\) \[lost\]$/);
      for (const line of others) assert.match(line, /:deferred \[lost\] \[unexpected-reply\]$/);
    }
  });
}

test("a reason of the driver's ends the session with what is known", () => {
  const { connection } = until("across", PIPELINING, 5);
  const error = new SmtpError("timeout", "the server did not answer in time");
  assert.equal(connection.awaiting, "end-of-data");
  assert.deepEqual(outputLines(connection.abandon(error)), [
    "= done r0@x:unknown [timeout]",
    "= done r1@x:deferred [lost] [timeout]",
    "= failed timeout",
  ]);
  assert.deepEqual(connection.abandon(error), [], "only once");
});

test("isTerminated tells which message's end of data has left", () => {
  const connection = new ClientConnection(OPTIONS);
  connection.receive(encode("220 s\r\n"));
  connection.receive(encode(PIPELINING));
  const first = requestOf("a@x", ["b@x"]);
  const second = requestOf("c@x", ["d@x"]);
  connection.deliver(first);
  connection.receive(encode("250 ok\r\n250 ok\r\n354 go on\r\n"));
  connection.deliver(second);
  assert.equal(connection.isTerminated(first), false);
  connection.content(encode("Hello"));
  assert.equal(connection.isTerminated(first), false);
  connection.endOfContent();
  assert.equal(connection.isTerminated(first), true);
  assert.equal(connection.isTerminated(second), false);
  connection.receive(encode("250 ok\r\n"));
  assert.equal(connection.isTerminated(first), false, "it has its verdict");
});

test("what is written is nobody else's memory: a buffer that is filled again changes nothing that is on its way", () => {
  for (const [schedule, length] of [
    ["across", 100],
    ["across", 20_000],
    [{ window: 3 }, 100],
    [{ window: 3 }, 20_000],
  ] as const) {
    const connection = new ClientConnection({ ...OPTIONS, schedule });
    connection.receive(encode("220 s\r\n"));
    connection.receive(encode("250-s\r\n250-PIPELINING\r\n250 CHUNKING\r\n"));
    const given = Buffer.from(`${"x".repeat(length)}\r\n`);
    const outputs = connection.deliver({ ...requestOf("a@x", ["b@x"]), chunk: given });
    if (schedule === "across") {
      connection.receive(encode("250 ok\r\n250 ok\r\n354 go on\r\n"));
      outputs.push(...connection.content(given), ...connection.endOfContent(given));
    } else outputs.push(...connection.receive(encode("250 ok\r\n250 ok\r\n")));
    given.fill("!");
    assert.ok(!outputLines(outputs).join("\n").includes("!"), `${JSON.stringify(schedule)}, ${length}`);
    assert.ok(outputLines(outputs).join("\n").includes("x".repeat(length)));
  }
});
