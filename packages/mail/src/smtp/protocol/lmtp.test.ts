import { testTranscripts, type Transcript } from "../../../../../test/peer/transcript.ts";

const options = { protocol: "lmtp" } as const;
const windowed = { protocol: "lmtp", schedule: { window: 3 } } as const;

const HELLO = `S: 220 server.example
C: LHLO client.example
S: 250-server.example
S: 250-CHUNKING
S: 250 PIPELINING
= ready`;

const CONTENT = `${HELLO}
> deliver a@x b@x c@x d@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: RCPT TO:<d@x>
C: DATA
S: 250 ok
S: 250 ok
S: 550 no
S: 250 ok
S: 354 go on
= need-content`;

const DOT = `${CONTENT}
> content Hello
C: Hello
C: .`;

const FIRST_CHUNK = `${HELLO}
> deliver-chunk Hello a@x b@x c@x d@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: RCPT TO:<d@x>
S: 250 ok
S: 250 ok
S: 550 no
S: 250 ok
C: BDAT 7 LAST
C: Hello`;

const TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "the dot is answered once for each recipient that was accepted, in order",
    options,
    text: `${DOT}
S: 250 2.1.5 b
> awaiting
= end-of-data
S: 452 4.2.2 d is full
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:deferred(452 end-of-data)
> quit
C: QUIT
= closed`,
  },
  {
    name: "without PIPELINING each command goes alone",
    options,
    text: `
S: 220 server.example
C: LHLO client.example
S: 250 server.example
= ready
> deliver a@x b@x c@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 250 ok
C: RCPT TO:<c@x>
S: 250 ok
C: DATA
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 b
S: 550 c
= done b@x:accepted(250 end-of-data) c@x:refused(550 end-of-data)`,
  },
  {
    name: "across messages: behind the dot of a message for one recipient stands the next",
    options,
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> deliver e@x f@x g@x
> content Hello
C: Hello
C: .
C: RSET
C: MAIL FROM:<e@x>
C: RCPT TO:<f@x>
C: RCPT TO:<g@x>
C: DATA
S: 250 b
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go on
= done b@x:accepted(250 end-of-data)
= need-content
> room
= no
> content Second
C: Second
C: .
S: 250 f
S: 250 g
= done f@x:accepted(250 end-of-data) g@x:accepted(250 end-of-data)`,
  },
  {
    name: "354 without recipients ends the connection: the lone dot would have no reply",
    options,
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 550 no
S: 354 go on
= done b@x:refused(550 RCPT)
= failed protocol`,
  },
  {
    name: "503 to DATA without recipients, as RFC 2033 wants it, leaves the recipients' verdicts, and RSET follows",
    options,
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 450 later
S: 503 nobody
= done b@x:deferred(450 RCPT)
> deliver c@x d@x
C: RSET
C: MAIL FROM:<c@x>
C: RCPT TO:<d@x>
C: DATA`,
  },
  {
    name: "EOF between the replies: the verdict that came stands, the other recipient is in doubt",
    options,
    text: `${DOT}
S: 250 b
> eof
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:unknown [connection-lost]
= failed connection-lost`,
  },
  {
    name: "421 between the replies: the verdict that came stands, the other was not done",
    options,
    text: `${DOT}
S: 250 b
S: 421 closing
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:deferred(421 end-of-data)
= failed unexpected-reply`,
  },
  {
    name: "421 as the first of the replies: none of them was done",
    options,
    text: `${DOT}
S: 421 closing
= done b@x:deferred(421 end-of-data) c@x:refused(550 RCPT) d@x:deferred(421 end-of-data)
= failed unexpected-reply`,
  },
  {
    name: "a reply more than there are recipients is one that nobody is owed",
    options,
    uncut: true,
    text: `${DOT}
S: 250 b
S: 250 d
S: 250 whose
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:accepted(250 end-of-data)
= failed protocol`,
  },
  {
    name: "behind the dot of a message for several nothing stands: a server that answers once only would have its reply to RSET taken for a recipient's",
    options,
    text: `${CONTENT}
> room
= no
> content Hello
C: Hello
C: .
> room
= no
S: 552 for all
> eof
= done b@x:refused(552 end-of-data) c@x:refused(550 RCPT) d@x:unknown [connection-lost]
= failed connection-lost`,
  },
  {
    name: "a refusal in the middle of the content is the first recipient's, and the others' message surely did not leave",
    options,
    text: `${CONTENT}
> piece Hello
C: Hello (no line end)
S: 552 b is full
= done b@x:refused(552 end-of-data) c@x:refused(550 RCPT) d@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "a last chunk is answered once for each recipient, too, and the window opens by an acceptance",
    options: windowed,
    text: `${FIRST_CHUNK}
> room
= no
S: 250 b
> awaiting
= BDAT
S: 450 d is full
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:deferred(450 end-of-data)
> deliver-chunk Two e@x f@x g@x
C: RSET
C: MAIL FROM:<e@x>
C: RCPT TO:<f@x>
C: RCPT TO:<g@x>
C: BDAT 5 LAST
C: Two
> room
= no
S: 250 reset
S: 250 ok
S: 550 no
S: 250 ok
S: 250 g
= done f@x:refused(550 RCPT) g@x:accepted(250 end-of-data)
> deliver-chunk Three h@x i@x
C: RSET
C: MAIL FROM:<h@x>
C: RCPT TO:<i@x>
C: BDAT 7 LAST
C: Three
> deliver-chunk Four k@x l@x
C: RSET
C: MAIL FROM:<k@x>
C: RCPT TO:<l@x>
C: BDAT 6 LAST
C: Four
S: 250 reset
S: 250 ok
S: 250 ok
S: 550 i
S: 250 reset
S: 250 ok
S: 250 ok
S: 250 l
= done i@x:refused(550 end-of-data)
= done l@x:accepted(250 end-of-data)`,
  },
  {
    name: "a chunk for nobody is answered once, and RSET follows",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 250 b
S: 250 d
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:accepted(250 end-of-data)
> deliver-chunk Two e@x f@x
C: RSET
C: MAIL FROM:<e@x>
C: RCPT TO:<f@x>
C: BDAT 5 LAST
C: Two
S: 250 reset
S: 250 ok
S: 550 no
S: 503 nobody
= done f@x:refused(550 RCPT)
> deliver-chunk Three g@x h@x
C: RSET
C: MAIL FROM:<g@x>
C: RCPT TO:<h@x>
C: BDAT 7 LAST
C: Three`,
  },
  {
    name: "503 behind an acceptance is that recipient's verdict: a server that answers so knows BDAT",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 250 b
S: 503 5.5.0 d
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:refused(503 end-of-data)
> room
= yes`,
  },
  {
    name: "500 as the first reply to a chunk says nothing about the message, and ends the connection",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 500 unknown command
= done b@x:deferred c@x:refused(550 RCPT) d@x:deferred [out-of-step] [protocol]
= failed protocol`,
  },
  {
    name: "recipients accepted behind a refused MAIL: how often the chunk is answered is not known, so the connection ends",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 250 b
S: 250 d
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:accepted(250 end-of-data)
> deliver-chunk Two e@x f@x g@x
C: RSET
C: MAIL FROM:<e@x>
C: RCPT TO:<f@x>
C: RCPT TO:<g@x>
C: BDAT 5 LAST
C: Two
S: 250 reset
S: 550 no
S: 250 ok
S: 250 ok
S: 503 need MAIL
= done f@x:refused(550 MAIL) g@x:refused(550 MAIL)
= failed protocol`,
  },
  {
    name: "recipients accepted behind a refused MAIL, and the chunk too: under a sender that nobody knows, so unknown",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 250 b
S: 250 d
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:accepted(250 end-of-data)
> deliver-chunk Two e@x f@x g@x
C: RSET
C: MAIL FROM:<e@x>
C: RCPT TO:<f@x>
C: RCPT TO:<g@x>
C: BDAT 5 LAST
C: Two
S: 250 reset
S: 550 no
S: 550 no
S: 250 ok
S: 250 accepted
= done f@x:refused(550 RCPT) g@x:unknown [protocol]
= failed protocol`,
  },
  {
    name: "503 as the first reply of several may be a recipient's or the command's: the rest is in doubt",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 503 bad sequence
= done b@x:unknown c@x:refused(550 RCPT) d@x:unknown [protocol]
= failed protocol`,
  },
  {
    name: "503 as the only reply is the command's: surely not sent",
    options: windowed,
    text: `${HELLO}
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
S: 250 ok
S: 250 ok
C: BDAT 7 LAST
C: Hello
S: 503 bad sequence
= done b@x:deferred [out-of-step] [protocol]
= failed protocol`,
  },
  {
    name: "EOF between the replies to a chunk leaves the rest in doubt",
    options: windowed,
    text: `${FIRST_CHUNK}
S: 250 b
> eof
= done b@x:accepted(250 end-of-data) c@x:refused(550 RCPT) d@x:unknown [connection-lost]
= failed connection-lost`,
  },
];

testTranscripts(TRANSCRIPTS);
