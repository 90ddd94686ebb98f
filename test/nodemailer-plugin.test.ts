import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AuthError, fromNodemailer, Message, type NodemailerPlugin, type Receipt } from "posthaste";
import { type ReceivedMessage, testTransport } from "posthaste/testing";

/** Neither has types of its own. */
const require = createRequire(import.meta.url);
const mailgunTransport = require("nodemailer-mailgun-transport") as (options: object) => NodemailerPlugin;
const sendmailTransport = require("nodemailer-sendmail-transport") as (path: string) => NodemailerPlugin;

/** Stands for sendmail: keeps its standard input, and who it is for, in a file of its own. */
const SENDMAIL = `#!${process.execPath}
const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const [, from, ...to] = process.argv.slice(2).filter((argument) => argument !== "-i");
const content = readFileSync(0).toString("base64");
const name = __dirname + "/" + process.hrtime.bigint() + "-" + process.pid;
writeFileSync(name + ".part", JSON.stringify({ from, to, content }));
renameSync(name + ".part", name + ".json");
`;

const sendmailMade = async (): Promise<{ path: string; folder: string }> => {
  const folder = await mkdtemp(join(tmpdir(), "posthaste-"));
  const path = join(folder, "sendmail.cjs");
  await writeFile(path, SENDMAIL);
  await chmod(path, 0o700);
  return { path, folder };
};

async function sendmailReceived(folder: string): Promise<ReceivedMessage[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  return Promise.all(
    names.map(async (name) => {
      const { to, content } = JSON.parse(await readFile(join(folder, name), "utf8")) as {
        to: string[];
        content: string;
      };
      // The plugin gives sendmail LF line ends.
      const octets = Buffer.from(content, "base64").toString("latin1").replaceAll("\n", "\r\n");
      return { forwardPaths: to, content: Buffer.from(octets, "latin1") };
    }),
  );
}

test("nodemailer-sendmail-transport gets the octets, and its exit code decides", async () => {
  const { path, folder } = await sendmailMade();
  try {
    const message = new Message({
      from: "a@example.com",
      to: ["b@example.com"],
      bcc: ["c@example.com"],
      text: ".제목",
    });
    const [receipt] = await Array.fromAsync(fromNodemailer(sendmailTransport(path)).deliver([message]));
    const [came] = await sendmailReceived(folder);
    assert.equal(receipt?.status, "accepted", String(receipt?.error));
    assert.deepEqual(came?.forwardPaths, ["b@example.com", "c@example.com"]);
    assert.equal(Buffer.from(came.content).toString(), Buffer.from(message.toBytes()).toString());
    await writeFile(path, `#!${process.execPath}\nprocess.stdin.resume().on("end", () => process.exit(75));\n`);
    const again = new Message({ from: "a@example.com", to: ["b@example.com"], text: "a" });
    const [failed] = await Array.fromAsync(fromNodemailer(sendmailTransport(path)).deliver([again]));
    assert.deepEqual([failed?.status, failed?.error?.message], ["unknown", "Sendmail exited with 75"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

interface Mailgun extends AsyncDisposable {
  readonly port: number;
  readonly requests: FormData[];
}

/** Mailgun's interface, but for Mailgun. */
async function startMailgun(status = 200): Promise<Mailgun> {
  const requests: FormData[] = [];
  const server = createServer((request, response) => {
    void formOf(request).then((form) => {
      requests.push(form);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ id: "<1@mailgun.example>", message: "Queued" }));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function formOf(request: IncomingMessage): Promise<FormData> {
  const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>));
  return new Response(body, { headers: { "content-type": request.headers["content-type"] ?? "" } }).formData();
}

async function throughMailgun(port: number, message: Message): Promise<Receipt | undefined> {
  const plugin = mailgunTransport({ auth: { api_key: "key", domain: "example.com" }, url: `http://127.0.0.1:${port}` });
  const [receipt] = await Array.fromAsync(fromNodemailer(plugin, { content: "fields" }).deliver([message]));
  return receipt;
}

test("nodemailer-mailgun-transport gets fields, for the recipients of the envelope and nobody else", async () => {
  await using mailgun = await startMailgun();
  const message = new Message({
    from: '"Kim, 철수" <kim@example.com>',
    to: ['"Lee, 영희" <lee@example.com>', "x@example.com"],
    cc: ["cc@example.com"],
    bcc: ["hidden@example.com"],
    replyTo: ["reply@example.com"],
    subject: "제목",
    text: "가",
    html: "<p>가</p>",
    attachments: [{ filename: "a.pdf", content: new Uint8Array([1, 2, 3]) }],
  });
  const receipt = await throughMailgun(mailgun.port, message);
  assert.equal(receipt?.status, "accepted", String(receipt?.error));
  const [form] = mailgun.requests;
  const rows: [string, string[]][] = [
    ["from", ['"Kim, 철수" <kim@example.com>']],
    ["to", ['"Lee, 영희" <lee@example.com>,x@example.com']],
    ["cc", ["cc@example.com"]],
    ["bcc", ["hidden@example.com"]],
    ["h:Reply-To", ["reply@example.com"]],
    ["h:Message-Id", [message.messageId]],
    ["subject", ["제목"]],
    ["text", ["가"]],
    ["html", ["<p>가</p>"]],
  ];
  for (const [name, values] of rows) assert.deepEqual(form?.getAll(name), values, name);
  const file = form?.get("attachment") as File;
  assert.deepEqual(
    [file.name, file.type, [...new Uint8Array(await file.arrayBuffer())]],
    ["a.pdf", "application/pdf", [1, 2, 3]],
  );
});

test("where To names somebody whom the envelope leaves out, a plugin that wants fields gets nothing", async () => {
  await using mailgun = await startMailgun();
  class Left extends Message {
    override envelope(): ReturnType<Message["envelope"]> {
      return { reversePath: "kim@example.com", forwardPaths: ["x@example.com"] };
    }
  }
  const receipt = await throughMailgun(
    mailgun.port,
    new Left({ from: "kim@example.com", to: ["x@example.com", "left@example.com"] }),
  );
  assert.deepEqual(
    [receipt?.status, (receipt?.error as { field?: string }).field, mailgun.requests.length],
    ["refused", "to", 0],
  );
});

test("Mailgun's verdicts are receipts", async () => {
  const message = (): Message => new Message({ from: "a@example.com", to: ["b@example.com"], text: "a" });
  for (const [code, status] of [
    [400, "refused"],
    [429, "deferred"],
    [500, "unknown"],
  ] as const) {
    await using mailgun = await startMailgun(code);
    assert.equal((await throughMailgun(mailgun.port, message()))?.status, status, String(code));
  }
  await using mailgun = await startMailgun(401);
  await assert.rejects(throughMailgun(mailgun.port, message()), AuthError);
});

testTransport("nodemailer-mailgun-transport", async () => {
  const mailgun = await startMailgun();
  const plugin = mailgunTransport({
    auth: { api_key: "key", domain: "example.com" },
    url: `http://127.0.0.1:${mailgun.port}`,
  });
  return {
    transport: fromNodemailer(plugin, { content: "fields" }),
    readAhead: 1,
    dispose: () => mailgun[Symbol.asyncDispose](),
  };
});
