import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import nodemailer, { type TransportOptions } from "nodemailer";
import PostalMime from "postal-mime";
import {
  AuthError,
  createMailer,
  DeliveryError,
  fromNodemailer,
  memoryTransport,
  Message,
  type NodemailerInfo,
  type NodemailerMailer,
  type NodemailerMessage,
  smtpTransport,
  toNodemailer,
  type Transport,
} from "posthaste";
import { testTransport } from "posthaste/testing";
import { startSmtpPeer } from "./peer/smtp-peer.ts";

/** email-templates has no types of its own. */
interface EmailTemplates {
  send(options: object): Promise<{ messageId: string; accepted: string[]; originalMessage: { html: string } }>;
}
const require = createRequire(import.meta.url);
const Email = require("email-templates") as new (options: object) => EmailTemplates;

function bridgeTo(port: number): NodemailerMailer {
  const transport = smtpTransport({ host: "127.0.0.1", port });
  return toNodemailer(createMailer({ transport, from: "포스트 <post@example.com>" }), { readFiles: true });
}

function bridgeToMemory(): { bridge: NodemailerMailer; transport: ReturnType<typeof memoryTransport> } {
  const transport = memoryTransport();
  return { bridge: toNodemailer(createMailer({ transport, from: "post@example.com" })), transport };
}

test("email-templates renders and sends through a mailer to a real server", async () => {
  const root = await mkdtemp(join(tmpdir(), "posthaste-"));
  try {
    await using peer = await startSmtpPeer();
    const bridge = bridgeTo(peer.port);
    await writeFile(join(root, "a.txt"), "첨부");
    const email = new Email({
      message: { from: "김 <kim@example.com>" },
      send: true,
      preview: false,
      juice: false,
      transport: bridge,
      views: { root },
      render: async (view: string, locals: { name: string }) =>
        view.endsWith("subject")
          ? `${locals.name} 님, 안녕하세요`
          : view.endsWith("html")
            ? `<p>${locals.name}</p>`
            : locals.name,
    });
    const info = await email.send({
      template: "welcome",
      message: { to: "이 <lee@example.com>, x@example.com", attachments: [{ path: join(root, "a.txt") }] },
      locals: { name: "이영희" },
    });
    await bridge.close();
    assert.deepEqual(info.accepted, ["lee@example.com", "x@example.com"]);
    assert.equal(info.originalMessage.html, "<p>이영희</p>");
    const [came] = peer.messages;
    const read = await PostalMime.parse(came?.content ?? "");
    assert.deepEqual(came?.forwardPaths, ["lee@example.com", "x@example.com"]);
    assert.deepEqual(
      [read.subject, read.html?.trim(), read.messageId, read.attachments[0]?.filename, read.from?.name],
      ["이영희 님, 안녕하세요", "<p>이영희</p>", info.messageId, "a.txt", "김"],
    );
  } finally {
    await rm(root, { recursive: true });
  }
});

test("better-auth sends its verification mail through a mailer, and the link verifies", async () => {
  await using peer = await startSmtpPeer();
  const bridge = bridgeTo(peer.port);
  const infos: NodemailerInfo[] = [];
  const database = { user: [], session: [], account: [], verification: [] };
  const auth = betterAuth({
    database: memoryAdapter(database),
    baseURL: "http://localhost:3000",
    secret: "a secret for this test alone, of 32 characters",
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    logger: { disabled: true },
    emailAndPassword: { enabled: true, requireEmailVerification: true },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: async ({ user, url }) => {
        infos.push(await bridge.sendMail({ to: user.email, subject: "확인", text: url }));
      },
    },
  });
  await auth.api.signUpEmail({ body: { name: "Kim", email: "kim@example.com", password: "correct horse battery" } });
  const [came] = await peer.received(1);
  await bridge.close();
  const { text, from, to } = await PostalMime.parse(came?.content ?? "");
  assert.deepEqual([from?.address, to?.[0]?.address], ["post@example.com", "kim@example.com"]);
  assert.deepEqual(
    infos.map(({ envelope }) => envelope),
    [{ from: false, to: ["kim@example.com"] }],
  );
  const token = new URL((text ?? "").trim()).searchParams.get("token") ?? "";
  await auth.api.verifyEmail({ query: { token } });
  assert.deepEqual(
    database.user.map(({ emailVerified }) => emailVerified as boolean),
    [true],
  );
});

test("nodemailer composes, and its bytes go through a mailer as they are", async () => {
  const { transport } = bridgeToMemory();
  const bridge = toNodemailer(createMailer({ transport }));
  const composer = nodemailer.createTransport(bridge);
  const data = {
    from: "Kim <kim@example.com>",
    to: "lee@example.com",
    bcc: "b@example.com",
    subject: "제목",
    amp: "<html ⚡4email>",
  };
  const info = await composer.sendMail({ ...data, text: "a" });
  const [came] = transport.box;
  assert.deepEqual(
    [came?.messageId, came?.subject, info.accepted],
    [info.messageId, "제목", ["lee@example.com", "b@example.com"]],
  );
  assert.match(Buffer.from(came?.content ?? "").toString(), /text\/x-amp-html/);
});

test("what wraps a mailer in nodemailer, with defaults and a template plugin, sends to a real server", async () => {
  await using peer = await startSmtpPeer();
  const mailer = createMailer({ transport: smtpTransport({ host: "127.0.0.1", port: peer.port }) });
  // As @nestjs-modules/mailer does with the transport of its MailerModule.forRoot().
  const transporter = nodemailer.createTransport(toNodemailer(mailer), {
    from: "김 <kim@example.com>",
  });
  transporter.use("compile", (mail, done) => {
    const { template, context } = mail.data as { template?: string; context?: { name: string } };
    mail.data.html = template?.replace("{{name}}", context?.name ?? "");
    done();
  });
  const data = { subject: "환영합니다", template: "<p>{{name}} 님</p>", context: { name: "이영희" } };
  const info = await transporter.sendMail({
    ...data,
    to: "lee@example.com, refused@example.com",
    bcc: "b@example.com",
  });
  await assert.rejects(transporter.sendMail({ ...data, to: "refused@example.com" }), DeliveryError);
  transporter.close();
  assert.deepEqual([info.accepted, info.rejected], [["lee@example.com", "b@example.com"], ["refused@example.com"]]);
  const [came, ...others] = peer.messages;
  const { subject, html, from, messageId } = await PostalMime.parse(came?.content ?? "");
  assert.deepEqual(
    [subject, html?.trim(), from, messageId, others.length],
    ["환영합니다", "<p>이영희 님</p>", { name: "김", address: "kim@example.com" }, info.messageId, 0],
  );
  assert.deepEqual(came?.forwardPaths, ["lee@example.com", "b@example.com"]);
});

test("each field of nodemailer's data is carried over", async () => {
  const { bridge, transport } = bridgeToMemory();
  const png = Buffer.from("89504e47", "hex");
  const data: NodemailerMessage = {
    from: { name: 'Kim, "the" 철수', address: "kim@example.com" },
    sender: "Sender <sender@example.com>",
    to: ["a@example.com, 'B' <b@example.com>", { name: "", address: "c@example.com" }],
    cc: "d@example.com",
    bcc: { address: "e@example.com" },
    replyTo: ["reply@example.com"],
    subject: "제목",
    text: Readable.from([Buffer.from("가"), Buffer.from("나")]),
    html: { content: Buffer.from("<p>가나</p>").toString("base64"), encoding: "base64" },
    messageId: "<1@example.com>",
    date: "Mon, 23 Nov 2026 09:00:00 +0000",
    inReplyTo: "0@example.com",
    references: ["<-1@example.com>", "0@example.com"],
    priority: "high",
    headers: [
      { key: "X-One", value: "1" },
      { key: "x-one", value: "2" },
    ],
    list: {
      unsubscribe: { url: "https://example.com/u", comment: "leave" },
      help: "help@example.com",
      id: "list.example.com",
    },
    icalEvent: { method: "request", content: "BEGIN:VCALENDAR" },
    attachments: [
      { filename: "a.txt", content: "가" },
      { filename: "b.bin", content: png.toString("hex"), encoding: "hex" },
      { filename: "logo.png", content: Readable.from([png]), cid: "logo", contentDisposition: "inline" },
      { filename: "d.txt", path: "data:text/plain;base64,7JWI" },
    ],
    alternatives: [{ content: "# 가나", contentType: "text/markdown" }],
  };
  const info = await bridge.sendMail(data);
  const [came] = transport.box;
  assert.deepEqual(info, {
    messageId: "<1@example.com>",
    envelope: {
      from: "kim@example.com",
      to: ["a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"],
    },
    accepted: ["a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com"],
    rejected: [],
    pending: [],
    response: "",
  });
  const fields = new Map(came?.fields.map(([name, body]) => [name, body]));
  const expected: [string, string][] = [
    ["Sender", "Sender <sender@example.com>"],
    ["Reply-To", "reply@example.com"],
    ["Date", "Mon, 23 Nov 2026 09:00:00 +0000"],
    ["In-Reply-To", "<0@example.com>"],
    ["References", "<-1@example.com> <0@example.com>"],
    ["X-Priority", "1 (Highest)"],
    ["Importance", "High"],
    ["List-Unsubscribe", "<https://example.com/u> (leave)"],
    ["List-Help", "<mailto:help@example.com>"],
    ["List-Id", "<list.example.com>"],
  ];
  for (const [name, body] of expected) assert.equal(fields.get(name), body, name);
  assert.deepEqual(
    came?.fields.filter(([name]) => /^x-one$/i.test(name)).map(([, body]) => body),
    ["1", "2"],
  );
  const read = await PostalMime.parse(Buffer.from(came?.content ?? ""));
  assert.deepEqual(
    [read.subject, read.text?.trim(), read.html?.trim(), read.from?.name],
    ["제목", "가나", "<p>가나</p>", 'Kim, "the" 철수'],
  );
  const names = came?.attachments.map(({ filename, contentType, cid, content }) => [
    filename,
    contentType,
    cid,
    Buffer.from(content).toString("hex"),
  ]);
  for (const row of [
    ["a.txt", "text/plain", undefined, "eab080"],
    ["b.bin", "application/octet-stream", undefined, "89504e47"],
    ["logo.png", "image/png", "logo", "89504e47"],
    ["d.txt", "text/plain", undefined, "ec9588"],
    ["invite.ics", "application/ics", undefined, Buffer.from("BEGIN:VCALENDAR").toString("hex")],
  ])
    assert.ok(
      names?.some((each) => JSON.stringify(each) === JSON.stringify(row)),
      `${JSON.stringify(row)} in ${JSON.stringify(names)}`,
    );
  assert.match(Buffer.from(came?.content ?? "").toString(), /text\/calendar;[^]*method=REQUEST/);
});

test("what cannot be carried over is an error that names the field, and nothing is sent", async () => {
  const { bridge, transport } = bridgeToMemory();
  const rows: readonly [object, string][] = [
    [{ amp: "a" }, "amp"],
    [{ dkim: {} }, "dkim"],
    [{ dsn: {} }, "dsn"],
    [{ template: "x" }, "template"],
    [{ html: { path: "/etc/hostname" } }, "html.path"],
    [{ text: { href: "https://example.com" } }, "text.href"],
    [{ text: Buffer.from([0xff]) }, "text"],
    [{ attachments: [{ href: "https://example.com/a" }] }, "attachments[0].href"],
    [{ attachments: [{ path: "https://example.com/a" }] }, "attachments[0].path"],
    [{ attachments: [{ path: "file:///etc/hostname" }] }, "attachments[0].path"],
    [{ attachments: [{ path: "/no/such/file" }] }, "attachments[0].path"],
    [{ attachments: [{ path: import.meta.filename }] }, "attachments[0].path"],
    [{ attachments: [{ raw: "a" }] }, "attachments[0].raw"],
    [{ attachments: [{ content: "a", headers: { "X-A": "b" } }] }, "attachments[0].headers"],
    [{ attachments: [{ content: "a", encoding: "rot13" }] }, "attachments[0].content.encoding"],
    [{ attachments: [{ filename: "a" }] }, "attachments[0].content"],
    [{ alternatives: [{ content: "a" }] }, "alternatives[0].contentType"],
    [{ headers: { "X-A": { prepared: true, value: "b" } } }, 'headers["X-A"]'],
    [{ headers: { "X-A": "b\r\nBcc: evil@example.com" } }, 'headers["X-A"]'],
    [{ headers: ["X-A: b"] }, "headers[0]"],
    [{ to: "group: a@example.com;" }, "to"],
    [{ to: { name: "Group", group: [] } }, "to"],
    [{ to: "no address" }, "to"],
    [{ to: { name: "a\r\nBcc: evil@example.com", address: "a@example.com" } }, "to[0]"],
    [{ priority: "urgent" }, "priority"],
    [{ list: { help: "example.com/help" } }, "list.help"],
    [{ list: { help: { url: "https://a.example/>, <https://b.example" } } }, "list.help"],
    [{ date: "yesterday" }, "date"],
    [{ icalEvent: { method: "a;b", content: "a" } }, "icalEvent.method"],
    [{ envelope: { from: "a@example.com", to: "b@example.com", size: 5 } }, "envelope.size"],
    [{ raw: "Subject: a\r\n\r\n" }, "to"],
    [{ to: undefined, from: undefined, raw: "Subject: a\r\n\r\n" }, "envelope"],
    [{ subject: "a\nb" }, "subject"],
  ];
  for (const [fields, field] of rows) {
    await assert.rejects(
      bridge.sendMail({ to: "a@example.com", from: "b@example.com", ...fields }),
      (error) => {
        assert.equal((error as { field?: string }).field, field, `${JSON.stringify(fields)}: ${String(error)}`);
        return true;
      },
      JSON.stringify(fields),
    );
  }
  assert.equal(transport.box.length, 0);
});

test("raw goes to its envelope octet for octet, and a mailer that would compose it anew refuses", async () => {
  const transport = memoryTransport();
  const raw = "Message-ID: <own@example.com>\r\nSubject: raw\r\nX-Odd:   spaces\r\n\r\nbody\r\n";
  const data = { raw, envelope: { from: "a@example.com", to: ["b@example.com", "c@example.com"] } };
  const info = await toNodemailer(createMailer({ transport })).sendMail(data);
  assert.deepEqual([info.messageId, info.accepted], ["<own@example.com>", ["b@example.com", "c@example.com"]]);
  assert.equal(Buffer.from(transport.box[0]?.content ?? "").toString(), raw);
  const composed = {
    from: "x@example.com",
    to: "to@example.com",
    text: "a",
    envelope: { from: "bounce@example.com", to: "other@example.com" },
  };
  assert.deepEqual((await toNodemailer(createMailer({ transport })).sendMail(composed)).envelope, {
    from: "bounce@example.com",
    to: ["other@example.com"],
  });
  const adding = toNodemailer(createMailer({ transport, headers: { "X-Mailer": "a" } }));
  await assert.rejects(adding.sendMail(data), { field: "raw" });
  await assert.rejects(adding.sendMail(composed), { field: "envelope" });
  assert.equal(transport.box.length, 2);
});

test("a callback is called once, with the error or the info; plugins of the step compile are run", async () => {
  const { bridge, transport } = bridgeToMemory();
  const info = await new Promise((resolve, reject) =>
    bridge.sendMail({ to: "a@example.com" }, (error, result) => (error === null ? resolve(result) : reject(error))),
  );
  assert.deepEqual((info as { accepted: string[] }).accepted, ["a@example.com"]);
  const error = await new Promise((resolve) => bridge.sendMail({ to: "no" }, resolve));
  assert.equal((error as { field: string }).field, "to");
  bridge.use("compile", (mail, done) => {
    Object.assign(mail.data, { html: `<p>${String(mail.data.template)}</p>` });
    done();
  });
  await bridge.sendMail({ to: "a@example.com", template: "welcome" });
  transport.assertSent({ html: "<p>welcome</p>" }, 1);
  await assert.rejects(bridge.verify(), { field: "verify" });
});

test("a refusal is rejected with the receipt; some of the recipients refused is in the info", async () => {
  await using peer = await startSmtpPeer();
  const bridge = bridgeTo(peer.port);
  await assert.rejects(
    bridge.sendMail({ to: "refused@example.com" }),
    (error) => error instanceof DeliveryError && error.receipt?.recipients[0]?.reply?.code === 550,
  );
  const { accepted, rejected, pending } = await bridge.sendMail({
    to: "refused@example.com, a@example.com, deferred@example.com",
  });
  await bridge.close();
  assert.deepEqual(
    [accepted, rejected, pending],
    [["a@example.com"], ["refused@example.com"], ["deferred@example.com"]],
  );
});

interface SesRequest {
  readonly Content: { readonly Raw: { readonly Data: Buffer } };
  readonly Destination: { readonly ToAddresses: string[] };
}

/** The client of AWS, but for AWS. */
function sesClient(answer: () => Promise<object> = () => Promise.resolve({ MessageId: "1" })): {
  requests: SesRequest[];
  SES: object;
} {
  const requests: SesRequest[] = [];
  class SendEmailCommand {
    readonly input: SesRequest;
    constructor(input: SesRequest) {
      this.input = input;
    }
  }
  const client = {
    send: async ({ input }: SendEmailCommand) => {
      const answered = await answer();
      requests.push(input);
      return answered;
    },
  };
  return { requests, SES: { sesClient: client, SendEmailCommand } };
}

const sesTransport = (SES: object): Transport =>
  fromNodemailer(nodemailer.createTransport({ SES } as unknown as TransportOptions));

testTransport("nodemailer's SES transport", () => {
  const { requests, SES } = sesClient();
  return {
    transport: sesTransport(SES),
    received: () =>
      requests.map(({ Content, Destination }) => ({
        forwardPaths: Destination.ToAddresses,
        content: Content.Raw.Data,
      })),
    readAhead: 1,
  };
});

testTransport("nodemailer's SMTP transport", async () => {
  const peer = await startSmtpPeer();
  return {
    transport: fromNodemailer(nodemailer.createTransport({ host: "127.0.0.1", port: peer.port })),
    received: () => peer.messages.map(({ forwardPaths, content }) => ({ forwardPaths, content: Buffer.from(content) })),
    readAhead: 1,
    dispose: () => peer.close(),
  };
});

testTransport("a bare plugin of nodemailer", () => {
  const { requests, SES } = sesClient();
  const { transporter } = nodemailer.createTransport({ SES } as unknown as TransportOptions);
  return {
    transport: fromNodemailer(transporter),
    received: () =>
      requests.map(({ Content, Destination }) => ({
        forwardPaths: Destination.ToAddresses,
        content: Content.Raw.Data,
      })),
    readAhead: 1,
  };
});

const letter = (...to: string[]): Message => new Message({ from: "from@example.com", to, text: "a" });

test("nodemailer's verdicts are receipts: refused, deferred, some of both, with their replies", async () => {
  await using peer = await startSmtpPeer();
  const transport = fromNodemailer(nodemailer.createTransport({ host: "127.0.0.1", port: peer.port }));
  const messages = [
    letter("a@example.com", "refused@example.com", "deferred@example.com"),
    letter("refused@example.com"),
    letter("deferred@example.com"),
    letter("a@example.com"),
  ];
  const receipts = await Array.fromAsync(transport.deliver(messages));
  assert.deepEqual(
    receipts.map(({ status, recipients }) => [status, ...recipients.map((each) => [each.status, each.reply?.code])]),
    [
      ["partial", ["accepted", 250], ["refused", 550], ["deferred", 451]],
      ["refused", ["refused", 550]],
      ["deferred", ["deferred", 451]],
      ["accepted", ["accepted", 250]],
    ],
  );
});

test("what nodemailer could not connect to is deferred, wrong credentials end it, and what nobody knows is unknown", async () => {
  const gone = await startSmtpPeer();
  await gone.close();
  const refused = fromNodemailer(nodemailer.createTransport({ host: "127.0.0.1", port: gone.port }));
  const [receipt] = await Array.fromAsync(refused.deliver([letter("a@example.com")]));
  assert.deepEqual([receipt?.status, (receipt?.error as { code?: string }).code], ["deferred", "connect"]);
  await using peer = await startSmtpPeer({ authOptional: false });
  const wrong = fromNodemailer(
    nodemailer.createTransport({ host: "127.0.0.1", port: peer.port, auth: { user: "me", pass: "hunter2" } }),
  );
  await assert.rejects(
    Array.fromAsync(wrong.deliver([letter("a@example.com")])),
    (error) => error instanceof AuthError && error.nextIndex === 0 && !error.message.includes("hunter2"),
  );
  const rows = [
    [400, "refused"],
    [429, "deferred"],
    [503, "deferred"],
    [500, "unknown"],
    [undefined, "unknown"],
  ] as const;
  for (const [httpStatusCode, status] of rows) {
    const error = Object.assign(new Error("from AWS"), { $metadata: { httpStatusCode } });
    const { SES } = sesClient(() => Promise.reject(error));
    const [failed] = await Array.fromAsync(sesTransport(SES).deliver([letter("a@example.com")]));
    assert.deepEqual([failed?.status, failed?.error?.cause], [status, error]);
  }
});
