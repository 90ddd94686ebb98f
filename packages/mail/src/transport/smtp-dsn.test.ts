import assert from "node:assert/strict";
import { test } from "node:test";
import { plainServer } from "../../../../test/peer/scripted-server.ts";
import { startSmtpSink, withoutSmtpSink } from "../../../../test/peer/smtp-sink.ts";
import type { DeliverableMessage, DeliveryStatusRequest, Receipt } from "../delivery.ts";
import { Message } from "../message/message.ts";
import { smtpTransport } from "./smtp.ts";

const DSN: DeliveryStatusRequest = {
  notify: ["failure", "delay"],
  ret: "headers",
  envelopeId: "batch 7+1",
  originalRecipients: { "a@x.example": "a+list@x.example", "b@x.example": "사용자@x.example" },
};
const message = (dsn?: DeliveryStatusRequest): Message =>
  new Message({ from: "from@example.com", to: ["a@x.example", "b@x.example", "c@x.example"], dsn });

function foreign(dsn: unknown): DeliverableMessage {
  const envelope = { reversePath: "", forwardPaths: ["a@x.example", "b@x.example"], dsn: dsn as DeliveryStatusRequest };
  return { messageId: "<1@x.example>", envelope: () => envelope, toBytes: () => Buffer.from("Subject: x\r\n\r\n") };
}

async function deliver(port: number, sent: DeliverableMessage): Promise<Receipt | undefined> {
  const transport = smtpTransport({ host: "127.0.0.1", port });
  const [receipt] = await Array.fromAsync(transport.deliver([sent]));
  await transport.close();
  return receipt;
}

const offersDsn = (line: string): string | undefined => (line.startsWith("EHLO") ? "250-s\r\n250 DSN\r\n" : undefined);

test("a request becomes parameters of MAIL and RCPT, of a message and of a foreign one", async () => {
  const rcpt = [
    "RCPT TO:<a@x.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Blist@x.example",
    "RCPT TO:<b@x.example> NOTIFY=FAILURE,DELAY ORCPT=utf-8;\\x{C0AC}\\x{C6A9}\\x{C790}@x.example",
    "RCPT TO:<c@x.example> NOTIFY=FAILURE,DELAY",
  ];
  const rows: readonly [DeliverableMessage, readonly string[]][] = [
    [message(DSN), ["MAIL FROM:<from@example.com> RET=HDRS ENVID=batch+207+2B1", ...rcpt]],
    [foreign(DSN), ["MAIL FROM:<> RET=HDRS ENVID=batch+207+2B1", ...rcpt.slice(0, 2)]],
    [
      foreign({ notify: "never" }),
      ["MAIL FROM:<>", "RCPT TO:<a@x.example> NOTIFY=NEVER", "RCPT TO:<b@x.example> NOTIFY=NEVER"],
    ],
    [foreign({ ret: "full" }), ["MAIL FROM:<> RET=FULL", "RCPT TO:<a@x.example>", "RCPT TO:<b@x.example>"]],
  ];
  for (const [sent, expected] of rows) {
    await using server = await plainServer(offersDsn);
    assert.equal((await deliver(server.port, sent))?.status, "accepted");
    assert.deepEqual(
      server.lines.filter((line) => /^(MAIL|RCPT)/.test(line)),
      expected,
    );
  }
});

test("a server that offers no DSN does not get the message, and gets the next one without a request", async () => {
  await using server = await plainServer();
  const transport = smtpTransport({ host: "127.0.0.1", port: server.port });
  const receipts = await Array.fromAsync(transport.deliver([message({ ret: "full" }), message({}), message()]));
  await transport.close();
  assert.deepEqual(
    receipts.map(({ status, error }) => [status, (error as { code?: string } | undefined)?.code]),
    [
      ["refused", "extension-missing"],
      ["accepted", undefined],
      ["accepted", undefined],
    ],
  );
  assert.equal(server.lines.filter((line) => line.startsWith("MAIL")).length, 2);
});

test("a foreign message's request is judged like a message's own, before a connection is made", async () => {
  await using server = await plainServer(offersDsn);
  const wrong: readonly [string, unknown][] = [
    ["dsn.notify", { notify: ["never", "failure"] }],
    ["dsn.envelopeId", { envelopeId: "x\r\nRCPT TO:<evil@example.com>" }],
    ['dsn.originalRecipients["c@x.example"]', { originalRecipients: { "c@x.example": "c@x.example" } }],
  ];
  for (const [field, dsn] of wrong) {
    const receipt = await deliver(server.port, foreign(dsn));
    assert.deepEqual([receipt?.status, (receipt?.error as { field?: string }).field], ["refused", field]);
  }
  assert.equal(server.connections, 0);
});

test("Postfix's smtp-sink takes the parameters", { skip: withoutSmtpSink }, async () => {
  await using sink = await startSmtpSink();
  const transport = smtpTransport({ path: sink.path, clientName: "client.example" });
  const [receipt] = await Array.fromAsync(transport.deliver([message(DSN)]));
  await transport.close();
  assert.equal(receipt?.status, "accepted");
  const [dump = ""] = await sink.dumps();
  assert.match(dump, /^X-Mail-Args: <from@example\.com> RET=HDRS ENVID=batch\+207\+2B1$/m);
  assert.match(dump, /^X-Rcpt-Args: <a@x\.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a\+2Blist@x\.example$/m);
});
