import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "../peer/posthaste.ts";
import { describeInterop, type InteropServer, type StoredMessage } from "./exchange.ts";
import { findProgram, freePort, isRoot, untilItGreets, userId } from "./installed.ts";

const EXIM = findProgram("POSTHASTE_EXIM", "exim4", "exim");

/** The user that the distributions' Exim is built for; it insists on finding it. */
const USERS = ["Debian-exim", "exim", "mail"];

/** Everything that is accepted stays in the spool, where it can be read. */
const configuration = (folder: string, port: number): string => `
primary_hostname = exim.example
spool_directory = ${folder}/spool
log_file_path = ${folder}/log/%slog
pid_file_path = ${folder}/exim.pid
daemon_smtp_ports = ${port}
local_interfaces = 127.0.0.1
queue_only
keep_environment =
rfc1413_query_timeout = 0s
chunking_advertise_hosts = *
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
begin acl
mail:
  deny
    senders = ^refused
    message = 5.7.1 not from you
  accept
rcpt:
  deny
    local_parts = ^refused
    message = 5.1.1 no such user
  defer
    local_parts = ^deferred
    message = 4.3.0 later
  accept
`;

async function startExim(): Promise<InteropServer> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder()).path;
  const port = await freePort();
  const owner = (await Promise.all(USERS.map((name) => userId(name, "-u")))).find((id) => id !== undefined) ?? 0;
  await writeFile(join(folder, "exim.conf"), configuration(folder, port));
  await chmod(folder, 0o755);
  for (const part of ["spool", "log"]) {
    await mkdir(join(folder, part));
    await chown(join(folder, part), owner, 0);
  }
  const daemon = spawn(EXIM ?? "", ["-C", join(folder, "exim.conf"), "-bdf"], { stdio: "ignore" });
  const ended = once(daemon, "exit");
  starting.defer(async () => {
    daemon.kill();
    await ended;
  });
  await untilItGreets(port);
  const running = starting.move();
  return {
    port,
    takeStored: () => takeSpooled(join(folder, "spool/input")),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Empties the spool; message ids sort by time within a connection. */
async function takeSpooled(input: string): Promise<readonly StoredMessage[]> {
  const ids = (await readdir(input))
    .filter((name) => name.endsWith("-H"))
    .sort()
    .map((name) => name.slice(0, -2));
  return await Promise.all(
    ids.map(async (id) => {
      const [header, data] = [join(input, `${id}-H`), join(input, `${id}-D`)];
      const message = parse(await readFile(header, "latin1"), await readFile(data, "latin1"));
      await Promise.all([rm(header), rm(data)]);
      return message;
    }),
  );
}

/**
 * Reads a message of the spool. Its header file: name, owner, sender, time, options, the tree of those who have it
 * (XX: nobody), the number of recipients, the recipients, a blank line, the header fields with the length of each.
 */
function parse(header: string, data: string): StoredMessage {
  const [, options = "", rest = ""] = /^([^]*?)\nXX\n([^]*)$/.exec(header) ?? [];
  const recipients = Number.parseInt(rest);
  const lines = rest.split("\n");
  const fields: string[] = [];
  let fieldLines = lines.slice(recipients + 2).join("\n");
  for (let match = /^(\d+)(.) /.exec(fieldLines); match !== null; match = /^(\d+)(.) /.exec(fieldLines)) {
    const [prefix, length = "", kind] = match;
    if (kind !== "*") fields.push(fieldLines.slice(prefix.length, prefix.length + Number(length)));
    fieldLines = fieldLines.slice(prefix.length + Number(length));
  }
  const body = data.slice(data.indexOf("\n") + 1);
  const own = fields.filter((field) => !field.startsWith("Received:"));
  return {
    reversePath: options.split("\n")[2]?.slice(1, -1) ?? "",
    forwardPaths: lines.slice(1, recipients + 1),
    content: Buffer.from(`${own.join("")}\n${body}`.replaceAll("\n", "\r\n"), "latin1"),
    connection: /^-host_address .*[.:](\d+)$/m.exec(options)?.[1] ?? "",
  };
}

describeInterop({
  name: "Exim",
  missing:
    EXIM === undefined
      ? "Exim is not installed: apt-get install exim4-daemon-light, or name the program in POSTHASTE_EXIM"
      : isRoot
        ? undefined
        : "Exim changes its user, which is for root: sudo npm run test:interop",
  chunking: true,
  start: startExim,
});
