import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { temporaryFolder } from "../peer/posthaste.ts";
import { describeInterop, type InteropServer, MESSAGES, type StoredMessage } from "./exchange.ts";
import { findProgram, freePort, isRoot, untilItGreets, userId } from "./installed.ts";

const DOVECOT = findProgram("POSTHASTE_DOVECOT", "dovecot");

/** Each recipient that is not to be refused has a mailbox of its own, which says whom a copy was for. */
const configuration = (folder: string, port: number): string => `
protocols = lmtp
base_dir = ${folder}/run
state_dir = ${folder}/state
log_path = ${folder}/dovecot.log
ssl = no
mail_location = maildir:%h
first_valid_uid = 1
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = ${folder}/users
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
}
protocol lmtp {
  postmaster_address = postmaster@to.example
}
`;

async function startDovecot(): Promise<InteropServer> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder()).path;
  const port = await freePort();
  const [owner, group] = [(await userId("nobody", "-u")) ?? 65_534, (await userId("nobody", "-g")) ?? 65_534];
  await writeFile(join(folder, "dovecot.conf"), configuration(folder, port));
  const users = Array.from({ length: MESSAGES }, (_, index) => [
    `letter${index}@to.example`,
    `other${index}@to.example`,
  ]);
  const line = (user: string): string => `${user}::${owner}:${group}::${folder}/mail/${user}::\n`;
  await writeFile(join(folder, "users"), users.flat().map(line).join(""));
  await chmod(folder, 0o755);
  await mkdir(join(folder, "mail"));
  await chown(join(folder, "mail"), owner, group);
  const daemon = spawn(DOVECOT ?? "", ["-F", "-c", join(folder, "dovecot.conf")], { stdio: "ignore" });
  const ended = once(daemon, "exit");
  starting.defer(async () => {
    daemon.kill();
    await ended;
  });
  await untilItGreets(port);
  const running = starting.move();
  return {
    port,
    protocol: "lmtp",
    takeStored: () => takeDelivered(join(folder, "mail")),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The order in which files were made, by their names: seconds, M and microseconds, P and the process, a count. */
function placeOf(name: string): readonly number[] {
  return (/^(\d+)\.M(\d+)P\d+(?:_(\d+))?/.exec(name) ?? []).slice(1).map((part) => Number(part ?? 0));
}

function byPlace(a: string, b: string): number {
  const [before, behind] = [placeOf(a), placeOf(b)];
  return before.reduce((order, part, index) => order || part - (behind[index] ?? 0), 0);
}

/** Empties the mailboxes. Each recipient has a copy; together they are one message. */
async function takeDelivered(mail: string): Promise<readonly StoredMessage[]> {
  const paths = await readdir(mail, { recursive: true });
  const copies = paths.filter((path) => /\/new\/[^/]+$/.test(path)).sort((a, b) => byPlace(basename(a), basename(b)));
  const messages = new Map<string, StoredMessage>();
  for (const path of copies) {
    const message = parse(await readFile(join(mail, path), "latin1"), /P(\d+)/.exec(basename(path))?.[1] ?? "");
    const others = messages.get(message.reversePath)?.forwardPaths ?? [];
    const forwardPaths = [...others, path.slice(0, path.indexOf("/"))].sort();
    messages.set(message.reversePath, { ...message, forwardPaths });
    await rm(join(mail, path));
  }
  return [...messages.values()];
}

function parse(text: string, connection: string): StoredMessage {
  const [trace = ""] = /^(?:(?:Return-Path|Delivered-To|Received):.*\n(?:[ \t].*\n)*)+/.exec(text) ?? [];
  return {
    reversePath: /^Return-Path: <(.*)>$/m.exec(trace)?.[1] ?? "",
    forwardPaths: [],
    content: Buffer.from(text.slice(trace.length).replaceAll("\n", "\r\n"), "latin1"),
    connection,
  };
}

describeInterop({
  name: "Dovecot by LMTP",
  missing:
    DOVECOT === undefined
      ? "Dovecot is not installed: apt-get install dovecot-lmtpd, or name the program in POSTHASTE_DOVECOT"
      : isRoot
        ? undefined
        : "Dovecot is started by root only: sudo npm run test:interop",
  chunking: true,
  takesAnySender: true,
  start: startDovecot,
});
