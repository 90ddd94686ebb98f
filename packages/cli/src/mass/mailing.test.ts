import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { memoryTransport, smtpTransport, type Transport } from "posthaste";
import { temporaryFolder } from "../../../../test/peer/posthaste.ts";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import { createComposer } from "./composer.ts";
import { Journal, type MailingCounts } from "./journal.ts";
import { runMailing } from "./mailing.ts";
import type { Row } from "./row.ts";

/** A journal that has no room for verdicts any more. */
class VerdictsLost extends Journal {
  override settle(): never {
    throw new Error("the disk is full");
  }
}

/** One that has no room for anything. */
class Full extends VerdictsLost {
  override mark(): never {
    throw new Error("the disk is full");
  }

  override unmark(): never {
    throw new Error("the disk is full");
  }
}

async function* rows(count: number): AsyncGenerator<Row> {
  for (let number = 1; number <= count; number++)
    yield { number, line: number + 1, columns: { email: `kim${number}@example.com` } };
}

const composer = createComposer(
  {
    from: "lee@example.com",
    to: ["{{ email }}"],
    cc: [],
    bcc: [],
    replyTo: [],
    subject: "a",
    headers: [],
    attach: [],
    text: "b",
    html: undefined,
  },
  false,
);

/** Runs a mailing that its journal ends, and says what the journal knows then. */
async function countsOf(kind: typeof Journal, count: number, transport: Transport): Promise<MailingCounts> {
  await using folder = await temporaryFolder();
  using journal = new kind(join(folder.path, "journal"), { file: "digest", rows: count, templates: {} }, false);
  const mailing = {
    rows: rows(count),
    composer,
    journal,
    transport,
    inDoubt: "resend",
    onRow: () => undefined,
  } as const;
  await assert.rejects(runMailing({ ...mailing, signal: new AbortController().signal }), /^Error: the disk is full$/);
  return journal.counts();
}

test("a row whose verdict cannot be kept stays in doubt: it was accepted, and must not count as never sent", async () => {
  const transport = memoryTransport();
  const { unknown, untried } = await countsOf(VerdictsLost, 2, transport);
  assert.equal(transport.box.length, 1);
  assert.deepEqual({ unknown, untried }, { unknown: 1, untried: 1 });
});

test("what was under way when a verdict could not be kept is in doubt where it left, and else as if it had not been tried", async () => {
  for (const pipelining of ["off", "auto", { bdatWindow: 4 }] as const) {
    await using peer = await startSmtpPeer();
    const transport = smtpTransport({ host: "127.0.0.1", port: peer.port, connections: 2, pipelining });
    const { unknown, untried } = await countsOf(VerdictsLost, 200, transport);
    await transport.close();
    assert.deepEqual({ unknown, untried }, { unknown: peer.messages.length, untried: 200 - peer.messages.length });
    assert.ok(peer.messages.length < 36, `${peer.messages.length} left`);
  }
});

test("where the journal cannot say that a message may leave, nothing leaves, and the mailing ends with the journal's error", async () => {
  await using peer = await startSmtpPeer();
  const transport = smtpTransport({ host: "127.0.0.1", port: peer.port });
  const { untried } = await countsOf(Full, 100, transport);
  await transport.close();
  assert.deepEqual([untried, peer.messages.length, peer.sessions.length], [100, 0, 1]);
  assert.equal((await countsOf(Full, 100, memoryTransport())).untried, 100);
});

test("where a transport ends by an error, what it says it did not try was not sent; of the rest nobody knows", async () => {
  for (const [error, unknown] of [
    [Object.assign(new Error("the disk is full"), { nextIndex: 1 }), 1],
    [new Error("the disk is full"), 3],
  ] as const) {
    const transport: Transport = {
      async *deliver(messages, { beforeEndOfData } = {}) {
        const read: { index: number; messageId: string }[] = [];
        for await (const { messageId } of messages) read.push({ index: read.length, messageId });
        await beforeEndOfData?.(read);
        yield* [];
        throw error;
      },
      close: () => Promise.resolve(),
    };
    const counts = await countsOf(Journal, 3, transport);
    assert.deepEqual([counts.unknown, counts.untried], [unknown, 3 - unknown]);
  }
});
