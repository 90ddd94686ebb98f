/** Every reply code at every stage, in each schedule: what a number alone comes to (RFC 5321 section 4.2.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describeOutcome, encode, OPTIONS, requestOf } from "../../../../../test/peer/transcript.ts";
import { ClientConnection } from "./connection.ts";
import type { Output } from "./output.ts";
import type { ConnectionOptions } from "./session-initiation.ts";
import type { Verb } from "./timeout.ts";

const CODES = Array.from({ length: 400 }, (_, index) => index + 200);
const OK: Partial<Record<Verb, string>> = {
  greeting: "220 s",
  STARTTLS: "220 go on",
  AUTH: "235 ok",
  DATA: "354 go on",
};

/** What the reply came to: what was put out, without what was written, and the verbs that were. */
function summary(outputs: readonly Output[]): string {
  return outputs
    .map((output) => {
      if (output.type === "write") return `writes ${/^\S+/.exec(new TextDecoder().decode(output.octets))?.[0] ?? ""}`;
      if (output.type === "done") return describeOutcome(output.outcome);
      return output.type === "failed" ? `failed ${output.error.code}` : output.type;
    })
    .join(", ");
}

interface Stage {
  readonly name: string;
  readonly options?: Partial<ConnectionOptions>;
  readonly ehlo?: readonly string[];
  /** At which reply, counted from 0 by its verb. */
  readonly verb: Verb;
  readonly nth?: number;
  /** What each reply behind it says. */
  readonly rest?: readonly string[];
  /** What a code comes to, in the outputs up to the end of that receive. */
  expected(code: number): string;
}

/** Drives a session of three messages to the reply in question, which is given with the code. */
function answer({ options, ehlo = [], verb, nth = 0, rest = [] }: Stage, code: number): string {
  const connection = new ClientConnection({ ...OPTIONS, ...options });
  const offered = ["s", ...ehlo].map((line, index) => `250${index === ehlo.length ? " " : "-"}${line}\r\n`).join("");
  let given = 0;
  const deliver = (): void => {
    while (connection.hasRoom && given < 3) {
      const chunk = connection.takesChunks ? encode("Hello\r\n") : undefined;
      drive(connection.deliver({ ...requestOf("a@x", [`r${++given}@x`]), chunk }));
    }
  };
  const drive = (outputs: readonly Output[]): void => {
    for (const output of outputs) {
      if (output.type === "upgrade-tls") drive(connection.tlsEstablished());
      else if (output.type === "need-sasl") drive(connection.sasl(encode("x"), true));
      else if (output.type === "need-content") {
        deliver();
        drive([...connection.content(encode("Hello")), ...connection.endOfContent()]);
      }
    }
    deliver();
  };
  for (let seen = 0; ;) {
    const { awaiting } = connection;
    assert.ok(awaiting !== undefined, `the session came to ${verb}`);
    if (awaiting === verb && seen++ === nth) break;
    drive(connection.receive(encode(awaiting === "EHLO" ? offered : `${OK[awaiting] ?? "250 ok"}\r\n`)));
  }
  const replies = [`${String(code).padStart(3, "0")} text`, ...rest].map((line) => `${line}\r\n`).join("");
  return summary(connection.receive(encode(replies)));
}

const PIPELINING = ["PIPELINING", "CHUNKING"];
const grouped = { options: { schedule: "grouped" }, ehlo: PIPELINING } as const;
const across = { options: { schedule: "across" }, ehlo: PIPELINING } as const;
const windowed = { options: { schedule: { window: 3 } }, ehlo: PIPELINING } as const;

const isPositive = (code: number): boolean => code < 300;
const isIntermediate = (code: number): boolean => code >= 300 && code < 400;
const verdict = (code: number): string => (isPositive(code) ? "accepted" : code < 500 ? "deferred" : "refused");
const lost = "[lost] [protocol]";

/** A transaction alone in its session, in lockstep. */
const LOCKSTEP: readonly Stage[] = [
  {
    name: "MAIL",
    verb: "MAIL",
    expected: (code) => {
      if (isPositive(code)) return "writes RCPT";
      if (isIntermediate(code)) return `r1@x:deferred ${lost}, failed protocol`;
      if (code === 421) return "r1@x:deferred(421 MAIL) [lost], failed unexpected-reply";
      return `r1@x:${verdict(code)}(${code} MAIL)`;
    },
  },
  {
    name: "RCPT",
    verb: "RCPT",
    expected: (code) => {
      if (isPositive(code)) return "writes DATA";
      if (isIntermediate(code)) return `r1@x:deferred ${lost}, failed protocol`;
      if (code === 421) return "r1@x:deferred(421 RCPT) [lost], failed unexpected-reply";
      return `r1@x:${verdict(code)}(${code} RCPT)`;
    },
  },
];

const rsetStage = (code: number, status: string): string => {
  if (code === 421) return "r2@x:deferred(421 RSET) [lost], failed unexpected-reply";
  const error = isIntermediate(code) ? "protocol" : "unexpected-reply";
  return `r2@x:${status} [${error}], failed ${error}`;
};

const dataStage = (code: number): string => {
  if (code === 354) return "need-content";
  if (code < 400) return `r1@x:deferred ${lost}, failed protocol`;
  if (code === 421) return "r1@x:deferred(421 DATA) [lost], failed unexpected-reply";
  return `r1@x:${verdict(code)}(${code} DATA)`;
};

const dotStage = (code: number): string => {
  if (isIntermediate(code)) return "r1@x:unknown [protocol], failed protocol";
  const failed = code === 421 ? ", failed unexpected-reply" : "";
  return `r1@x:${verdict(code)}(${code} end-of-data)${failed}`;
};

/** Inside a group, with what a server says to the rest of it. */
const GROUPED: readonly Stage[] = [
  {
    ...grouped,
    name: "MAIL in a group",
    verb: "MAIL",
    rest: ["503 need MAIL", "503 need RCPT"],
    expected: (code) => {
      if (isPositive(code)) return "r1@x:refused(503 RCPT)";
      if (isIntermediate(code)) return `r1@x:deferred ${lost}, failed protocol`;
      if (code === 421) return "r1@x:deferred(421 MAIL) [lost], failed unexpected-reply";
      return `r1@x:${verdict(code)}(${code} MAIL)`;
    },
  },
  {
    ...grouped,
    name: "RCPT in a group",
    verb: "RCPT",
    rest: ["554 no recipients"],
    expected: (code) => {
      if (isPositive(code)) return "r1@x:refused(554 DATA)";
      if (isIntermediate(code)) return `r1@x:deferred ${lost}, failed protocol`;
      if (code === 421) return "r1@x:deferred(421 RCPT) [lost], failed unexpected-reply";
      return `r1@x:${verdict(code)}(${code} RCPT)`;
    },
  },
  { name: "DATA", verb: "DATA", expected: dataStage },
  { ...grouped, name: "DATA in a group", verb: "DATA", expected: dataStage },
  { name: "the dot", verb: "end-of-data", expected: dotStage },
  { ...grouped, name: "the dot of a group", verb: "end-of-data", expected: dotStage },
];

/** 503 says nothing there, so that the message may be tried again. */
const behind = (code: number, phase: string, rest = ""): string => {
  if (isIntermediate(code)) return `r2@x:deferred ${lost}, failed protocol`;
  if (code === 421) return `r2@x:deferred(421 ${phase}) [lost], failed unexpected-reply`;
  return `r2@x:${verdict(code)}(${code} ${phase})${code === 503 ? " [out-of-step]" : ""}${rest}`;
};

const ACROSS: readonly Stage[] = [
  {
    ...across,
    name: "the dot with another message behind it",
    verb: "end-of-data",
    expected: (code) => {
      if (isIntermediate(code)) return `r1@x:unknown [protocol], r2@x:deferred ${lost}, failed protocol`;
      const own = `r1@x:${verdict(code)}(${code} end-of-data)`;
      return code === 421 ? `${own}, r2@x:deferred [lost] [unexpected-reply], failed unexpected-reply` : own;
    },
  },
  {
    ...across,
    name: "RSET behind the dot",
    verb: "RSET",
    rest: ["503 no", "503 no", "503 no"],
    expected: (code) => {
      if (isPositive(code) || code === 503) return "r2@x:refused(503 MAIL) [out-of-step]";
      return rsetStage(code, "deferred [lost]");
    },
  },
  {
    ...across,
    name: "MAIL behind the dot",
    verb: "MAIL",
    nth: 1,
    rest: ["550 no", "503 no"],
    expected: (code) => (isPositive(code) ? "r2@x:refused(550 RCPT)" : behind(code, "MAIL")),
  },
  {
    ...across,
    name: "RCPT behind the dot",
    verb: "RCPT",
    nth: 1,
    rest: ["451 no"],
    expected: (code) => (isPositive(code) ? "r2@x:deferred(451 DATA)" : behind(code, "RCPT")),
  },
  {
    ...across,
    name: "DATA behind the dot",
    verb: "DATA",
    nth: 1,
    expected: (code) => {
      if (code === 354) return "need-content";
      return isPositive(code) ? `r2@x:deferred ${lost}, failed protocol` : behind(code, "DATA");
    },
  },
];

/** The second message of the window, with the third ahead; the first has opened it. */
const chunk = (code: number, ahead: string): string => {
  const error = code === 421 ? "unexpected-reply" : "protocol";
  const end = ahead === "" ? "" : `, ${code === 421 ? `${ahead}deferred [lost]` : `${ahead}unknown`} [${error}]`;
  const recipient = ahead === "" ? "r1@x" : "r2@x";
  if (isIntermediate(code)) return `${recipient}:unknown [protocol]${end}, failed protocol`;
  if (code === 421) return `${recipient}:deferred(421 BDAT)${end}, failed unexpected-reply`;
  if (code >= 500 && code <= 504) return `${recipient}:deferred [out-of-step] [protocol]${end}, failed protocol`;
  return `${recipient}:${verdict(code)}(${code} BDAT)`;
};

const WINDOW: readonly Stage[] = [
  { ...windowed, name: "the first BDAT", verb: "BDAT", expected: (code) => chunk(code, "") },
  { ...windowed, name: "BDAT in the window", verb: "BDAT", nth: 1, expected: (code) => chunk(code, "r3@x:") },
  {
    ...windowed,
    name: "RSET in the window",
    verb: "RSET",
    expected: (code) => {
      return isPositive(code) ? "" : rsetStage(code, "unknown").replace("r2@x", "r3@x");
    },
  },
  {
    options: { protocol: "lmtp" },
    name: "the dot by LMTP",
    verb: "end-of-data",
    expected: dotStage,
  },
];

const tls = { options: { tls: "starttls" }, ehlo: ["STARTTLS"] } as const;
const opportunistic = { options: { tls: "opportunistic" }, ehlo: ["STARTTLS"] } as const;
const auth = { options: { mechanisms: ["PLAIN", "LOGIN"], clearAuth: true }, ehlo: ["AUTH LOGIN PLAIN"] } as const;
const refusedSession = "failed unexpected-reply";

const INITIATION: readonly Stage[] = [
  {
    name: "the greeting",
    verb: "greeting",
    expected: (code) => (code === 220 ? "writes EHLO" : refusedSession),
  },
  {
    name: "EHLO",
    verb: "EHLO",
    expected: (code) => (isPositive(code) ? "ready" : code >= 500 ? "writes HELO" : refusedSession),
  },
  {
    name: "LHLO",
    options: { protocol: "lmtp" },
    verb: "LHLO",
    expected: (code) => (isPositive(code) ? "ready" : refusedSession),
  },
  {
    ...tls,
    name: "STARTTLS that is required",
    verb: "STARTTLS",
    expected: (code) => {
      if (code === 220) return "upgrade-tls";
      return code === 421 ? refusedSession : "writes QUIT, failed starttls-refused";
    },
  },
  {
    ...opportunistic,
    name: "STARTTLS that is not",
    verb: "STARTTLS",
    expected: (code) => (code === 220 ? "upgrade-tls" : code === 421 ? refusedSession : "ready"),
  },
  {
    ...auth,
    name: "AUTH",
    verb: "AUTH",
    expected: (code) => {
      if (isPositive(code)) return "ready";
      // "text" is base64.
      if (code === 334) return "need-sasl";
      if (code === 504 || code === 534) return "need-sasl";
      if (code === 421) return refusedSession;
      return code >= 500 ? "writes QUIT, failed auth-refused" : "writes QUIT, failed unexpected-reply";
    },
  },
];

for (const stage of [...INITIATION, ...LOCKSTEP, ...GROUPED, ...ACROSS, ...WINDOW])
  test(`every reply code to ${stage.name}`, () => {
    for (const code of CODES) assert.equal(answer(stage, code), stage.expected(code), `${code} to ${stage.name}`);
  });

test("every reply code to HELO", () => {
  for (const code of CODES) {
    const connection = new ClientConnection(OPTIONS);
    connection.receive(encode("220 s\r\n"));
    connection.receive(encode("500 what\r\n"));
    assert.equal(summary(connection.receive(encode(`${code} text\r\n`))), isPositive(code) ? "ready" : refusedSession);
  }
});

test("every reply code to RSET in lockstep", () => {
  for (const code of CODES) {
    const connection = new ClientConnection(OPTIONS);
    connection.receive(encode("220 s\r\n"));
    connection.receive(encode("250 s\r\n"));
    connection.deliver(requestOf("a@x", ["r1@x"]));
    connection.receive(encode("550 no\r\n"));
    connection.deliver(requestOf("a@x", ["r2@x"]));
    assert.equal(connection.awaiting, "RSET");
    const expected = isPositive(code) ? "writes MAIL" : rsetStage(code, "deferred [lost]");
    assert.equal(summary(connection.receive(encode(`${code} text\r\n`))), expected, `${code}`);
  }
});

test("every reply code to NOOP", () => {
  for (const code of CODES) {
    const connection = new ClientConnection(OPTIONS);
    connection.receive(encode("220 s\r\n"));
    connection.receive(encode("250 s\r\n"));
    connection.noop();
    const expected = isIntermediate(code) ? "failed protocol" : code === 421 ? refusedSession : "alive";
    assert.equal(summary(connection.receive(encode(`${code} text\r\n`))), expected, `${code}`);
  }
});

test("a code of 0 to 199 or from 600 on is no reply at any stage", () => {
  for (const code of [0, 100, 199, 600, 999])
    for (const stage of [...INITIATION, ...GROUPED, ...ACROSS, ...WINDOW])
      assert.match(answer({ ...stage, rest: [] }, code), /failed protocol$/, `${code} to ${stage.name}`);
});
