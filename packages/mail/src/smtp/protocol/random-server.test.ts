/**
 * Random servers against a random driver. The server is a model of its own: it reads what the client writes, octet by
 * octet, keeps its transaction, and knows what it accepted under which sender and for whom; the machine's outcomes are
 * compared with that. `POSTHASTE_SEED` repeats a run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decode, encode, OPTIONS } from "../../../../../test/peer/transcript.ts";
import { SmtpError } from "../../errors.ts";
import { LocalProtocolError } from "./command.ts";
import { ClientConnection } from "./connection.ts";
import type { Output } from "./output.ts";
import type { Schedule } from "./schedule.ts";
import type { TransactionOutcome, TransactionRequest } from "./transaction.ts";
import { canonical } from "./transparency.ts";

const SEED = Number(process.env.POSTHASTE_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** What kind of server it is. */
interface Traits {
  readonly protocol: "smtp" | "lmtp";
  readonly pipelining: boolean;
  readonly chunking: boolean;
  /** Answers 503 to what came in one packet behind a dot, and does none of it. */
  readonly refusesBehindDot: boolean;
  /** BDAT is no command to it, so that the chunk is read as commands. */
  readonly readsChunksAsCommands: boolean;
  /** Answers DATA 354 although there are no recipients. */
  readonly lax: boolean;
  /** How often something goes wrong, in percent. */
  readonly trouble: number;
}

interface Accepted {
  readonly sender: string | undefined;
  readonly recipients: readonly string[];
  readonly content: string;
}

/** Chance that can be repeated: numbers from 0 to 99. */
type Dice = () => number;

function diceOf(seed: number): Dice {
  let state = seed | 0;
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % 100;
  };
}

const MALFORMED = ["garbage\r\n", "600 what\r\n", "\r\n", "250-a\r\n251 b\r\n", "25", "250_ok\r\n", "354 go on\r\n"];
const TROUBLE = ["421 closing", "450 later", "451 later", "452 4.5.3 too many", "503 bad sequence", "550 no", "554 no"];

class ModelServer {
  readonly #traits: Traits;
  readonly #dice: Dice;
  #input = "";
  /** Replies that the client has not read, and whether there will be more. */
  output = "";
  isClosed = false;
  #mode: "commands" | "data" = "commands";
  #sender: string | undefined;
  #recipients: string[] = [];
  #isBehindDot = false;
  /** The last command that nothing may follow, while its reply is unread. */
  #last = "";
  #chunkAccepted = false;
  /** It has read a chunk as commands. */
  misreadChunk = false;
  /** Octets of a chunk that are still to be read as commands. */
  #misread = 0;
  refusedContent = false;
  /** RSET was refused, so that a sender may be wrong by the server's own doing. */
  refusedReset = false;
  readonly accepted: Accepted[] = [];

  constructor(traits: Traits, dice: Dice) {
    this.#traits = traits;
    this.#dice = dice;
    this.#reply("greeting", "220 server");
  }

  /** Whether the client owes the rest of the content. */
  get awaitsContent(): boolean {
    return this.#mode === "data";
  }

  receive(text: string): void {
    this.#input += text;
    this.#isBehindDot = false;
    while (!this.isClosed && (this.#mode === "data" ? this.#readContent() : this.#readCommand()));
  }

  #readContent(): boolean {
    const end = this.#input.startsWith(".\r\n") ? 0 : this.#input.indexOf("\r\n.\r\n") + 2;
    if (end === 1) {
      this.#refuseContent();
      return false;
    }
    const content = this.#input.slice(0, end).replace(/^\./gm, "");
    this.#input = this.#input.slice(end + 3);
    this.#mode = "commands";
    this.#isBehindDot = true;
    this.#last = "";
    this.#finish("end-of-data", content);
    return true;
  }

  /** It has seen enough of it: a reply that nobody asked for, and then it is gone. */
  #refuseContent(): void {
    if (this.#input === "" || this.#dice() >= this.#traits.trouble / 4) return;
    this.#say(TROUBLE[this.#dice() % TROUBLE.length] ?? "");
    this.isClosed = true;
    this.refusedContent = true;
  }

  /** By SMTP one verdict, by LMTP one for each recipient. */
  #finish(verb: string, content: string): void {
    const [sender, recipients] = [this.#sender, this.#recipients];
    const groups = this.#traits.protocol === "lmtp" ? recipients.map((each) => [each]) : [recipients];
    this.#sender = undefined;
    this.#recipients = [];
    for (const group of groups) {
      if (this.isClosed) return;
      if (this.#reply(verb, "250 2.0.0 accepted")) this.accepted.push({ sender, recipients: group, content });
    }
  }

  #readCommand(): boolean {
    const end = this.#input.indexOf("\r\n");
    if (end === -1) return false;
    const line = this.#input.slice(0, end);
    const [verb = ""] = line.split(/[ :]/);
    const size = verb === "BDAT" && !this.#traits.readsChunksAsCommands ? Number(line.split(" ")[1]) : 0;
    if (this.#input.length < end + 2 + size) return false;
    const chunk = this.#input.slice(end + 2, end + 2 + size);
    this.misreadChunk ||= this.#misread > 0;
    if (verb === "BDAT" && size === 0) this.#misread += Number(line.split(" ")[1]) + end + 2;
    this.#input = this.#input.slice(end + 2 + size);
    // A line of a chunk is nothing that the client said.
    if (this.#misread === 0 || verb === "BDAT") this.#watchManners(verb);
    if (this.#misread > 0) this.#misread = Math.max(0, this.#misread - end - 2);
    this.#command(verb, line, chunk);
    return true;
  }

  /** What RFC 2920 lets a client group, and no more. */
  #watchManners(verb: string): void {
    if (!this.#traits.pipelining)
      assert.equal(this.output, "", `${verb} left before the reply in front of it was read`);
    if (/^(?:EHLO|LHLO|HELO|DATA|NOOP|QUIT)$/.test(this.#last))
      assert.equal(this.output, "", `${verb} left behind ${this.#last}, whose reply was not read`);
    if (verb === "BDAT") {
      assert.ok(this.#traits.chunking, "BDAT was not offered");
      if (!this.#chunkAccepted) assert.equal(this.output, "", "the first chunk left before its recipients were known");
    }
    this.#last = verb;
  }

  #command(verb: string, line: string, chunk: string): void {
    if (this.#isBehindDot && this.#traits.refusesBehindDot) return void this.#say("503 bad sequence");
    switch (verb) {
      case "EHLO":
      case "LHLO": {
        const { pipelining, chunking } = this.#traits;
        const keywords = [...(pipelining ? ["PIPELINING"] : []), ...(chunking ? ["CHUNKING"] : []), "SIZE 100000"];
        return void this.#reply(verb, `250-s\r\n250-${keywords.join("\r\n250-")}\r\n250 DSN`);
      }
      case "RSET": {
        const isDone = this.#reply(verb, "250 reset");
        if (isDone) [this.#sender, this.#recipients] = [undefined, []];
        else this.refusedReset = true;
        return;
      }
      case "MAIL":
        // Trap 1: nested, and yet its recipients will be taken.
        if (this.#sender !== undefined) return this.#say("503 nested MAIL");
        if (this.#reply(verb, "250 ok")) this.#sender = /<(.*)>/.exec(line)?.[1];
        return;
      case "RCPT":
        if (this.#sender === undefined && !this.#traits.lax) return this.#say("503 need MAIL");
        if (this.#reply(verb, "250 ok")) this.#recipients.push(/<(.*)>/.exec(line)?.[1] ?? "");
        return;
      case "DATA":
        if (this.#recipients.length === 0 && !this.#traits.lax) return this.#say("503 need RCPT");
        if (this.#reply(verb, "354 go on")) this.#mode = "data";
        return;
      case "BDAT":
        return this.#chunk(chunk);
      default:
        return void (/^(?:HELO|NOOP|QUIT)$/.test(verb) ? this.#reply(verb, "250 ok") : this.#say("500 what?"));
    }
  }

  #chunk(chunk: string): void {
    if (this.#traits.readsChunksAsCommands) return this.#say("500 what?");
    if (this.#sender === undefined || this.#recipients.length === 0) return this.#say("503 need RCPT");
    const before = this.accepted.length;
    this.#finish("BDAT", chunk);
    this.#chunkAccepted ||= this.accepted.length > before;
  }

  #say(line: string): void {
    this.output += `${line}\r\n`;
    if (line.startsWith("421")) this.isClosed = true;
  }

  /** Says what is expected of it, or what is not. Whether it did what it was asked. */
  #reply(verb: string, line: string): boolean {
    if (this.#dice() >= this.#traits.trouble) {
      this.#say(line);
      return true;
    }
    const kind = this.#dice();
    if (kind < 10) {
      this.isClosed = true;
      // Half of those that close have done it before.
      return kind < 5;
    }
    if (kind < 25) return this.#sayMalformed(verb, kind);
    this.#say(TROUBLE[kind % TROUBLE.length] ?? "");
    return false;
  }

  /** Then nothing comes any more, and it may have been done. */
  #sayMalformed(verb: string, kind: number): boolean {
    const malformed = MALFORMED[kind % MALFORMED.length] ?? "";
    if (malformed.startsWith("354") && (verb === "DATA" || verb === "greeting")) this.#say("550 no");
    else {
      this.output += malformed;
      this.isClosed = true;
    }
    return kind % 2 === 0 && !malformed.startsWith("354") && verb !== "DATA";
  }
}

interface Item extends TransactionRequest {
  readonly number: number;
  readonly content: string;
  readonly byChunk: boolean;
  outcomes: TransactionOutcome[];
}

interface Scene {
  readonly traits: Traits;
  readonly schedule: Schedule;
  readonly recipients: readonly number[];
  readonly seed: number;
}

const CONTENTS = [
  "",
  "X: 1\r\n\r\n.\r\n..\r\n.a",
  "X: 1\n\n.b\r.c\n",
  "X: 1\r\n\r\nMAIL FROM:<evil@x>\r\nDATA\r\n.\r\nQUIT\r\n",
];

function itemsOf({ recipients, seed }: Scene): Item[] {
  return recipients.map((count, number) => ({
    number,
    envelope: {
      reversePath: `s${number}@x`,
      forwardPaths: Array.from({ length: count }, (_, place) => `r${number}-${place}@x`),
    },
    content: `X-Number: ${number}\r\n${CONTENTS[(seed + number) % CONTENTS.length] ?? ""}`,
    size: 7,
    eightBit: false,
    smtpUtf8: false,
    byChunk: (seed + number) % 5 !== 0,
    outcomes: [],
  }));
}

/** One driver, one server, and what is on the way between them. */
class Play {
  readonly server: ModelServer;
  readonly items: Item[];
  /** All that the client wrote. */
  written = "";
  readonly #dice: Dice;
  readonly #connection: ClientConnection<TransactionRequest>;
  readonly #queue: Item[];
  #toServer = "";
  #pieces: string[] | undefined;
  #isReady = false;
  #failed = false;

  constructor(scene: Scene) {
    this.#dice = diceOf(scene.seed);
    this.server = new ModelServer(scene.traits, this.#dice);
    this.items = itemsOf(scene);
    this.#queue = [...this.items];
    const { schedule, traits } = scene;
    this.#connection = new ClientConnection({ ...OPTIONS, schedule, protocol: traits.protocol });
  }

  /** Until nothing is left to do. A play that does not end is the fault that is looked for. */
  run(): void {
    for (let step = 0; !this.#connection.isClosed; step++) {
      assert.ok(step < 20_000, "it does not end");
      if (this.#dice() < 5) this.#misuse();
      if (!this.#step()) this.#stuck();
    }
    assert.deepEqual(this.#connection.receive(encode("250 ok\r\n")), []);
    this.server.receive(this.#toServer);
  }

  /** Something that can happen now, by chance; false: nothing can. */
  #step(): boolean {
    const can = [
      ...(this.#toServer === "" ? [] : [() => this.#carryToServer()]),
      ...(this.server.output === "" ? [] : [() => this.#carryToClient()]),
      ...(this.#pieces === undefined ? [] : [() => this.#sendContent()]),
      ...(this.#isReady && this.#queue.length > 0 && this.#connection.hasRoom ? [() => this.#deliver()] : []),
    ];
    const act = can[this.#dice() % can.length];
    act?.();
    return act !== undefined;
  }

  #cut(text: string): number {
    return this.#dice() < 60 ? text.length : 1 + (this.#dice() % text.length);
  }

  #carryToServer(): void {
    const end = this.#cut(this.#toServer);
    const text = this.#toServer.slice(0, end);
    this.#toServer = this.#toServer.slice(end);
    this.server.receive(text);
  }

  #carryToClient(): void {
    const end = this.#cut(this.server.output);
    const text = this.server.output.slice(0, end);
    this.server.output = this.server.output.slice(end);
    this.#drive(this.#connection.receive(encode(text)));
  }

  #deliver(): void {
    const item = this.#queue.shift();
    assert.ok(item);
    if (this.#dice() < 5 && this.#connection.isIdle) {
      this.#queue.unshift(item);
      return this.#drive(this.#connection.noop());
    }
    const chunk = this.#connection.takesChunks && item.byChunk ? canonical(encode(item.content)) : undefined;
    const request = Object.assign(item, { chunk });
    this.#drive(this.#connection.deliver(request));
  }

  #sendContent(): void {
    const piece = this.#pieces?.shift();
    if (piece !== undefined) return this.#drive(this.#connection.content(encode(piece)));
    this.#pieces = undefined;
    this.#drive(this.#connection.endOfContent());
  }

  /** Nothing is on its way: the server closed, or all is done, or one waits for the other for ever. */
  #stuck(): void {
    if (this.server.isClosed) return this.#drive(this.#connection.receiveEof());
    assert.ok(
      this.#connection.isIdle,
      `it waits for ${this.#connection.awaiting ?? "nothing"}, and the server owes nothing`,
    );
    assert.equal(this.#queue.length, 0, "it takes no message any more");
    this.#drive(this.#connection.quit());
  }

  /** Calls out of order throw one error, and change nothing. */
  #misuse(): void {
    const connection = this.#connection;
    const [item] = this.items;
    assert.ok(item);
    const calls = [
      ...(this.#pieces === undefined ? [() => connection.content(encode("x")), () => connection.endOfContent()] : []),
      ...(connection.hasRoom ? [] : [() => connection.deliver(item)]),
      ...(connection.isIdle ? [] : [() => connection.quit(), () => connection.noop()]),
      () => connection.tlsEstablished(),
      () => connection.sasl(encode("x"), true),
    ];
    const call = calls[this.#dice() % calls.length];
    assert.ok(call);
    assert.throws(call, LocalProtocolError);
  }

  #drive(outputs: readonly Output[]): void {
    for (const output of outputs) {
      if (output.type === "write") {
        assert.ok(!this.#failed, "nothing is written behind a failure");
        this.#toServer += decode(output.octets);
        this.written += decode(output.octets);
      } else if (output.type === "ready") this.#isReady = true;
      else if (output.type === "need-content") this.#pieces = this.#piecesOf(output.request as Item);
      else if (output.type === "done") this.#onDone(output.request as Item, output.outcome);
      else if (output.type === "failed") {
        assert.ok(output.error instanceof SmtpError);
        this.#failed = true;
      }
    }
    if (this.#connection.isClosed) this.#pieces = undefined;
  }

  #piecesOf({ content }: Item): string[] {
    const at = this.#cut(content);
    return [content.slice(0, at), content.slice(at)];
  }

  /** What is undecided is tried again, as a pool does: so it must not have been accepted. */
  #onDone(item: Item, outcome: TransactionOutcome): void {
    item.outcomes.push(outcome);
    if (outcome.undecided === "out-of-step" && item.outcomes.length < 3) this.#queue.push(item);
  }
}

/** What the server accepted of an item. */
function acceptedOf({ number }: Item, accepted: readonly Accepted[]): Accepted[] {
  return accepted.filter(({ content }) => content.startsWith(`X-Number: ${number}\r\n`));
}

function checkServer({ server, items }: Play): void {
  for (const { sender, recipients, content } of server.accepted) {
    const number = Number(/^X-Number: (\d+)\r\n/.exec(content)?.[1] ?? -1);
    const item = items[number];
    // RFC 2920 section 3.1: the lone dot, for nobody.
    if (content === "" && recipients.length === 0) continue;
    // Commands inside of a chunk: no client can help it, so a window is for servers that the user vouches for.
    if (item === undefined && server.misreadChunk) continue;
    assert.ok(item, `an empty or strange message was accepted for ${recipients.join()}`);
    assert.equal(content, decode(canonical(encode(item.content))), "the content arrives whole");
    if (server.refusedReset) continue;
    assert.equal(sender, item.envelope.reversePath, "the sender is right");
    for (const each of recipients) assert.ok(item.envelope.forwardPaths.includes(each), `${each} is a recipient`);
  }
}

/** What the machine said of an item, and what the server did. */
function checkItem(item: Item, { server, written }: Play): void {
  const accepted = acceptedOf(item, server.accepted);
  for (const [place, address] of item.envelope.forwardPaths.entries()) {
    const times = accepted.filter(({ recipients }) => recipients.includes(address)).length;
    const said = item.outcomes.map(({ recipients }) => recipients[place]?.status);
    const saidAccepted = said.filter((status) => status === "accepted").length;
    if (saidAccepted > 0) assert.ok(times > 0, `${address} was reported accepted and was not: ${said.join()}`);
    assert.ok(times <= 1, `${address} was accepted ${times} times`);
    if (times > 0)
      assert.match(said.join(), /accepted|unknown/, `${address} was accepted, and reported ${said.join()}`);
  }
  for (const { undecided } of item.outcomes.slice(0, -1)) assert.equal(undecided, "out-of-step");
  for (const { undecided, recipients } of item.outcomes) {
    const statuses = recipients.map(({ status }) => status).join();
    if (undecided !== undefined) assert.doesNotMatch(statuses, /accepted|unknown/, `${undecided} is tried again`);
    if (statuses.includes("unknown"))
      assert.ok(written.includes(`X-Number: ${item.number}\r\n`), "what never left is not in doubt");
  }
}

const traits = fc.record({
  protocol: fc.constantFrom("smtp", "smtp", "lmtp"),
  pipelining: fc.oneof(fc.constant(true), fc.boolean()),
  chunking: fc.oneof(fc.constant(true), fc.boolean()),
  refusesBehindDot: fc.constantFrom(false, false, false, true),
  readsChunksAsCommands: fc.constantFrom(false, false, false, false, true),
  lax: fc.boolean(),
  trouble: fc.constantFrom(0, 2, 5, 10, 30),
});
const scene = fc.record({
  traits,
  schedule: fc.constantFrom<Schedule>("lockstep", "grouped", "across", "across", { window: 2 }, { window: 4 }),
  recipients: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 8 }),
  seed: fc.nat(),
});

/** How often the interesting things happened, so that the test is known to see them. */
const seen = { accepted: 0, unknown: 0, outOfStep: 0, again: 0, refusedContent: 0 };

test(`random servers: nothing hangs, nothing is thrown, the verdicts are the server's (POSTHASTE_SEED=${SEED})`, () => {
  fc.assert(
    fc.property(scene, (each) => {
      const play = new Play(each);
      play.run();
      checkServer(play);
      if (play.server.refusedContent) seen.refusedContent++;
      for (const item of play.items) {
        checkItem(item, play);
        const statuses = item.outcomes.flatMap(({ recipients }) => recipients.map(({ status }) => status));
        if (statuses.includes("accepted")) seen.accepted++;
        if (statuses.includes("unknown")) seen.unknown++;
        if (item.outcomes.length > 1) seen.again++;
        if (item.outcomes.some(({ undecided }) => undecided === "out-of-step")) seen.outOfStep++;
      }
    }),
    { numRuns: 2500, seed: SEED },
  );
  for (const [what, times] of Object.entries(seen)) assert.ok(times > 10, `${what}: ${times}`);
});

/** A server that answers anything at all, to whatever it was asked. */
const SOME_REPLIES = [
  "220 s\r\n",
  "250 ok\r\n",
  "250-s\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
  "354 go\r\n",
  "334 \r\n",
  "235 ok\r\n",
  "421 bye\r\n",
  "451 later\r\n",
  "503 bad sequence\r\n",
  "550 no\r\n",
  "251 ok\r\n",
  "garbage\r\n",
  "25",
  "\r\n",
  "600 x\r\n",
];
/** What leads to a session that takes mail, so that chance has something to spoil. */
const PROLOGUES = [[], [0], [0, 2], [0, 2, 0, 2, 5], [0, 2, 5], [0, 2, 1, 1, 3]];

const nonsense = fc.record({
  prologue: fc.constantFrom(...PROLOGUES).map((places) => places.map((place) => SOME_REPLIES[place] ?? "")),
  replies: fc.array(fc.constantFrom(...SOME_REPLIES), { maxLength: 30 }),
  tls: fc.constantFrom("none", "opportunistic", "starttls"),
  protocol: fc.constantFrom("smtp", "smtp", "lmtp"),
  schedule: fc.constantFrom<Schedule>("grouped", "across", { window: 3 }),
  mechanisms: fc.constantFrom(["PLAIN"], []),
});
type Nonsense = typeof nonsense extends fc.Arbitrary<infer T> ? T : never;

function playNonsense({ prologue, replies, ...options }: Nonsense): void {
  const connection = new ClientConnection({ ...OPTIONS, ...options, clearAuth: true });
  // By LMTP the last reply is another recipient's.
  const isLmtp = options.protocol === "lmtp";
  let answered = "";
  let failed = false;
  const deliver = (): void => {
    while (connection.hasRoom) {
      const envelope = { reversePath: "a@x", forwardPaths: ["b@x", "c@x"] };
      const chunk = connection.takesChunks ? encode("Hello\r\n") : undefined;
      drive(connection.deliver({ envelope, size: 7, eightBit: false, smtpUtf8: false, chunk }));
    }
  };
  const drive = (outputs: readonly Output[]): void => {
    for (const output of outputs) {
      if (failed) assert.notEqual(output.type, "write", "nothing is written behind a failure");
      if (output.type === "upgrade-tls") drive(connection.tlsEstablished());
      else if (output.type === "need-sasl") drive(connection.sasl(encode("x"), true));
      else if (output.type === "need-content") {
        deliver();
        if (connection.awaiting === "content")
          drive([...connection.content(encode("x")), ...connection.endOfContent()]);
      } else if (output.type === "failed") {
        failed = true;
        assert.ok(output.error instanceof SmtpError);
      } else if (output.type === "done")
        for (const { status, reply } of output.outcome.recipients)
          if (status === "accepted")
            assert.match(`${reply?.code ?? ""}${isLmtp ? "" : ` ${answered}`}`, /^2\d\d(?: 2|$)/);
    }
    deliver();
  };
  for (const reply of [...prologue, ...replies]) {
    answered = reply;
    drive(connection.receive(encode(reply)));
  }
  drive(connection.receiveEof());
  assert.ok(connection.isClosed);
  assert.deepEqual(connection.receive(encode("250 ok\r\n")), []);
}

test(`whatever comes, the machine fails by outputs, and accepts only by 2yz (POSTHASTE_SEED=${SEED})`, () => {
  fc.assert(fc.property(nonsense, playNonsense), { numRuns: 1500, seed: SEED });
});
