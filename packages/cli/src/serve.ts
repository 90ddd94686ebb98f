import { createAccounts, parseKeyRing } from "@posthaste/accounts";
import { createInbox, type Inbox } from "@posthaste/inbox";
import type { MailSettings } from "posthaste";
import { openMigrated } from "./data-folder.ts";
import { clientAddress, type Handler, listen } from "./http-server.ts";
import { log, logEvent } from "./log.ts";
import { startOutboxWorker } from "./outbox-worker.ts";
import { type ServeFlags, serveSettings } from "./serve-settings.ts";
import { untilStopped } from "./stop-signal.ts";

const INBOX_PATH = "/inbox";

/**
 * `posthaste serve`: accounts over HTTP and the outbox's worker; without a mail server, the development inbox too.
 *
 * @throws {SettingsError} naming the setting that keeps it from starting.
 */
export async function serve(flags: ServeFlags): Promise<void> {
  const settings = serveSettings(flags);
  const stopped = untilStopped();
  await using stack = new AsyncDisposableStack();
  // What fails most easily comes before anything is written.
  let handler: Handler = () => new Response("starting\n", { status: 503, headers: { "Retry-After": "1" } });
  const http = await listen(flags.host, flags.port, (request, address) => handler(request, address));
  stack.defer(() => http.close());
  const inbox = settings.withInbox
    ? await createInbox({ smtpPort: flags.inboxSmtpPort, basePath: INBOX_PATH })
    : undefined;
  stack.use(inbox);
  const database = openMigrated(settings.databasePath);
  stack.defer(() => database.close());
  const keys = settings.keys();
  const publicUrl = settings.publicUrl ?? reachable(http.origin);
  const accounts = createAccounts({
    database,
    keys: parseKeyRing(keys),
    publicUrl,
    from: settings.mail.from,
    onEnqueued: () => worker.wake(),
    onError: logFault,
    links: inbox === undefined ? [] : [{ href: INBOX_PATH, label: "Inbox · 받은 편지함" }],
  });
  const mail = inbox === undefined ? settings.mail : inboxSettings(settings.mail, inbox);
  const worker = startOutboxWorker({ databasePath: settings.databasePath, mail, keys, publicUrl }, logEvent, logFault);
  stack.defer(() => worker.stop());
  // It is the first to stop too: then no request enqueues a mail behind the worker's back.
  stack.defer(() => http.close());
  handler = (request, address) =>
    inbox !== undefined && isUnder(INBOX_PATH, request)
      ? inbox.fetch(request)
      : accounts.fetch(request, clientOf(clientAddress(request, address, flags.trustedProxies)));
  announce(http.origin, publicUrl, settings.databasePath, settings.mail, inbox);
  await stopped;
}

function logFault(error: unknown): void {
  log.error({ err: error }, "a fault");
}

/** Mail to the inbox stays on this machine: no TLS, no credentials. */
function inboxSettings(mail: MailSettings, inbox: Inbox): MailSettings {
  return { ...mail, host: "127.0.0.1", port: inbox.smtpPort, tls: "none", auth: undefined };
}

function clientOf(address: string | undefined): { address?: string } {
  return address === undefined ? {} : { address };
}

function isUnder(path: string, request: Request): boolean {
  const { pathname } = new URL(request.url);
  return pathname === path || pathname.startsWith(`${path}/`);
}

/** An unspecified address is one to listen on, not one to open. */
function reachable(origin: string): string {
  return origin.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
}

function announce(
  origin: string,
  publicUrl: string,
  database: string,
  mail: MailSettings,
  inbox: Inbox | undefined,
): void {
  const lines = [
    `Posthaste listens on ${origin}, with its data in ${database}`,
    `  sign up       ${publicUrl}/users/signup`,
    inbox === undefined
      ? `  mail goes to  ${mail.backend === "smtp" ? `${mail.host}:${mail.port}` : mail.backend}`
      : `  read the mail ${reachable(origin)}${INBOX_PATH}   (SMTP on 127.0.0.1:${inbox.smtpPort})`,
    "Press Ctrl-C to stop.",
  ];
  console.log(lines.join("\n"));
}
