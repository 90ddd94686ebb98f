import { hello, testTranscripts, type Transcript } from "../../../../../test/peer/transcript.ts";

const HELLO = hello("PIPELINING", "SIZE 1000");
const LOCKSTEP = hello();

const TRANSCRIPTS: readonly Transcript[] = [
  {
    name: "groups MAIL, RCPT and DATA into one write where PIPELINING is offered",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
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
= done b@x:accepted(250 end-of-data) c@x:accepted(250 end-of-data)
> quit
C: QUIT
= closed`,
  },
  {
    name: "sends one command at a time where PIPELINING is not offered",
    text: `${LOCKSTEP}
> deliver a@x b@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 250 ok
C: DATA
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x:accepted(250 end-of-data)`,
  },
  {
    name: "tells each recipient's verdict",
    text: `${HELLO}
> deliver a@x b@x c@x d@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: RCPT TO:<d@x>
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
= done b@x:refused(550 RCPT) c@x:accepted(250 end-of-data) d@x:deferred(451 RCPT)`,
  },
  {
    name: "puts RSET before the next MAIL after a transaction that was not completed, so that the sender cannot be wrong",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 550 no
S: 554 no valid recipients
= done b@x:refused(550 RCPT)
> deliver e@x f@x
C: RSET
C: MAIL FROM:<e@x> SIZE=7
C: RCPT TO:<f@x>
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
> deliver a@x b@x
C: MAIL FROM:<a@x>
S: 451 not now
= done b@x:deferred(451 MAIL)
> deliver e@x f@x
C: RSET
S: 250 ok
C: MAIL FROM:<e@x>
S: 250 ok
C: RCPT TO:<f@x>
S: 550 no
= done f@x:refused(550 RCPT)`,
  },
  {
    name: "takes the refusal of MAIL for all recipients, not the 503 that follows from it",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 451 4.7.1 greylisted
S: 503 need MAIL
S: 503 need RCPT
= done b@x:deferred(451 MAIL)`,
  },
  {
    name: "sends a lone dot when DATA gets 354 although every recipient was refused, and ignores its reply",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 550 no
S: 354 go on
C: .
S: 250 queued
= done b@x:refused(550 RCPT)
> deliver a@x c@x
C: RSET
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<c@x>
C: DATA`,
  },
  {
    name: "closes when MAIL was refused, a recipient accepted and DATA answered 354: a dot would deliver an empty message",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 550 bad sender
S: 250 ok
S: 354 go on
= done b@x:refused(550 MAIL)
= failed protocol`,
  },
  {
    name: "keeps the verdict of the end of data when the server closes right behind it",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x:accepted(250 end-of-data)
> eof
= failed connection-lost`,
  },
  {
    name: "is in doubt when the connection dies behind the end of data",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
> eof
= done b@x:unknown [connection-lost]
= failed connection-lost`,
  },
  {
    name: "is not in doubt when the connection dies before the end of data",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> eof
= done b@x:deferred [lost] [connection-lost]
= failed connection-lost`,
  },
  {
    name: "reports the refusal that came before the connection died",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 550 no
> eof
= done b@x:refused(550 RCPT) c@x:deferred [lost] [connection-lost]
= failed connection-lost`,
  },
  {
    name: "takes 421 inside a group as the end of the connection, and defers the rest",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 550 no
S: 421 closing
= done b@x:refused(550 RCPT) c@x:deferred(421 RCPT) [lost]
= failed unexpected-reply`,
  },
  {
    name: "takes 421 to the end of data as a verdict: not accepted",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 421 not taken
= done b@x:deferred(421 end-of-data)
= failed unexpected-reply`,
  },
  {
    name: "refuses what is larger than SIZE before a byte leaves",
    text: `${HELLO}
> deliver-octets 1001 a@x b@x
= done b@x:refused [too-large]`,
  },
  {
    name: "refuses an address that needs SMTPUTF8 where it is not offered",
    text: `${HELLO}
> deliver a@x 사용자@x
= done 사용자@x:refused [extension-missing]`,
  },
  {
    name: "takes what is exactly as large as SIZE",
    text: `${HELLO}
> deliver-octets 1000 a@x b@x
C: MAIL FROM:<a@x> SIZE=1000
C: RCPT TO:<b@x>
C: DATA`,
  },
  {
    name: "refuses 8-bit content where 8BITMIME is not offered",
    text: `${HELLO}
> deliver-8bit a@x b@x
= done b@x:refused [extension-missing]`,
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
> deliver-8bit 보내는이@x b@x
C: MAIL FROM:<보내는이@x> BODY=8BITMIME SMTPUTF8`,
  },
  {
    name: "ends the session when RSET is refused: the next message could go out under the previous sender",
    text: `${LOCKSTEP}
> deliver a@x b@x
C: MAIL FROM:<a@x>
S: 550 no
= done b@x:refused(550 MAIL)
> deliver e@x f@x
C: RSET
S: 502 no such command
= done f@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "takes 3yz to MAIL or RCPT as a broken protocol",
    text: `${LOCKSTEP}
> deliver a@x b@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 354 what
= done b@x:deferred [lost] [protocol]
= failed protocol`,
  },
  {
    name: "grouped: the next message waits until the end of data is answered, and then needs no RSET",
    options: { schedule: "grouped" },
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
> room
= no
> deliver c@x d@x
= misuse
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> room
= no
> content Hello
C: Hello
C: .
> room
= no
> deliver c@x d@x
= misuse
S: 250 ok
= done b@x:accepted(250 end-of-data)
> deliver c@x d@x
C: MAIL FROM:<c@x> SIZE=7
C: RCPT TO:<d@x>
C: DATA`,
  },
  {
    name: "without PIPELINING nothing stands behind the dot, whatever schedule is wanted, not even QUIT",
    options: { schedule: "across" },
    text: `${LOCKSTEP}
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
> room
= no
> content Hello
C: Hello
C: .
> room
= no
> quit
= misuse
> noop
= misuse
S: 250 ok
= done b@x:accepted(250 end-of-data) c@x:accepted(250 end-of-data)
> quit
C: QUIT
= closed`,
  },
  {
    name: "without PIPELINING a window is none, and a chunk goes by DATA: the server did not offer BDAT",
    options: { schedule: { window: 4 } },
    text: `${LOCKSTEP}
> chunks
= no
> deliver-chunk Hello a@x b@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 250 ok
C: DATA
S: 354 go on
= need-content`,
  },
  {
    name: "matches replies by their count, whatever their text says",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 250 2.1.5 <c@x>: recipient ok
S: 550 5.1.0 <a@x>: sender rejected
S: 252 354 start mail input
S: 354 2.0.0 queued
= need-content
> content Hello
C: Hello
C: .
S: 251 354 go on
= done b@x:refused(550 RCPT) c@x:accepted(251 end-of-data)`,
  },
  {
    name: "a refused DATA decides for all, and RSET comes before the next MAIL",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 250 ok
S: 550 no
S: 451 4.3.0 no room
= done b@x:deferred(451 DATA) c@x:refused(550 RCPT)
> deliver d@x e@x
C: RSET
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA`,
  },
  {
    name: "a refused MAIL in a group needs RSET too: its recipients may have been accepted under the sender before",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 550 no
S: 503 no
S: 503 no
= done b@x:refused(550 MAIL)
> deliver d@x e@x
C: RSET
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA`,
  },
  {
    name: "a refused end of data ends the transaction: no RSET",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 554 5.7.1 spam
= done b@x:refused(554 end-of-data)
> deliver d@x e@x
C: MAIL FROM:<d@x> SIZE=7
C: RCPT TO:<e@x>
C: DATA`,
  },
  {
    name: "without PIPELINING DATA is not asked for when every recipient was refused",
    text: `${LOCKSTEP}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 550 no
C: RCPT TO:<c@x>
S: 450 later
= done b@x:refused(550 RCPT) c@x:deferred(450 RCPT)
> deliver d@x e@x
C: RSET`,
  },
  {
    name: "the lone dot's reply says nothing, refused or not, 421 only of the connection",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 451 later
S: 354 go on
C: .
> awaiting
= end-of-data
> doubt
= no
> room
= no
S: 554 no valid recipients
= done b@x:deferred(451 RCPT)
> deliver a@x c@x
C: RSET
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 250 ok
S: 550 no
S: 354 go on
C: .
S: 421 closing
= done c@x:refused(550 RCPT)
= failed unexpected-reply`,
  },
  {
    name: "MAIL and every recipient refused, and yet 354: a lone dot reaches nobody",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 450 later
S: 503 need MAIL
S: 354 go on
C: .
S: 554 nobody
= done b@x:deferred(450 MAIL)`,
  },
  {
    name: "takes 452 and 552 behind an acceptance, with x.5.3 or without an enhanced code, as too many recipients",
    text: `${HELLO}
> deliver a@x b@x c@x d@x e@x f@x g@x h@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: RCPT TO:<d@x>
C: RCPT TO:<e@x>
C: RCPT TO:<f@x>
C: RCPT TO:<g@x>
C: RCPT TO:<h@x>
C: DATA
S: 250 ok
S: 452 4.5.3 before any acceptance it is a verdict
S: 250 ok
S: 452 too many recipients
S: 552 5.5.3 too many recipients
S: 552 5.2.2 mailbox full
S: 452 4.2.2 mailbox full
S: 451 4.5.3 another code
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
= done b@x:deferred(452 RCPT) c@x:accepted(250 end-of-data) d@x:deferred(452 RCPT) e@x:refused(552 RCPT) f@x:refused(552 RCPT) g@x:deferred(452 RCPT) h@x:deferred(451 RCPT) [too many: 2 3]`,
  },
  {
    name: "552 without an enhanced code behind an acceptance is too many recipients, and before it a verdict",
    text: `${HELLO}
> deliver a@x b@x c@x d@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: RCPT TO:<d@x>
C: DATA
S: 250 ok
S: 552 no
S: 250 ok
S: 552 too many recipients
S: 451 no
= done b@x:refused(552 RCPT) c@x:deferred(451 DATA) d@x:refused(552 RCPT) [too many: 2]`,
  },
  {
    name: "there are not too many where MAIL was refused",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 550 no
S: 250 ok
S: 452 too many
S: 503 need MAIL
= done b@x:refused(550 MAIL) c@x:refused(550 MAIL)`,
  },
  {
    name: "declares no SIZE where it is not known, nor where it is not offered",
    text: `${HELLO}
> deliver-stream a@x b@x
C: MAIL FROM:<a@x>
C: RCPT TO:<b@x>
C: DATA`,
  },
  {
    name: "a SIZE of 0 is no limit, and is declared to",
    text: `${hello("SIZE 0")}
> deliver-octets 99999999 a@x b@x
C: MAIL FROM:<a@x> SIZE=99999999`,
  },
  {
    name: "asks for 8BITMIME and SMTPUTF8 only where the message needs them",
    text: `${hello("8BITMIME", "SMTPUTF8", "DSN", "CHUNKING", "SIZE")}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7`,
  },
  {
    name: "refuses a recipient that needs SMTPUTF8 where only the sender would do without",
    text: `${hello("8BITMIME")}
> deliver a@x 받는이@x b@x
= done 받는이@x:refused b@x:refused [extension-missing]
> deliver a@x b@x
C: MAIL FROM:<a@x>`,
  },
  {
    name: "asks for notifications (RFC 3461), with what is not xchar in hexadecimal",
    dsn: {
      ret: "headers",
      envelopeId: "QQ 314+159=1",
      notify: ["success", "failure", "delay"],
      originalRecipients: { "b@x": "B+tag=1@x", "c@x": "받는이\\@x" },
    },
    text: `${hello("PIPELINING", "DSN")}
> deliver a@x b@x c@x d@x
C: MAIL FROM:<a@x> RET=HDRS ENVID=QQ+20314+2B159+3D1
C: RCPT TO:<b@x> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;B+2Btag+3D1@x
C: RCPT TO:<c@x> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;\\x{BC1B}\\x{B294}\\x{C774}\\x{5C}@x
C: RCPT TO:<d@x> NOTIFY=SUCCESS,FAILURE,DELAY
C: DATA`,
  },
  {
    name: "asks for no notification, and for the whole message in a report",
    dsn: { ret: "full", notify: "never" },
    text: `${hello("DSN")}
> deliver a@x b@x
C: MAIL FROM:<a@x> RET=FULL
S: 250 ok
C: RCPT TO:<b@x> NOTIFY=NEVER`,
  },
  {
    name: "refuses a request for notifications where DSN is not offered",
    dsn: { notify: "never" },
    text: `${HELLO}
> deliver a@x b@x
= done b@x:refused [extension-missing]`,
  },
  {
    name: "the null reverse-path is written <>",
    text: `${LOCKSTEP}
> deliver-octets 7  b@x
C: MAIL FROM:<>`,
  },
  {
    name: "transparency: a line that begins with a dot gets another, in the first line and over a chunk's border too",
    text: `${LOCKSTEP}
> deliver a@x b@x
C: MAIL FROM:<a@x>
S: 250 ok
C: RCPT TO:<b@x>
S: 250 ok
C: DATA
S: 354 go on
= need-content
> content .first\\n..\\nends\\n
C: ..first
C: ...
C: ends
C: .
S: 250 ok
= done b@x:accepted(250 end-of-data)`,
  },
  {
    name: "a verdict stands, whatever the server says behind it: 421, a close, a refused RSET",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> content Hello
C: Hello
C: .
S: 250 ok
S: 421 4.4.2 idle too long
= done b@x:accepted(250 end-of-data)
= failed protocol
> eof`,
  },
  {
    name: "a refusal while the content is on its way is the verdict, whole or in pieces, and the end of the connection",
    text: `${HELLO}
> deliver a@x b@x c@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: RCPT TO:<c@x>
C: DATA
S: 250 ok
S: 250 ok
S: 550 no
S: 354 go on
= need-content
> piece Hello
C: Hello (no line end)
S: 552-5.3.4 too much
S: 552 5.3.4 of it
= done b@x:refused(552 end-of-data) c@x:refused(550 RCPT)
= failed unexpected-reply`,
  },
  {
    name: "a transient one defers the message",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
S: 451 not now
= done b@x:deferred(451 end-of-data)
= failed unexpected-reply`,
  },
  {
    name: "421 while the content is on its way says that the message was not taken, and is nobody's fault",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> piece Hello
C: Hello (no line end)
S: 421 shutting down
= done b@x:deferred(421 end-of-data) [lost]
= failed unexpected-reply`,
  },
  {
    name: "content that ends when its refusal has begun to come gets no dot, and nothing follows it",
    options: { schedule: "across" },
    uncut: true,
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> piece Hello
C: Hello (no line end)
> deliver c@x d@x
> bytes 55
> end
> awaiting
= end-of-data
> room
= no
> deliver e@x f@x
= misuse
> bytes 2 too much\\n
= done b@x:refused(552 end-of-data)
= done d@x:deferred [lost] [unexpected-reply]
= failed unexpected-reply`,
  },
  {
    name: "an acceptance before the content has come to its end is none",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go on
= need-content
> piece Hello
C: Hello (no line end)
> bytes 2
= done b@x:deferred [lost] [protocol]
= failed protocol`,
  },
  {
    name: "2yz is no reply to DATA: has the server begun to read content, or not?",
    text: `${HELLO}
> deliver a@x b@x
C: MAIL FROM:<a@x> SIZE=7
C: RCPT TO:<b@x>
C: DATA
S: 250 ok
S: 250 ok
S: 250 ok
= done b@x:deferred [lost] [protocol]
= failed protocol`,
  },
];

testTranscripts(TRANSCRIPTS);
