import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encode,
  hello,
  OPTIONS,
  requestOf,
  testTranscripts,
  type Transcript,
} from "../../../../../test/peer/transcript.ts";
import { ClientConnection } from "./connection.ts";

const options = { schedule: { window: 3 } } as const;
const HELLO = hello("PIPELINING", "CHUNKING", "SIZE 1000");

/** The first chunk was accepted, so the window is open. */
const OPEN = `${HELLO}
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
S: 250 ok
S: 250 ok
C: BDAT 7 LAST
C: Hello
S: 250 2.0.0 queued
= done b@x:accepted(250 BDAT)`;

const FULL = `${OPEN}
> deliver-chunk One a@x c@x
C: MAIL FROM:<a@x> SIZE=5
C: RCPT TO:<c@x>
C: BDAT 5 LAST
C: One
> deliver-chunk Two d@x e@x f@x
C: RSET
C: MAIL FROM:<d@x> SIZE=5
C: RCPT TO:<e@x>
C: RCPT TO:<f@x>
C: BDAT 5 LAST
C: Two
> deliver-chunk Three g@x h@x
C: RSET
C: MAIL FROM:<g@x> SIZE=7
C: RCPT TO:<h@x>
C: BDAT 7 LAST
C: Three`;

const TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "the first chunk leaves when its recipients are accepted, and nothing joins before it is answered",
    options,
    text: `${HELLO}
> chunks
= yes
> deliver-chunk Hello a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
> room
= no
> doubt
= no
S: 250 ok
S: 250 ok
> room
= no
> deliver-chunk Two d@x e@x
= misuse
S: 550 no
C: BDAT 7 LAST
C: Hello
> doubt
= yes
> room
= no
> awaiting
= BDAT
S: 250 2.0.0 queued
= done b@x:accepted(250 BDAT) c@x:refused(550 RCPT)
> room
= yes`,
  },
  {
    name: "then as many messages as the window holds go ahead, RSET in front of each, and verdicts come in order",
    options,
    text: `${FULL}
> room
= no
> deliver-chunk Four i@x j@x
= misuse
S: 250 ok
S: 250 ok
S: 250 one
= done c@x:accepted(250 BDAT)
> room
= yes
S: 250 reset
S: 250 ok
S: 250 ok
S: 550 no
S: 250 two
S: 250 reset
S: 250 ok
S: 451 later
S: 503 nobody
= done e@x:accepted(250 BDAT) f@x:refused(550 RCPT)
= done h@x:deferred(451 RCPT)
> deliver-chunk Five i@x j@x
C: RSET
C: MAIL FROM:<i@x> SIZE=6
C: RCPT TO:<j@x>
C: BDAT 6 LAST
C: Five`,
  },
  {
    name: "the first chunk does not leave for recipients that were all refused, and RSET ends the transaction",
    options,
    text: `${HELLO}
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
S: 250 ok
S: 550 no
= done b@x:refused(550 RCPT)
> deliver-chunk Hello c@x d@x
C: RSET
C: MAIL FROM:<c@x> SIZE=7
C: RCPT TO:<d@x>
S: 250 ok
S: 450 no
S: 503 no
= done d@x:deferred(450 MAIL)`,
  },
  {
    name: "a chunk that was refused does not open the window",
    options,
    text: `${HELLO}
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
S: 250 ok
S: 250 ok
C: BDAT 7 LAST
C: Hello
S: 554 5.7.1 spam
= done b@x:refused(554 BDAT)
> deliver-chunk Hello a@x c@x
C: RSET
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<c@x>
> room
= no
S: 250 ok
S: 250 ok
S: 250 ok
C: BDAT 7 LAST
C: Hello`,
  },
  {
    name: "BDAT that was not offered is never sent: the content goes by DATA, across messages",
    options,
    text: `${hello("PIPELINING")}
> chunks
= no
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
> room
= yes`,
  },
  {
    name: "chunks are not taken in a schedule that is no window, although the server offers them",
    text: `${HELLO}
> chunks
= no
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA`,
  },
  {
    name: "BDAT that is no command to the server says nothing about the message, and ends the connection",
    options,
    text: `${HELLO}
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
S: 250 ok
S: 250 ok
C: BDAT 7 LAST
C: Hello
S: 500 unknown command
S: 500 unknown command
= done b@x:deferred [out-of-step] [protocol]
= failed protocol`,
  },
  {
    name: "503 to BDAT inside the window alike, and what is ahead of it is in doubt",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 503 bad sequence
= done c@x:deferred [out-of-step] [protocol]
= done e@x:unknown f@x:unknown [protocol]
= done h@x:unknown [protocol]
= failed protocol`,
  },
  {
    name: "a refused chunk is a verdict, and the others go on behind their RSET",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 554 5.7.1 spam
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 ok
S: 452 4.3.1 no room
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 three
= done c@x:refused(554 BDAT)
= done e@x:deferred(452 BDAT) f@x:deferred(452 BDAT)
= done h@x:accepted(250 BDAT)
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: BDAT 7 LAST
C: Hello
S: 250 ok
S: 250 ok
S: 554 5.7.1 spam
= done b@x:refused(554 BDAT)
> deliver-chunk Hello a@x b@x
C: RSET
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: BDAT 7 LAST
C: Hello`,
  },
  {
    name: "refusals inside the window do not open another transaction under the sender before",
    options,
    text: `${FULL}
S: 550 no such sender
S: 503 need MAIL
S: 503 need MAIL
S: 250 reset
S: 250 ok
S: 550 no
S: 451 later
S: 554 nobody
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 three
= done c@x:refused(550 MAIL)
= done e@x:refused(550 RCPT) f@x:deferred(451 RCPT)
= done h@x:accepted(250 BDAT)`,
  },
  {
    name: "a chunk that is accepted for nobody shows that the two sides are out of step",
    options,
    text: `${FULL}
S: 250 ok
S: 550 no
S: 250 accepted
= done c@x:refused(550 RCPT) [250 for nobody]
= done e@x:unknown f@x:unknown [protocol]
= done h@x:unknown [protocol]
= failed protocol`,
  },
  {
    name: "a chunk that is accepted although its MAIL was refused went out under a sender that nobody knows: unknown",
    options,
    text: `${FULL}
S: 452 no
S: 250 ok
S: 250 accepted
= done c@x:unknown [protocol]
= done e@x:unknown f@x:unknown [protocol]
= done h@x:unknown [protocol]
= failed protocol`,
  },
  {
    name: "any reply to RSET but 2yz shows it too",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 250 one
S: 503 bad sequence
= done c@x:accepted(250 BDAT)
= done e@x:unknown f@x:unknown [unexpected-reply]
= done h@x:unknown [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "EOF leaves in doubt the chunks that were handed over and not answered, those and no other",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 250 one
S: 250 reset
S: 250 ok
S: 250 ok
S: 550 no
= done c@x:accepted(250 BDAT)
> eof
= done e@x:unknown f@x:refused(550 RCPT) [connection-lost]
= done h@x:unknown [connection-lost]
= failed connection-lost`,
  },
  {
    name: "421 inside the window: what stands behind it was not done, so nothing is in doubt",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 250 one
S: 250 reset
S: 421 enough
= done c@x:accepted(250 BDAT)
= done e@x:deferred(421 MAIL) f@x:deferred(421 MAIL) [lost]
= done h@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "421 to a chunk is its verdict",
    options,
    text: `${FULL}
S: 250 ok
S: 250 ok
S: 421 enough
= done c@x:deferred(421 BDAT)
= done e@x:deferred f@x:deferred [lost] [unexpected-reply]
= done h@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "a message that is no chunk goes by DATA in the window, and nothing joins before its 354",
    options,
    text: `${OPEN}
> deliver-chunk One a@x c@x
C: MAIL FROM:<a@x> SIZE=5
C: RCPT TO:<c@x>
C: BDAT 5 LAST
C: One
> deliver d@x e@x
C: RSET
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA
> room
= no
S: 250 ok
S: 250 ok
S: 250 one
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done c@x:accepted(250 BDAT)
= need-content
> deliver-chunk Two f@x g@x
> content Hello
C: Hello
C: .
C: RSET
C: MAIL FROM:<f@x> SIZE=5
C: RCPT TO:<g@x>
C: BDAT 5 LAST
C: Two
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 250 two
= done e@x:accepted(250 end-of-data)
= done g@x:accepted(250 BDAT)`,
  },
  {
    name: "503 to all behind a dot leaves the window: what was made a chunk goes by DATA",
    options,
    text: `${OPEN}
> deliver a@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> deliver d@x e@x
> content Hello
C: Hello
C: .
C: RSET
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA
S: 250 ok
S: 503 no
S: 503 no
S: 503 no
S: 503 no
= done c@x:accepted(250 end-of-data)
= done e@x:refused(503 MAIL) [out-of-step]
> chunks
= no
> deliver-chunk One d@x e@x
C: RSET
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA`,
  },
];

testTranscripts(TRANSCRIPTS);

test("a chunk goes as it is, and its BDAT command with the envelope in one write", () => {
  const connection = new ClientConnection({ ...OPTIONS, ...options });
  connection.receive(encode("220 s\r\n"));
  connection.receive(encode("250-s\r\n250-PIPELINING\r\n250 CHUNKING\r\n"));
  const chunk = Buffer.from(".\r\n..dots\r\n.\r\nRSET\r\n");
  connection.deliver({ ...requestOf("a@x", ["b@x"]), chunk });
  const outputs = connection.receive(encode("250 ok\r\n250 ok\r\n"));
  assert.deepEqual(outputs, [
    { type: "write", octets: Buffer.from(`BDAT ${chunk.length} LAST\r\n`) },
    { type: "write", octets: chunk },
  ]);
  connection.receive(encode("250 ok\r\n"));
  const [envelope, content, ...others] = connection.deliver({ ...requestOf("a@x", ["b@x"]), chunk });
  assert.deepEqual(
    [envelope, content, ...others],
    [
      { type: "write", octets: Buffer.from(`MAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nBDAT ${chunk.length} LAST\r\n`) },
      { type: "write", octets: chunk },
    ],
  );
});
