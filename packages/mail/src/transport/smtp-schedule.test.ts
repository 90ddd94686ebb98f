import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Fault,
  type FaultPlan,
  type FaultServer,
  refusesBehindDot,
  startFaultServer,
} from "../../../../test/peer/fault-server.ts";
import { letterFor } from "../../../../test/peer/letter.ts";
import type { SmtpOptions } from "../smtp/client/options.ts";
import { smtpTransport } from "./smtp.ts";

/** At the fourth MAIL of the connection, which brought messages to a verdict by then. */
const at =
  (connection: number, fault: Fault): FaultPlan =>
  (step) =>
    step.connection === connection && step.verb === "MAIL" && step.messages === 3 ? fault : undefined;

const either =
  (...plans: FaultPlan[]): FaultPlan =>
  (step) =>
    plans.map((plan) => plan(step)).find((fault) => fault !== undefined);

const LOST: Fault = { kind: "close", done: false };
const BREACH: Fault = { kind: "garbage", done: false };

/** The schedule of each connection, by what came in one piece. */
function schedulesOf({ connections, steps }: FaultServer): string[] {
  return Array.from({ length: connections }, (_, index) => {
    const own = steps.filter(({ connection }) => connection === index + 1);
    if (own.some(({ verb }) => verb === "BDAT")) return "window";
    if (own.some(({ behindDot }) => behindDot)) return "across";
    return own.some(({ inGroup }) => inGroup) ? "grouped" : "lockstep";
  });
}

/** What the first connections have, each of 50 messages but for those that go wrong. */
const ROWS: Readonly<
  Record<string, readonly [pipelining: SmtpOptions["pipelining"], plan: FaultPlan, schedules: readonly string[]]>
> = {
  "a lost connection: one step slower, until 100 messages were accepted": [
    "auto",
    at(1, LOST),
    ["across", "grouped", "grouped", "across"],
  ],
  "the same where the reply to RSET was owed": [
    "auto",
    ({ connection, verb, messages }) => (connection === 1 && verb === "RSET" && messages === 3 ? LOST : undefined),
    ["across", "grouped", "grouped", "across"],
  ],
  "the same of a window": [{ bdatWindow: 4 }, at(1, LOST), ["window", "across", "across", "window"]],
  "the same of a group": ["grouped", at(1, LOST), ["grouped", "lockstep", "lockstep", "grouped"]],
  "octets that break the protocol: one step slower for good": [
    "auto",
    at(1, BREACH),
    ["across", "grouped", "grouped", "grouped"],
  ],
  "RSET refused, though all before it was accepted: one step slower for good": [
    "auto",
    ({ connection, verb, messages }) =>
      connection === 1 && verb === "RSET" && messages === 3 ? { kind: "reply", text: "502 5.5.1 no RSET" } : undefined,
    ["across", "grouped", "grouped", "grouped"],
  ],
  "503 behind a dot: one step slower for good": [
    "auto",
    (step) => (step.connection === 1 ? refusesBehindDot(step) : undefined),
    ["across", "grouped", "grouped", "grouped"],
  ],
  "behind a fall for good, a lost connection falls from there and comes back to there": [
    "auto",
    either(at(1, BREACH), at(2, LOST)),
    ["across", "grouped", "lockstep", "lockstep", "grouped"],
  ],
  "in a fall for a while, one for good stays": [
    "auto",
    either(at(1, LOST), at(2, BREACH)),
    ["across", "grouped", "lockstep", "lockstep", "lockstep"],
  ],
};

describe("what goes wrong makes the transport slower, from the next connection on", { concurrency: 4 }, () => {
  for (const [name, [pipelining, plan, schedules]] of Object.entries(ROWS)) {
    test(name, async () => {
      await using server = await startFaultServer({ plan });
      await using transport = smtpTransport({
        host: "127.0.0.1",
        port: server.port,
        pipelining,
        messagesPerConnection: 50,
      });
      const letters = Array.from({ length: 50 * schedules.length }, (_, index) => letterFor(`letter${index}`));
      await Array.fromAsync(transport.deliver(letters));
      assert.deepEqual(schedulesOf(server).slice(0, schedules.length), schedules);
    });
  }

  test("a connection that was ended here shows nothing of the server", async () => {
    await using server = await startFaultServer({ keywords: ["PIPELINING", "SIZE 1000"] });
    await using transport = smtpTransport({ host: "127.0.0.1", port: server.port });
    async function* open(): AsyncGenerator<Uint8Array> {
      yield Buffer.from("0123456\r\n".repeat(200));
    }
    const large = { ...letterFor("large"), streaming: { size: undefined, eightBit: false, smtpUtf8: false, open } };
    const letters = Array.from({ length: 9 }, (_, index) => letterFor(`letter${index}`));
    const receipts = await Array.fromAsync(transport.deliver([letterFor("first"), large, ...letters]));
    assert.deepEqual([receipts[1]?.status, receipts.at(-1)?.status], ["refused", "accepted"]);
    assert.deepEqual(schedulesOf(server), ["across", "across"]);
  });
});
