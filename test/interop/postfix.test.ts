import { chmod, chown, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { localhostCertificate } from "../peer/certificate.ts";
import { temporaryFolder } from "../peer/posthaste.ts";
import { describeInterop, type InteropServer, type StoredMessage } from "./exchange.ts";
import { findProgram, freePort, isRoot, runProgram, startDaemon, untilItGreets, userId } from "./installed.ts";

const POSTFIX = findProgram("POSTHASTE_POSTFIX", "postfix");
/** Its other programs stand beside it. */
const beside = (name: string): string => join(dirname(POSTFIX ?? ""), name);

/** Everything that is accepted is held in the queue, where it can be read. */
const mainConfig = (folder: string, daemons: string): string => `
compatibility_level = 3.6
daemon_directory = ${daemons}
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/postfix.log
maillog_file_prefixes = ${folder}
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relay_domains = to.example
local_header_rewrite_clients =
enable_long_queue_ids = yes
smtpd_delay_reject = no
smtpd_data_restrictions = check_client_access static:HOLD
smtpd_sender_restrictions = check_sender_access regexp:${folder}/senders
smtpd_recipient_restrictions = check_recipient_access regexp:${folder}/recipients
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = ${folder}/certificate.pem
# The limits of 10 and 20 errors are as they are by default; only the sleeping is left out.
smtpd_error_sleep_time = 0
`;

const masterConfig = (port: number): string => `
127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`;

async function startPostfix(): Promise<InteropServer> {
  await using starting = new AsyncDisposableStack();
  const folder = starting.use(await temporaryFolder()).path;
  const config = join(folder, "config");
  const port = await freePort();
  const { cert, key } = await localhostCertificate();
  await writeFile(join(folder, "certificate.pem"), key + cert, { mode: 0o600 });
  await writeConfig(folder, port);
  const postfix = (command: string): Promise<void> => startDaemon(POSTFIX ?? "", "-c", config, command);
  starting.defer(() => postfix("stop"));
  await postfix("start");
  await untilItGreets(port);
  const running = starting.move();
  return {
    port,
    ca: cert,
    takeStored: () => takeHeld(config, join(folder, "queue/hold")),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function writeConfig(folder: string, port: number): Promise<void> {
  const daemons = (await runProgram(beside("postconf"), "-dh", "daemon_directory")).toString().trim();
  for (const part of ["config", "queue", "data"]) await mkdir(join(folder, part));
  await chown(join(folder, "data"), (await userId("postfix", "-u")) ?? 0, 0);
  await chmod(folder, 0o755);
  await writeFile(join(folder, "config/main.cf"), mainConfig(folder, daemons));
  await writeFile(join(folder, "config/master.cf"), masterConfig(port));
  await writeFile(join(folder, "senders"), "/^refused/ 553 5.7.1 not from you\n");
  await writeFile(join(folder, "recipients"), "/^refused/ 550 5.1.1 no such user\n/^deferred/ 451 4.3.0 later\n");
}

/** Empties the queue of what is held; long queue ids sort by time. */
async function takeHeld(config: string, hold: string): Promise<readonly StoredMessage[]> {
  const files = (await readdir(hold)).sort().map((name) => join(hold, name));
  if (files.length === 0) return [];
  const printed = await runProgram(beside("postcat"), "-c", config, "-e", "-h", "-b", ...files);
  await Promise.all(files.map((file) => rm(file)));
  return files.map((file) => parse(printed.toString("latin1"), file));
}

/** Reads what postcat printed of a file. */
function parse(printed: string, file: string): StoredMessage {
  const mark = (what: string): string => `*** ${what} ${file} ***\n`;
  const [envelope = "", rest = ""] = (printed.split(mark("ENVELOPE RECORDS"))[1] ?? "").split(mark("MESSAGE CONTENTS"));
  const lines = rest.split(mark("HEADER EXTRACTED"))[0] ?? "";
  const values = (name: string): string[] =>
    [...envelope.matchAll(new RegExp(`^${name}[:=] ?(.*)$`, "gm"))].map(([, value]) => value ?? "");
  return {
    reversePath: values("sender")[0] ?? "",
    forwardPaths: values("recipient"),
    content: Buffer.from(lines.replace(/^Received:.*\n(?:[ \t].*\n)*/, "").replaceAll("\n", "\r\n"), "latin1"),
    connection: values("named_attribute: client_port")[0] ?? "",
  };
}

describeInterop({
  name: "Postfix",
  missing:
    POSTFIX === undefined
      ? "Postfix is not installed: apt-get install postfix, or name the program in POSTHASTE_POSTFIX"
      : isRoot
        ? undefined
        : "Postfix is started by root only: sudo npm run test:interop",
  chunking: true,
  startTls: true,
  start: startPostfix,
});
