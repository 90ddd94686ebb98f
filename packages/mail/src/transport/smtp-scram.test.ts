import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { type ScramHash, scramSecret, type ScramServer, scramServer } from "../../../../test/peer/scram-server.ts";
import { plainServer, type ScriptedServer } from "../../../../test/peer/scripted-server.ts";
import type { Receipt } from "../delivery.ts";
import { AuthError, type SmtpError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { smtpTransport } from "./smtp.ts";

const MECHANISMS: Readonly<Record<ScramHash, string>> = { sha256: "SCRAM-SHA-256", sha1: "SCRAM-SHA-1" };
const SALT = Buffer.from("4125c247e43ab1e93c6dff76", "hex");
const USER = "김,=@example.com";
const PASSWORD = "비밀 secret~";

const encode = (text: string): string => Buffer.from(text).toString("base64");
const decode = (line: string): string => Buffer.from(line, "base64").toString();

/** Where a server is not as it should be. What is left out is as the RFC has it. */
interface Deviation {
  readonly iterations?: number;
  /** The server-first message, in place of the right one. */
  readonly first?: (server: ScramServer, clientFirst: string) => string;
  /** The server-final message, in place of the right one. */
  readonly final?: (server: ScramServer, clientFinal: string) => string;
  /** The whole reply to the client-first and to the client-final message, in place of a challenge. */
  readonly replyToFirst?: string;
  readonly replyToFinal?: string;
  /** The reply to the empty response behind the server-final message. */
  readonly verdict?: string;
}

/** A server that offers SCRAM, and PLAIN beside it, which whoever cannot do SCRAM would like to be given. */
function startServer(hash: ScramHash, deviation: Deviation, password: string): Promise<ScriptedServer> {
  const { iterations = 4096, first, final, replyToFirst, replyToFinal, verdict = "235 2.7.0 welcome" } = deviation;
  const secret = scramSecret(hash, password, SALT, iterations);
  const exchanges = new Map<number, { readonly server: ScramServer; isFinal: boolean }>();
  return plainServer((line, connection) => {
    if (line.startsWith("EHLO")) return `250-s\r\n250 AUTH PLAIN ${MECHANISMS[hash]}\r\n`;
    const [verb, mechanism, initial = ""] = line.split(" ");
    if (verb === "AUTH" && mechanism === MECHANISMS[hash]) {
      const server = scramServer(secret, decode(initial), "theirs");
      exchanges.set(connection, { server, isFinal: false });
      if (server.user !== USER) return "535 5.7.8 nobody\r\n";
      const message = first?.(server, decode(initial)) ?? server.serverFirst;
      return `${replyToFirst ?? `334 ${encode(message)}`}\r\n`;
    }
    const exchange = exchanges.get(connection);
    if (exchange === undefined) return undefined;
    if (exchange.isFinal) {
      exchanges.delete(connection);
      return line === "" ? `${verdict}\r\n` : "501 5.5.2 nothing more was to be said\r\n";
    }
    exchange.isFinal = true;
    const right = exchange.server.serverFinal(decode(line));
    const message = final?.(exchange.server, decode(line)) ?? right;
    return `${replyToFinal ?? `334 ${encode(message)}`}\r\n`;
  });
}

async function deliver(server: ScriptedServer, password = PASSWORD): Promise<Receipt[]> {
  const { port } = server;
  const transport = smtpTransport({ host: "127.0.0.1", port, auth: { user: USER, password } });
  try {
    const message = new Message({ from: "from@example.com", to: ["to@example.com"] });
    return await Array.fromAsync(transport.deliver([message]));
  } finally {
    await transport.close();
  }
}

/** The error that ended the delivery, or that of its message, which was deferred. */
async function failure(server: ScriptedServer): Promise<SmtpError | undefined> {
  try {
    const [receipt] = await deliver(server);
    assert.equal(receipt?.status, "deferred");
    return receipt.error as SmtpError;
  } catch (error) {
    assert.ok(error instanceof AuthError, inspect(error));
    return error;
  }
}

test("a server that keeps to RFC 5802 gets the mail when both know the password", async () => {
  for (const hash of ["sha256", "sha1"] as const) {
    for (const iterations of [4096, 10_000]) {
      await using server = await startServer(hash, { iterations }, PASSWORD);
      // SASLprep makes one of both: the ideographic space, and Hangul in conjoining letters.
      for (const password of [PASSWORD, PASSWORD.replace(" ", "\u3000"), PASSWORD.normalize("NFD")]) {
        const [receipt] = await deliver(server, password);
        assert.equal(receipt?.status, "accepted", String(receipt?.error));
      }
      assert.equal(server.lines.filter((line) => line.startsWith(`AUTH ${MECHANISMS[hash]} `)).length, 3);
    }
  }
});

const signature = (server: ScramServer, clientFinal: string): string => server.serverFinal(clientFinal);

/** Of another exchange, which the server has seen. */
const other = scramServer(scramSecret("sha256", PASSWORD, SALT, 4096), `n,,n=x,r=${"A".repeat(24)}`, "theirs");

const ATTACKS: readonly (readonly [name: string, deviation: Deviation, code: SmtpError["code"], password?: string])[] =
  [
    ["the password is another, and the server-final message says so", {}, "auth-refused", "another"],
    [
      "the password is another, and 535 says so",
      { replyToFinal: "535 5.7.8 Authentication failed" },
      "auth-refused",
      "another",
    ],
    // Whoever poses as the server, and does not know the password.
    ["235 to the client's proof, without a signature", { replyToFinal: "235 2.7.0 welcome" }, "server-unproved"],
    ["235 at once, without a challenge", { replyToFirst: "235 2.7.0 welcome" }, "server-unproved"],
    [
      "235 with what would be the signature in its text",
      { replyToFinal: "235 v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
      "server-unproved",
    ],
    ["a signature of nothing", { final: () => `v=${encode("\0".repeat(32))}` }, "server-unproved"],
    ["an empty signature", { final: () => "v=" }, "server-unproved"],
    ["no signature", { final: () => "" }, "server-unproved"],
    [
      "the signature of another password",
      {
        final: (server, clientFinal) =>
          signature(server, clientFinal).replace(/^v=./, (first) => (first === "v=A" ? "v=B" : "v=A")),
      },
      "server-unproved",
    ],
    [
      "the client's own proof as the signature",
      { final: (_, clientFinal) => clientFinal.replace(/^.*,p=/, "v=") },
      "server-unproved",
    ],
    ["an error, and 235 behind it", { final: () => "e=other-error" }, "auth-refused"],
    // A proof against which every password of a dictionary could be tried, and one that keeps the client busy.
    ["one iteration", { first: ({ serverFirst }) => serverFirst.replace(/i=\d+$/, "i=1") }, "protocol"],
    ["one iteration too few", { iterations: 4095 }, "protocol"],
    [
      "a thousand million iterations",
      { first: ({ serverFirst }) => serverFirst.replace(/i=\d+$/, "i=1000000000") },
      "protocol",
    ],
    // What was once said to somebody else.
    ["a nonce that is not extended", { first: ({ serverFirst }) => serverFirst.replace("theirs", "") }, "protocol"],
    ["another's nonce", { first: () => other.serverFirst }, "protocol"],
    [
      "a nonce that the server's part stands before",
      { first: ({ serverFirst }) => serverFirst.replace(/r=(.*)theirs/, "r=theirs$1") },
      "protocol",
    ],
    ["an extension that must be understood", { first: ({ serverFirst }) => `m=x,${serverFirst}` }, "protocol"],
    ["no salt", { first: ({ serverFirst }) => serverFirst.replace(/s=[^,]*,/, "") }, "protocol"],
    ["the client's own message", { first: (_, clientFirst) => clientFirst }, "protocol"],
    ["a challenge that is not base64", { replyToFirst: "334 r=plain" }, "protocol"],
    ["an empty challenge", { replyToFirst: "334 " }, "protocol"],
    ["the right signature, and 535 behind it", { verdict: "535 5.7.8 changed my mind" }, "auth-refused"],
  ];

for (const [name, deviation, code, password = PASSWORD] of ATTACKS) {
  test(`no mail, and no weaker mechanism: ${name}`, async () => {
    for (const hash of ["sha256", "sha1"] as const) {
      await using server = await startServer(hash, deviation, password);
      const error = await failure(server);
      assert.equal(error?.code, code, inspect(error));
      assert.ok(!inspect(error, { depth: 9 }).includes("secret"));
      assert.doesNotMatch(server.lines.join("\n"), /^(?:AUTH PLAIN|MAIL|RCPT|DATA)/m);
      assert.ok(!server.lines.some((line) => decode(line.replace(/^AUTH \S+ /, "")).includes(PASSWORD)));
    }
  });
}
