import { createInbox } from "@posthaste/inbox";
import { isLoopback } from "posthaste";
import { badSetting } from "./exit.ts";
import { listen } from "./http-server.ts";
import { untilStopped } from "./stop-signal.ts";

/** The flags of `posthaste inbox`. */
export interface InboxFlags {
  readonly port: number;
  readonly host: string;
  readonly inboxSmtpPort: number;
}

/** `posthaste inbox`: the development inbox alone, for an application of any kind. */
export async function runInbox(flags: InboxFlags): Promise<void> {
  if (!isLoopback(flags.host))
    throw badSetting("HOST", "only a loopback address, such as 127.0.0.1: the inbox shows every mail to whoever asks");
  const stopped = untilStopped();
  await using stack = new AsyncDisposableStack();
  const inbox = stack.use(await createInbox({ smtpPort: flags.inboxSmtpPort }));
  const http = await listen(flags.host, flags.port, (request) => inbox.fetch(request));
  stack.defer(() => http.close());
  console.log(
    `The inbox shows its mail on ${http.origin}\n  send it some  EMAIL_HOST=127.0.0.1 EMAIL_PORT=${inbox.smtpPort}\nPress Ctrl-C to stop.`,
  );
  await stopped;
}
