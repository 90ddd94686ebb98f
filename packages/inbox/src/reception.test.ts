import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { EmailMessage, sendMail, SettingsError, smtpTransport, TlsError } from "posthaste";
import { createInbox } from "./inbox.ts";
import type { InboxOptions } from "./inbox.ts";

/** Says each step when the server has answered the one before; a list of octets goes out as it is. */
async function session(port: number, steps: readonly (string | Uint8Array)[]): Promise<string[]> {
  const socket = net.connect(port, "127.0.0.1");
  const replies: string[] = [];
  const left = [...steps];
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    // The last line of a reply has a space behind its code (RFC 5321 section 4.2.1).
    if (!/^\d{3}(?: .*)?\r\n$/m.test(received)) return;
    replies.push(received);
    received = "";
    const step = left.shift();
    if (step === undefined) socket.end();
    else socket.write(typeof step === "string" ? `${step}\r\n` : step);
  });
  await once(socket, "close");
  return replies;
}

const ENVELOPE = ["EHLO client.example", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"];

function withInbox(
  name: string,
  options: InboxOptions,
  run: (inbox: Awaited<ReturnType<typeof createInbox>>) => Promise<void>,
): void {
  test(name, async () => {
    await using inbox = await createInbox(options);
    await run(inbox);
  });
}

withInbox("every octet is kept as it was received, transparency undone", {}, async (inbox) => {
  const garbage = Buffer.from(Uint8Array.from({ length: 2000 }, (_, index) => (index * 31) % 256));
  // A bare CR or LF before a dot is no line break to SMTP; keep them out of the noise, and say them on purpose below.
  const noise = Buffer.from(garbage.map((octet) => (octet === 0x0a || octet === 0x0d ? 0x00 : octet)));
  const content = Buffer.concat([
    Buffer.from("Subject: \xff\0\r\n\r\n", "latin1"),
    noise,
    Buffer.from("\r\n.\r\n..x\r\nlone \n and \r end\r\n"),
  ]);
  const onWire = Buffer.from(content.toString("latin1").replace(/(^|\r\n)\./g, "$1.."), "latin1");
  const replies = await session(inbox.smtpPort, [...ENVELOPE, Buffer.concat([onWire, Buffer.from(".\r\n")]), "QUIT"]);
  assert.match(replies[5] ?? "", /^250 /);
  assert.deepEqual(Buffer.from(inbox.messages()[0]?.raw ?? []), content);
});

withInbox("EHLO offers what a server offers, but no STARTTLS", { maxMessageBytes: 5000 }, async (inbox) => {
  const replies = await session(inbox.smtpPort, ["EHLO client.example", "STARTTLS", "QUIT"]);
  for (const keyword of ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 5000", "AUTH PLAIN LOGIN XOAUTH2"]) {
    assert.match(replies[1] ?? "", new RegExp(`^250[ -]${keyword}\r$`, "m"));
  }
  assert.doesNotMatch(replies[1] ?? "", /STARTTLS/);
  assert.match(replies[2] ?? "", /^5/);
  const transport = smtpTransport({ host: "127.0.0.1", port: inbox.smtpPort, tls: "starttls" });
  await assert.rejects(
    sendMail("s", "t", "a@example.com", ["b@example.com"], { connection: transport }),
    (error: Error) => {
      const cause = (error as { receipt?: { error?: Error } }).receipt?.error ?? error;
      return cause instanceof TlsError;
    },
  );
  await transport.close();
  assert.equal(inbox.messages().length, 0);
});

withInbox("any credentials are accepted, and none are needed", {}, async (inbox) => {
  for (const auth of [{ user: "kim", password: "whatever" }, undefined]) {
    const connection = smtpTransport({ host: "127.0.0.1", port: inbox.smtpPort, auth });
    assert.equal(await sendMail("s", "t", "a@example.com", ["b@example.com"], { connection }), 1);
    await connection.close();
  }
  assert.equal(inbox.messages().length, 2);
});

withInbox(
  "a content that is too large is refused with 552 and the session goes on",
  { maxMessageBytes: 2000 },
  async (inbox) => {
    const large = "x".repeat(900) + "\r\n";
    const steps = [...ENVELOPE, `${large.repeat(4)}.`, ...ENVELOPE.slice(1), "Subject: small\r\n\r\n.", "QUIT"];
    const replies = await session(inbox.smtpPort, steps);
    assert.match(replies[5] ?? "", /^552 /);
    assert.match(replies[9] ?? "", /^250 /);
    assert.deepEqual(
      inbox.messages().map(({ subject }) => subject),
      ["small"],
    );
    assert.match(
      (await session(inbox.smtpPort, ["EHLO c.example", "MAIL FROM:<a@example.com> SIZE=2001", "QUIT"]))[2] ?? "",
      /^552 /,
    );
  },
);

withInbox(
  "too many recipients are deferred with 452, the others get the message",
  { maxRecipients: 2 },
  async (inbox) => {
    const rcpt = ["b", "c", "d"].map((name) => `RCPT TO:<${name}@example.com>`);
    const replies = await session(inbox.smtpPort, [...ENVELOPE.slice(0, 2), ...rcpt, "DATA", "\r\n.", "QUIT"]);
    assert.match(replies[5] ?? "", /^452 /);
    assert.deepEqual(inbox.messages()[0]?.envelope.forwardPaths, ["b@example.com", "c@example.com"]);
  },
);

withInbox(
  "contents in flight are bounded, and what is deferred is free again",
  { maxMessageBytes: 1000 },
  async (inbox) => {
    const held = Array.from({ length: 4 }, () => net.connect(inbox.smtpPort, "127.0.0.1"));
    const part = `${"x".repeat(970)}\r\n`;
    for (const socket of held) {
      let step = 0;
      await new Promise<void>((resolve) => {
        socket.on("data", (chunk) => {
          const next = [...ENVELOPE, part][step++];
          if (next !== undefined) socket.write(`${next}\r\n`);
          if (chunk.includes("354")) resolve();
        });
      });
    }
    // The four have said what they hold once a fifth session, which began later, is answered.
    const message = [...ENVELOPE, `${"x".repeat(300)}\r\n.`, "QUIT"];
    assert.match((await session(inbox.smtpPort, message))[5] ?? "", /^452 /);
    for (const socket of held) {
      const closed = once(socket, "close");
      socket.destroy();
      await closed;
    }
    assert.match((await session(inbox.smtpPort, message))[5] ?? "", /^250 /);
    assert.equal(inbox.messages().length, 1);
  },
);

withInbox("a client that breaks off in the middle leaves nothing behind", {}, async (inbox) => {
  for (const said of [
    "",
    "EHLO x\r\nMAIL FR",
    "EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: x\r\n",
  ]) {
    const socket = net.connect(inbox.smtpPort, "127.0.0.1");
    await once(socket, "data");
    socket.write(said);
    if (said.includes("DATA")) while (!String(await once(socket, "data")).includes("354"));
    socket.resetAndDestroy();
    await once(socket, "close");
  }
  for (const hostile of [
    "x".repeat(100_000),
    "\0\0\0\r\n".repeat(100),
    "MAIL FROM:<a@b>\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  ]) {
    const socket = net.connect(inbox.smtpPort, "127.0.0.1").on("error", () => undefined);
    await once(socket, "data");
    socket.end(hostile);
    socket.resume();
    await once(socket, "close");
  }
  assert.equal(
    await sendMail("after", "t", "a@example.com", ["b@example.com"], {
      connection: smtpTransport({ host: "127.0.0.1", port: inbox.smtpPort }),
    }),
    1,
  );
  assert.deepEqual(
    inbox.messages().map(({ subject }) => subject),
    ["after"],
  );
});

withInbox("the envelope is what the client said, with Korean domains as it spelled them", {}, async (inbox) => {
  await session(inbox.smtpPort, [
    "EHLO x",
    "MAIL FROM:<>",
    "RCPT TO:<kim@xn--3e0b707e.example>",
    "DATA",
    "\r\n.",
    "QUIT",
  ]);
  await session(inbox.smtpPort, [
    "EHLO x",
    "MAIL FROM:<김@한국.example> SMTPUTF8",
    "RCPT TO:<Kim@Example.COM>",
    "DATA",
    "\r\n.",
    "QUIT",
  ]);
  assert.deepEqual(
    inbox.messages().map(({ envelope }) => envelope),
    [
      { reversePath: "김@한국.example", forwardPaths: ["Kim@Example.COM"] },
      { reversePath: "", forwardPaths: ["kim@xn--3e0b707e.example"] },
    ],
  );
});

test("messages over one session share its id, others do not, and the sessions are counted", async () => {
  await using inbox = await createInbox();
  const connect = (): ReturnType<typeof smtpTransport> => smtpTransport({ host: "127.0.0.1", port: inbox.smtpPort });
  assert.equal(inbox.sessions, 0);
  const connection = connect();
  const messages = ["one", "two"].map(
    (subject) => new EmailMessage({ subject, text: "t", from: "a@example.com", to: ["b@example.com"] }),
  );
  const receipts = await Array.fromAsync(connection.deliver(messages));
  await connection.close();
  assert.deepEqual(
    receipts.map(({ status }) => status),
    ["accepted", "accepted"],
  );
  const other = connect();
  await sendMail("three", "t", "a@example.com", ["b@example.com"], { connection: other });
  await other.close();
  const [three, two, one] = inbox.messages();
  assert.equal(one?.session, two?.session);
  assert.notEqual(two?.session, three?.session);
  assert.equal(inbox.sessions, 2);
});

test("a taken port is a SettingsError that names INBOX_SMTP_PORT", async () => {
  await using inbox = await createInbox();
  await assert.rejects(createInbox({ smtpPort: inbox.smtpPort }), (error) => {
    assert.ok(error instanceof SettingsError);
    assert.equal(error.setting, "INBOX_SMTP_PORT");
    assert.match(error.message, /INBOX_SMTP_PORT .*taken/);
    return true;
  });
});

test("options that are not allowed are SettingsErrors", async () => {
  const cases: readonly [InboxOptions, name: string][] = [
    [{ smtpPort: 65_536 }, "INBOX_SMTP_PORT"],
    [{ smtpPort: Number.NaN }, "INBOX_SMTP_PORT"],
    [{ maxMessages: 0 }, "maxMessages"],
    [{ maxBytes: 0.5 }, "maxBytes"],
    [{ basePath: "inbox" }, "basePath"],
    [{ basePath: "/:id" }, "basePath"],
    [{ basePath: "//evil.example" }, "basePath"],
    [{ allowedHosts: ["http://x"] }, "allowedHosts"],
    [{ host: "256.256.256.256" }, "host"],
    // Node would listen on every interface.
    [{ host: "" }, "host"],
  ];
  for (const [options, name] of cases) {
    await assert.rejects(
      createInbox(options),
      (error) => error instanceof SettingsError && error.message.includes(name),
      name,
    );
  }
});

test("close ends idle sessions with 421 and frees the port", async () => {
  const inbox = await createInbox();
  const socket = net.connect(inbox.smtpPort, "127.0.0.1");
  await once(socket, "data");
  const farewell = once(socket, "data");
  await inbox.close();
  assert.match(String(await farewell), /^421 /);
  socket.destroy();
  const again = await createInbox({ smtpPort: inbox.smtpPort });
  await again.close();
});
