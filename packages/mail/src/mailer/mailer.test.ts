import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { startSmtpPeer } from "../../../../test/peer/smtp-peer.ts";
import type { DeliverOptions, Receipt, Transport } from "../delivery.ts";
import type { MessageError } from "../errors.ts";
import { AddressError, DeliveryError, HeaderError, SettingsError } from "../errors.ts";
import type { Message } from "../message/message.ts";
import { type MessageFields } from "../message/message.ts";
import { type MemoryMessage, memoryTransport } from "../transport/memory.ts";
import { smtpTransport } from "../transport/smtp.ts";
import { EmailMessage } from "./email-message.ts";
import { createMailer } from "./mailer.ts";
import type { MailerOptions, Observer } from "./mailer-options.ts";
import type { Progress } from "./watching.ts";

const letter = (fields: MessageFields = {}): EmailMessage =>
  new EmailMessage({ subject: "a", text: "b", from: "from@example.com", to: ["to@example.com"], ...fields });

function memoryMailer(options: Omit<MailerOptions, "transport"> = {}) {
  const transport = memoryTransport();
  return { ...createMailer({ transport, ...options }), box: transport.box };
}

const contentOf = (message: MemoryMessage | undefined): string => Buffer.from(message?.content ?? []).toString();
const inOrder = (receipts: Receipt[]): Receipt[] => receipts.toSorted((one, other) => one.index - other.index);
const statuses = (receipts: readonly Receipt[]): unknown[] => receipts.map(({ index, status }) => [index, status]);

test("a mailer gives what a message lacks: author, header fields in any case, Auto-Submitted, the time zone", async () => {
  const defaults = { from: "m@example.com", headers: { "X-One": "1", "List-Id": "<l.example.com>" }, localTime: true };
  const mailer = memoryMailer({ ...defaults, autoSubmitted: "auto-generated" });
  await mailer.send(letter({ from: null, headers: { "x-one": "own", "LIST-ID": null } }));
  await mailer.send(letter());
  const [first, second] = mailer.box.map(contentOf);
  assert.match(first ?? "", /^From: m@example\.com\r\n/m);
  assert.match(first ?? "", /^x-one: own\r\n/m);
  assert.doesNotMatch(first ?? "", /List-Id|X-One/);
  assert.match(second ?? "", /^X-One: 1\r\n/m);
  assert.match(second ?? "", /^List-Id: <l\.example\.com>\r\n/m);
  assert.match(second ?? "", /^Auto-Submitted: auto-generated\r\n/m);
  assert.match(second ?? "", /^From: from@example\.com\r\n/m);
});

test("what is changed is a copy of the same Message-ID; what was handed over does not change any more", async () => {
  const mailer = memoryMailer({ headers: { "X-One": "1" } });
  const message = letter();
  const { messageId } = await mailer.send(message);
  assert.equal(message.messageId, messageId);
  assert.deepEqual(message.headers, {});
  assert.throws(() => (message.subject = "other"), TypeError);
  assert.throws(() => message.to.push("other@example.com"), TypeError);
  await mailer.send(message);
  assert.deepEqual(mailer.box[1]?.content, mailer.box[0]?.content);
  const untouched = letter();
  await memoryMailer().send(untouched);
  assert.throws(() => (untouched.subject = "other"), TypeError);
});

const BAD_OPTIONS: readonly [options: object, error: object][] = [
  [{ transport: {} }, { code: "bad-setting", setting: "transport" }],
  [{ form: "a@example.com" }, { code: "unknown-setting", setting: "form" }],
  [{ from: "a@example.com\r\nBcc: b@example.com" }, { name: "AddressError", field: "from" }],
  [{ from: "nobody" }, { name: "AddressError", field: "from" }],
  [{ from: "" }, { name: "AddressError", field: "from" }],
  [{ serverEmail: "group: a@example.com;" }, { name: "AddressError", field: "serverEmail" }],
  [{ admins: ["a@example.com", "b"] }, { name: "AddressError", field: "admins[1]" }],
  [{ managers: "a@example.com" }, { code: "bad-setting", setting: "managers" }],
  [{ subjectPrefix: 1 }, { code: "bad-setting", setting: "subjectPrefix" }],
  [{ headers: { "X-A": "a\r\nBcc: b@example.com" } }, { code: "header-control" }],
  [{ headers: { "X A": "a" } }, { code: "header-name" }],
  [{ headers: { Bcc: "b@example.com" } }, { code: "header-reserved" }],
  [{ headers: { "Message-ID": "<a@example.com>" } }, { code: "bad-setting" }],
  [{ headers: { date: new Date() } }, { code: "bad-setting" }],
  [{ autoSubmitted: "yes" }, { code: "bad-setting", setting: "autoSubmitted" }],
  [{ interceptors: () => undefined }, { code: "bad-setting", setting: "interceptors" }],
  [{ observers: ["log"] }, { code: "bad-setting", setting: "observers" }],
  [{ suppression: ["a@example.com"] }, { code: "bad-setting", setting: "suppression" }],
];

test("an option that is not allowed shows when the mailer is made", () => {
  for (const [options, error] of BAD_OPTIONS)
    assert.throws(() => createMailer({ transport: memoryTransport(), ...options }), error, JSON.stringify(options));
});

test("interceptors change a copy, in their order, before it is rendered", async () => {
  const mailer = memoryMailer({
    interceptors: [
      (message) => void (message.subject += " one"),
      async (message) => {
        await Promise.resolve();
        message.subject += " two";
        message.bcc.push("archive@example.com");
        message.attach("a.txt", "x");
      },
    ],
  });
  const message = letter();
  const receipt = await mailer.send(message);
  assert.equal(message.subject, "a");
  assert.equal(mailer.box[0]?.subject, "a one two");
  assert.deepEqual(mailer.box[0].envelope.forwardPaths, ["to@example.com", "archive@example.com"]);
  assert.deepEqual([receipt.messageId, message.messageId], [mailer.box[0].messageId, mailer.box[0].messageId]);
});

test("an interceptor refuses a message: its receipt says why, and the others go out", async () => {
  const reason = new RangeError("not on Sundays");
  const mailer = memoryMailer({
    interceptors: [
      ({ subject }) => {
        if (subject === "no") throw reason;
      },
      ({ subject }) => assert.notEqual(subject, "no", "the one behind it is not asked"),
    ],
  });
  const receipts = await Array.fromAsync(mailer.sendAll([letter(), letter({ subject: "no" }), letter()]));
  assert.deepEqual(statuses(receipts), [
    [0, "accepted"],
    [1, "refused"],
    [2, "accepted"],
  ]);
  assert.equal(receipts[1]?.error, reason);
  assert.deepEqual(receipts[1]?.recipients, [{ address: "to@example.com", status: "refused" }]);
  assert.match(receipts[1]?.messageId ?? "", /@example\.com>$/);
  assert.equal(mailer.box.length, 2);
  await assert.rejects(
    mailer.send(letter({ subject: "no" })),
    (error) => error instanceof DeliveryError && error.cause === reason && error.receipt?.status === "refused",
  );
});

test("suppressed recipients are refused and not in the envelope; the header section stays", async () => {
  const asked: (readonly string[])[] = [];
  const mailer = memoryMailer({
    suppression: async (forwardPaths) => {
      asked.push(forwardPaths);
      return Promise.resolve(["gone@example.com", "left@example.com", "stranger@example.com"]);
    },
  });
  const to = ["one@example.com", "Gone <gone@example.com>", "two@example.com"];
  const dsn = { originalRecipients: { "gone@example.com": "old@example.com", "two@example.com": "2@example.com" } };
  const receipt = await mailer.send(letter({ to, bcc: ["left@example.com"], dsn }));
  assert.deepEqual(asked, [["one@example.com", "gone@example.com", "two@example.com", "left@example.com"]]);
  assert.deepEqual(mailer.box[0]?.envelope.forwardPaths, ["one@example.com", "two@example.com"]);
  assert.deepEqual(mailer.box[0].envelope.dsn?.originalRecipients, { "two@example.com": "2@example.com" });
  assert.match(contentOf(mailer.box[0]), /gone@example\.com/);
  assert.deepEqual(
    receipt.recipients.map(({ address, status }) => [address, status]),
    [
      ["one@example.com", "accepted"],
      ["gone@example.com", "refused"],
      ["two@example.com", "accepted"],
      ["left@example.com", "refused"],
    ],
  );
  assert.deepEqual([receipt.status, (receipt.error as DeliveryError).code], ["partial", "suppressed"]);
  assert.doesNotMatch(receipt.error?.message ?? "", /gone|left/);
});

test("a message of suppressed recipients alone is not sent, one whose suppression nobody knows is deferred", async () => {
  await using peer = await startSmtpPeer();
  await using mailer = createMailer({
    transport: smtpTransport({ host: "127.0.0.1", port: peer.port }),
    suppression: (paths) => {
      if (paths.includes("fails@example.com")) throw new Error("the database is gone");
      return paths.filter((path) => path.startsWith("gone"));
    },
  });
  await assert.rejects(mailer.send(letter({ to: ["gone@example.com"] })), {
    name: "DeliveryError",
    code: "suppressed",
  });
  assert.equal(peer.sessions.length, 0);
  const messages = [
    ["gone@example.com", "gone2@example.com"],
    ["fails@example.com", "x@example.com"],
    ["x@example.com"],
    [],
  ];
  const receipts = inOrder(await Array.fromAsync(mailer.sendAll(messages.map((to) => letter({ to })))));
  assert.deepEqual(
    receipts.map(({ status, recipients, error }) => [
      status,
      recipients.length,
      (error as MessageError | undefined)?.code,
    ]),
    [
      ["refused", 2, "suppressed"],
      ["deferred", 2, "deferred"],
      ["accepted", 1, undefined],
      ["refused", 0, "no-recipients"],
    ],
  );
  assert.equal(peer.messages.length, 1);
});

test("a suppressed recipient beside one that the server refuses or defers", async () => {
  await using peer = await startSmtpPeer();
  await using mailer = createMailer({
    transport: smtpTransport({ host: "127.0.0.1", port: peer.port }),
    suppression: () => ["gone@example.com"],
  });
  const series = [
    letter({ to: ["gone@example.com", "refused@example.com"] }),
    letter({ to: ["deferred@example.com", "gone@example.com"] }),
    letter({ to: ["gone@example.com", "to@example.com"], subject: "a\nb" }),
  ];
  const receipts = inOrder(await Array.fromAsync(mailer.sendAll(series)));
  assert.deepEqual(
    receipts.map(({ status, recipients }) => [status, ...recipients.map((each) => each.reply?.code)]),
    [["refused", undefined, 550], ["deferred", 451, undefined], ["refused"]],
  );
});

test("observers see every receipt, in order; one that throws breaks nothing and is warned of once", async () => {
  const seen: string[] = [];
  const slow: Observer = async ({ index }) => {
    await Promise.resolve();
    seen.push(`slow ${index}`);
  };
  const failing: Observer = () => {
    throw new Error("the disk is full");
  };
  const observers = [failing, slow, ({ index, status }: Receipt) => void seen.push(`fast ${index} ${status}`)];
  const mailer = memoryMailer({ observers });
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  const warned = once(process, "warning");
  const receipts = await Array.fromAsync(mailer.sendAll([letter(), letter({ subject: "a\nb" })]));
  await warned;
  process.off("warning", onWarning);
  assert.deepEqual(seen, ["slow 0", "fast 0 accepted", "slow 1", "fast 1 refused"]);
  assert.equal(receipts.length, 2);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]?.message ?? "", /the disk is full/);
  await assert.rejects(mailer.send(letter({ subject: "a\nb" })), HeaderError);
  assert.equal(seen.at(-1), "fast 0 refused");
});

test("onProgress counts messages, with the total where the source knows it", async () => {
  await using peer = await startSmtpPeer();
  await using mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port: peer.port }) });
  const messages = [
    letter(),
    letter({ to: ["refused@example.com"] }),
    letter({ to: ["deferred@example.com"] }),
    letter({ to: ["refused@example.com", "to@example.com"] }),
  ];
  const progress = async (source: Iterable<Message> | AsyncIterable<Message>): Promise<Progress[]> => {
    const seen: Progress[] = [];
    await Array.fromAsync(mailer.sendAll(source, { onProgress: (each) => void seen.push(each) }));
    return seen;
  };
  assert.deepEqual(await progress(messages), [
    { accepted: 1, refused: 0, deferred: 0, unknown: 0, total: 4 },
    { accepted: 1, refused: 1, deferred: 0, unknown: 0, total: 4 },
    { accepted: 1, refused: 1, deferred: 1, unknown: 0, total: 4 },
    { accepted: 2, refused: 1, deferred: 1, unknown: 0, total: 4 },
  ]);
  assert.equal((await progress(new Set(messages)))[0]?.total, 4);
  assert.equal((await progress(messages.values()))[3]?.total, undefined);
});

test("the signal ends a series: what was not begun is deferred or not read", async () => {
  const mailer = memoryMailer({ observers: [() => undefined] });
  const controller = new AbortController();
  const receipts: Receipt[] = [];
  const endless = function* (): Generator<Message> {
    for (;;) yield letter();
  };
  for await (const receipt of mailer.sendAll(endless(), { signal: controller.signal })) {
    receipts.push(receipt);
    if (receipt.index === 2) controller.abort();
  }
  assert.deepEqual(
    receipts.filter(({ status }) => status === "accepted").map(({ index }) => index),
    [0, 1, 2],
  );
  await assert.rejects(mailer.send(letter(), { signal: AbortSignal.abort() }), DeliveryError);
});

test("a source is read no further than messages go out, and is closed when the loop is left", async () => {
  for (const options of [{}, { from: "m@example.com" }, { interceptors: [() => undefined] }]) {
    let [read, isClosed] = [0, false];
    const source = function* (): Generator<Message> {
      try {
        for (;;) {
          read++;
          yield letter({ from: null, ...(Object.keys(options).length === 0 && { from: "from@example.com" }) });
        }
      } finally {
        isClosed = true;
      }
    };
    const mailer = memoryMailer({ from: "m@example.com", ...options });
    for await (const { index } of mailer.sendAll(source())) if (index === 99) break;
    assert.deepEqual([read <= 101, isClosed], [true, true]);
  }
});

test("one message's bad author is its own verdict, whatever the mailer does to it", async () => {
  const bad = (): EmailMessage => letter({ from: "nobody" });
  for (const options of [{}, { headers: { "X-A": "1" } }, { interceptors: [() => undefined] }]) {
    const mailer = memoryMailer(options);
    const receipts = await Array.fromAsync(mailer.sendAll([bad(), letter({ from: null }), letter()]));
    assert.deepEqual(
      receipts.map(({ status, error }) => [status, error instanceof AddressError]),
      [
        ["refused", true],
        ["refused", true],
        ["accepted", false],
      ],
    );
  }
});

test("connections goes to the transport; an option that does not exist, or a value that is none, is an error at once", async () => {
  const seen: (DeliverOptions | undefined)[] = [];
  const memory = memoryTransport();
  const transport: Transport = {
    deliver: (messages, options) => {
      seen.push(options);
      return memory.deliver(messages, options);
    },
    close: () => memory.close(),
  };
  await using mailer = createMailer({ transport });
  await Array.fromAsync(mailer.sendAll([letter()], { connections: 4 }));
  assert.equal(seen[0]?.connections, 4);
  for (const connections of [0, 1.5, 1001, "4" as unknown as number])
    assert.throws(() => mailer.sendAll([], { connections }), { code: "bad-value", field: "connections" });
  assert.throws(() => mailer.sendAll([], { signl: undefined } as object), SettingsError);
});

test("mailAdmins and mailManagers of a mailer: serverEmail, prefix, html, and nothing without anybody", async () => {
  const people = { admins: ["a@example.com", "b@example.com"], managers: ["m@example.com"] };
  const mailer = memoryMailer({
    from: "from@example.com",
    serverEmail: "ops@example.com",
    subjectPrefix: "[x] ",
    ...people,
  });
  await mailer.mailAdmins("subject", "text", { html: "<p>text</p>" });
  await mailer.mailManagers("subject", "text");
  assert.deepEqual(
    mailer.box.map(({ subject, envelope, html }) => [subject, envelope.reversePath, envelope.forwardPaths, html ?? ""]),
    [
      ["[x] subject", "ops@example.com", people.admins, "<p>text</p>"],
      ["[x] subject", "ops@example.com", people.managers, ""],
    ],
  );
  const lonely = memoryMailer({ from: "from@example.com", admins: ["a@example.com"] });
  await lonely.mailManagers("s", "t");
  assert.deepEqual(
    lonely.box.map(({ envelope }) => [envelope.reversePath, ...envelope.forwardPaths]),
    [["from@example.com", "a@example.com"]],
  );
  const nobody = memoryMailer();
  await nobody.mailAdmins("s", "t");
  assert.equal(nobody.box.length, 0);
});

test("the error for a message that no recipient's server takes says what it said of a recipient", async () => {
  await using server = await startSmtpPeer();
  await using mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port: server.port }) });
  const to = ["refused@example.com", "refused2@example.com"];
  // The reply to DATA is one too: 503, since nobody was accepted.
  await assert.rejects(mailer.send(new EmailMessage({ from: "a@example.com", to })), /refused: 550 /);
});
