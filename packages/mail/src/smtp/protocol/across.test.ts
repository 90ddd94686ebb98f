import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decode,
  encode,
  hello,
  OPTIONS,
  requestOf,
  testTranscripts,
  type Transcript,
} from "../../../../../test/peer/transcript.ts";
import { ClientConnection } from "./connection.ts";

/** The first message's content is on its way, and the second stands behind its dot. */
const FIRST = `${hello("PIPELINING")}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content`;

const BEHIND = `${FIRST}
> deliver c@x d@x e@x
> content Hello
C: Hello
C: .
C: RSET
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: RCPT TO:<e@x>
C: DATA`;

const TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "sends content, dot and RSET MAIL RCPT* DATA of the next message in one flight, one round trip a message",
    text: `${BEHIND}
S: 250 2.0.0 first queued
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= need-content
> deliver f@x g@x
> content Second
C: Second
C: .
C: RSET
C: MAIL FROM:<f@x>
C: RCPT TO:<g@x>
C: DATA
S: 250 2.0.0 second queued
= done d@x:accepted(250 end-of-data) e@x:accepted(250 end-of-data)
S: 250 reset
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Third
C: Third
C: .
S: 250 2.0.0 third queued
= done g@x:accepted(250 end-of-data)
> quit
C: QUIT
= closed`,
  },
  {
    name: "the next message may join behind the dot that has left already, and a third may not",
    text: `${FIRST}
> room
= yes
> content Hello
C: Hello
C: .
> room
= yes
> deliver c@x d@x
C: RSET
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: DATA
> room
= no
> deliver e@x f@x
= misuse
S: 250 ok
= done b@x:accepted(250 end-of-data)
> room
= no
> deliver e@x f@x
= misuse
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> room
= yes`,
  },
  {
    name: "the next message does not join before 354: nothing may stand behind DATA",
    text: `${hello("PIPELINING")}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
> room
= no
> deliver c@x d@x
= misuse
S: 250 ok
S: 250 ok
> deliver c@x d@x
= misuse`,
  },
  {
    name: "a message that comes when the dot is answered needs no RSET",
    text: `${FIRST}
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x:accepted(250 end-of-data)
> deliver c@x d@x
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: DATA`,
  },
  {
    name: "503 to all behind the dot (Haraka): the first is accepted, the second undecided, and the schedule falls to grouped",
    text: `${BEHIND}
S: 250 ok
S: 503 bad sequence
S: 503 bad sequence
S: 503 bad sequence
S: 503 bad sequence
S: 503 bad sequence
= done b@x:accepted(250 end-of-data)
= done d@x:refused(503 MAIL) e@x:refused(503 MAIL) [out-of-step]
> deliver c@x d@x
C: RSET
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> room
= no
> deliver f@x g@x
= misuse
> content Second
C: Second
C: .
S: 250 ok
= done d@x:accepted(250 end-of-data)`,
  },
  {
    name: "503 to RSET alone says that the server cannot: 354 behind it ends the connection, the message is undecided",
    text: `${BEHIND}
S: 250 ok
S: 503 bad sequence
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= done d@x:deferred e@x:deferred [out-of-step] [protocol]
= failed protocol`,
  },
  {
    name: "503 to MAIL, to one RCPT or to DATA behind the dot says nothing about the message",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 250 ok
S: 503 bad sequence
S: 250 ok
S: 503 bad sequence
= done b@x:accepted(250 end-of-data)
= done d@x:refused(503 RCPT) e@x:refused(503 DATA) [out-of-step]`,
  },
  {
    name: "503 to RCPT and DATA behind a MAIL that was refused follows from it: a verdict, and the schedule stays",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 550 5.7.1 not this sender
S: 503 need MAIL
S: 503 need MAIL
S: 503 need RCPT
= done b@x:accepted(250 end-of-data)
= done d@x:refused(550 MAIL) e@x:refused(550 MAIL)
> deliver f@x g@x
C: RSET
C: MAIL FROM:<f@x>
C: RCPT TO:<g@x>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> room
= yes`,
  },
  {
    name: "503 to DATA behind recipients that were all refused follows from it: verdicts, and the schedule stays",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 250 ok
S: 550 no
S: 450 later
S: 503 need RCPT
= done b@x:accepted(250 end-of-data)
= done d@x:refused(550 RCPT) e@x:deferred(450 RCPT)
> deliver f@x g@x
C: RSET
C: MAIL FROM:<f@x>
C: RCPT TO:<g@x>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> room
= yes`,
  },
  {
    name: "503 to a message that does not stand behind a dot is a verdict",
    text: `${hello("PIPELINING")}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 503 authenticate first
S: 503 need MAIL
S: 503 need RCPT
= done b@x:refused(503 MAIL)`,
  },
  {
    name: "503 to the dot of a message whose envelope stood behind one is a verdict",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= need-content
> content Second
C: Second
C: .
S: 503 5.5.0 no
= done d@x:refused(503 end-of-data) e@x:refused(503 end-of-data)`,
  },
  {
    name: "a refused end of data says nothing about what stands behind it",
    text: `${BEHIND}
S: 554 5.7.1 spam
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:refused(554 end-of-data)
= need-content
> content Second
C: Second
C: .
S: 250 ok
= done d@x:accepted(250 end-of-data) e@x:accepted(250 end-of-data)`,
  },
  {
    name: "refusals behind the dot: RSET comes before the next MAIL, so that no sender is wrong",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 250 ok
S: 550 no
S: 550 no
S: 354 go on
= done b@x:accepted(250 end-of-data)
C: .
S: 250 an empty message to nobody
= done d@x:refused(550 RCPT) e@x:refused(550 RCPT)
> deliver f@x g@x
C: RSET
C: MAIL FROM:<f@x>
C: RCPT TO:<g@x>
C: DATA`,
  },
  {
    name: "MAIL refused behind the dot, a recipient accepted and DATA answered 354: the connection ends, no dot leaves",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 550 no
S: 250 ok
S: 550 no
S: 354 go on
= done b@x:accepted(250 end-of-data)
= done d@x:refused(550 MAIL) e@x:refused(550 MAIL)
= failed protocol`,
  },
  {
    name: "RSET refused behind the dot: the verdict in front of it stands, the message behind it surely did not leave",
    text: `${BEHIND}
S: 250 ok
S: 550 no
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= done d@x:deferred e@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "EOF with two messages under way: in doubt is the one whose dot has left",
    text: `${BEHIND}
> doubt
= yes
> eof
= done b@x:unknown [connection-lost]
= done d@x:deferred e@x:deferred [lost] [connection-lost]
= failed connection-lost`,
  },
  {
    name: "EOF when the dot is answered: nothing is in doubt",
    text: `${BEHIND}
S: 250 ok
= done b@x:accepted(250 end-of-data)
> doubt
= no
> eof
= done d@x:deferred e@x:deferred [lost] [connection-lost]
= failed connection-lost`,
  },
  {
    name: "421 to the dot is a verdict, and the rest of the flight was not done",
    text: `${BEHIND}
S: 421 4.3.2 closing
= done b@x:deferred(421 end-of-data)
= done d@x:deferred e@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "421 to what stands behind the dot: the verdict in front of it stands",
    text: `${BEHIND}
S: 250 ok
S: 421 enough
= done b@x:accepted(250 end-of-data)
= done d@x:deferred(421 RSET) e@x:deferred(421 RSET) [lost]
= failed unexpected-reply`,
  },
  {
    name: "the content of a message ends with one CRLF, and what stands behind its dot is no part of it",
    text: `${FIRST}
> deliver c@x d@x
> piece one\\n.
C: one
C: .. (no line end)
> room
= no
> piece \\n.two\\n
C: 
C: ..two
> end
C: .
C: RSET
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: DATA`,
  },
  {
    name: "transparency begins anew with each message, and content is what the driver waits for then",
    text: `${BEHIND}
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= need-content
> awaiting
= content
> content .second\\n
C: ..second
C: .
> awaiting
= end-of-data
S: 250 ok
= done d@x:accepted(250 end-of-data) e@x:accepted(250 end-of-data)`,
  },
];

testTranscripts(TRANSCRIPTS);

test("the dot and what stands behind it are one write", () => {
  const connection = new ClientConnection(OPTIONS);
  connection.receive(encode("220 s\r\n"));
  connection.receive(encode("250-s\r\n250 PIPELINING\r\n"));
  const envelope = connection.deliver(requestOf("a@x", ["b@x", "c@x"]));
  assert.deepEqual(
    envelope.map(({ type }) => type),
    ["write"],
  );
  connection.receive(encode("250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n"));
  connection.deliver(requestOf("d@x", ["e@x"]));
  connection.content(encode("Hello\r\n"));
  const [write, ...others] = connection.endOfContent();
  assert.ok(write?.type === "write" && others.length === 0);
  assert.equal(decode(write.octets), ".\r\nRSET\r\nMAIL FROM:<d@x>\r\nRCPT TO:<e@x>\r\nDATA\r\n");
});
