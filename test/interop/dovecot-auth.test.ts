import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { AuthError, CHANNELS, type CommandEvent, EmailMessage, type Receipt, smtpTransport } from "posthaste";
import { localhostCertificate } from "../peer/certificate.ts";
import { temporaryFolder } from "../peer/posthaste.ts";
import { type SmtpPeer, startSmtpPeer } from "../peer/smtp-peer.ts";
import { findProgram, freePort, isRoot, untilItGreets } from "./installed.ts";

const DOVECOT = findProgram("POSTHASTE_DOVECOT", "dovecot");

/** Why its submission service cannot be tested here, if it cannot. */
function whatIsMissing(): string | undefined {
  if (DOVECOT === undefined || !hasSubmission(DOVECOT))
    return "Dovecot's submission service is not installed: apt-get install dovecot-submissiond";
  return isRoot ? undefined : "Dovecot is started by root only: sudo npm run test:interop";
}

/** It is a program of its own, in the folder that Dovecot names. */
function hasSubmission(dovecot: string): boolean {
  const { stdout } = spawnSync(dovecot, ["-a", "-c", "/dev/null"], { encoding: "latin1" });
  try {
    accessSync(join(/^libexec_dir = (.*)$/m.exec(stdout)?.[1] ?? "", "submission-login"), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const PASSWORD_MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"];
const TOKEN_MECHANISMS = ["OAUTHBEARER", "XOAUTH2"];

const USER = "me@to.example";
/** SASLprep makes the ideographic space a space (RFC 4013 section 2.1), as whoever stored the password did. */
const PASSWORD = "비밀 secret~,=";
const PRESENTED = "비밀\u3000secret~,=";
const TOKEN_KEY = "a key for HMAC that is long enough for SHA-256";

/** A JSON Web Token (RFC 7519), which Dovecot verifies by itself. */
function tokenFor(user: string, key: string): string {
  const now = Math.floor(Date.now() / 1000);
  const parts = [
    { alg: "HS256", typ: "JWT" },
    { sub: user, iat: now, exp: now + 3600 },
  ].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  const signature = createHmac("sha256", key).update(parts.join(".")).digest("base64url");
  return [...parts, signature].join(".");
}

interface Submission extends AsyncDisposable {
  readonly peer: SmtpPeer;
  /** The ports of STARTTLS and of implicit TLS, and the authority of the certificate. */
  readonly starttls: number;
  readonly implicit: number;
  readonly ca: string;
}

/** Who is authenticated gets to the server behind it, which takes what comes. */
const configuration = (folder: string, mechanisms: readonly string[], ports: Record<string, number>): string => `
protocols = submission
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
hostname = dovecot.example
auth_mechanisms = ${mechanisms.join(" ").toLowerCase()}
# Only the waiting behind a wrong secret is left out: this, and the penalty for its address.
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
ssl = yes
ssl_cert = <${folder}/certificate.pem
ssl_key = <${folder}/key.pem
first_valid_uid = 1
mail_location = maildir:%h
submission_relay_host = 127.0.0.1
submission_relay_port = ${ports.relay}
passdb {
  driver = oauth2
  mechanisms = ${TOKEN_MECHANISMS.join(" ").toLowerCase()}
  args = ${folder}/oauth2.conf
}
passdb {
  driver = passwd-file
  args = ${folder}/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=${folder}/mail
}
service submission-login {
  inet_listener submission {
    address = 127.0.0.1
    port = ${ports.starttls}
  }
  inet_listener submissions {
    address = 127.0.0.1
    port = ${ports.implicit}
    ssl = yes
  }
}
`;

async function writeConfiguration(folder: string): Promise<string> {
  const { cert, key } = await localhostCertificate();
  await chmod(folder, 0o755);
  await writeFile(join(folder, "certificate.pem"), cert);
  await writeFile(join(folder, "key.pem"), key);
  await writeFile(join(folder, "users"), `${USER}:{PLAIN}${PASSWORD}\n`);
  await mkdir(join(folder, "keys/default/HS256"), { recursive: true });
  await writeFile(join(folder, "keys/default/HS256/default"), Buffer.from(TOKEN_KEY).toString("base64"));
  const oauth2 = [
    "introspection_mode = local",
    `local_validation_key_dict = fs:posix:prefix=${folder}/keys/`,
    "username_attribute = sub",
  ];
  await writeFile(join(folder, "oauth2.conf"), `${oauth2.join("\n")}\n`);
  return cert;
}

async function startSubmission(mechanisms: readonly string[]): Promise<Submission> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder()).path;
  const peer = starting.use(await startSmtpPeer());
  const [starttls, implicit] = [await freePort(), await freePort()];
  const ca = await writeConfiguration(folder);
  const path = join(folder, "dovecot.conf");
  await writeFile(path, configuration(folder, mechanisms, { starttls, implicit, relay: peer.port }));
  const daemon = spawn(DOVECOT ?? "", ["-F", "-c", path], { stdio: "ignore" });
  const ended = once(daemon, "exit");
  starting.defer(async () => {
    daemon.kill();
    await ended;
  });
  await untilItGreets(starttls);
  const running = starting.move();
  return { peer, starttls, implicit, ca, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

type Secret = { readonly password: string } | { readonly accessToken: string };

interface Submitted {
  readonly receipt: Receipt | undefined;
  /** How AUTH began, with what was presented masked. */
  readonly commands: readonly string[];
}

async function submit(server: Submission, tls: "starttls" | "implicit" | "none", secret: Secret): Promise<Submitted> {
  const commands: string[] = [];
  const listen = (event: unknown): void => {
    const { verb, line } = event as CommandEvent;
    if (verb === "AUTH" && line.startsWith("AUTH")) commands.push(line);
  };
  const port = tls === "implicit" ? server.implicit : server.starttls;
  const transport = smtpTransport({ host: "localhost", port, tls, ca: server.ca, auth: { user: USER, ...secret } });
  subscribe(CHANNELS.command, listen);
  try {
    const message = new EmailMessage({ from: USER, to: ["to@example.com"], subject: tls });
    const [receipt] = await Array.fromAsync(transport.deliver([message]));
    return { receipt, commands };
  } finally {
    unsubscribe(CHANNELS.command, listen);
    await transport.close();
  }
}

const rightFor = (mechanism: string): Secret =>
  TOKEN_MECHANISMS.includes(mechanism)
    ? { accessToken: tokenFor(USER, TOKEN_KEY) }
    : { password: presentedBy(mechanism) };

/** Only SCRAM prepares what it presents. */
const presentedBy = (mechanism: string): string => (mechanism.startsWith("SCRAM-") ? PRESENTED : PASSWORD);

const wrongFor = (mechanism: string): Secret =>
  TOKEN_MECHANISMS.includes(mechanism)
    ? { accessToken: tokenFor(USER, `${TOKEN_KEY} of somebody else`) }
    : { password: `${PASSWORD}!` };

describe("Dovecot's submission service", { skip: whatIsMissing() ?? false }, () => {
  for (const mechanism of [...PASSWORD_MECHANISMS, ...TOKEN_MECHANISMS]) {
    describe(`AUTH ${mechanism}`, () => {
      let started: Submission | undefined;
      before(async () => {
        started = await startSubmission([mechanism]);
      });
      after(() => started?.[Symbol.asyncDispose]());
      const running = (): Submission => started ?? assert.fail("it did not start");

      // Dovecot takes a connection of its own host for secure, and so do we.
      for (const tls of ["starttls", "implicit", "none"] as const) {
        test(`the right secret, ${tls === "none" ? "in clear on loopback" : tls}`, async () => {
          const { receipt, commands } = await submit(running(), tls, rightFor(mechanism));
          assert.equal(receipt?.status, "accepted", String(receipt?.error));
          assert.deepEqual(
            commands.map((line) => line.split(" ", 2).join(" ")),
            [`AUTH ${mechanism}`],
          );
          assert.match(running().peer.messages.at(-1)?.content ?? "", new RegExp(`^Subject: ${tls}\r$`, "m"));
        });
      }

      for (const tls of ["starttls", "implicit"] as const) {
        test(`a wrong secret, ${tls}`, async () => {
          const before = running().peer.messages.length;
          await assert.rejects(
            submit(running(), tls, wrongFor(mechanism)),
            (error) => error instanceof AuthError && error.code === "auth-refused" && error.reply?.code === 535,
          );
          assert.equal(running().peer.messages.length, before);
        });
      }
    });
  }

  test("where all are on offer, the strongest is used", async () => {
    await using server = await startSubmission(["LOGIN", "PLAIN", ...TOKEN_MECHANISMS, ...PASSWORD_MECHANISMS]);
    for (const [mechanism, first] of [
      ["SCRAM-SHA-256", "AUTH SCRAM-SHA-256"],
      ["XOAUTH2", "AUTH OAUTHBEARER"],
    ] as const) {
      const { receipt, commands } = await submit(server, "starttls", rightFor(mechanism));
      assert.equal(receipt?.status, "accepted", String(receipt?.error));
      assert.deepEqual(
        commands.map((line) => line.split(" ", 2).join(" ")),
        [first],
      );
    }
  });
});
