import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  CHANNELS,
  type CommandEvent,
  type ConnectionEvent,
  EmailMessage,
  type ReplyEvent,
  type TlsDetails,
} from "posthaste";
import { mailTransport } from "./mail-transport.ts";

/** What a server showed of itself. */
export interface ServerProbe {
  readonly greeting: string | undefined;
  /** The lines of its last reply to EHLO, behind the first. */
  readonly extensions: readonly string[];
  /** What secures the connection, with a certificate that holds; undefined where nothing does. */
  readonly tls: TlsDetails | undefined;
  /** How the credentials were presented; undefined where there are none. */
  readonly auth: string | undefined;
  /** From EHLO to its reply, in milliseconds. */
  readonly roundTrip: number | undefined;
  /** Why the server cannot be used. */
  readonly error: Error | undefined;
}

/** Connects, as far as to where the first message would begin, and ends the connection in peace. No message is sent. */
export async function probeServer(using: string | undefined): Promise<ServerProbe> {
  const transport = mailTransport(using);
  const watch = watchSession();
  const ready = new AbortController();
  let tls: TlsDetails | undefined;
  const onConnection = (event: unknown): void => {
    const connection = event as ConnectionEvent;
    if (connection.type !== "ready") return;
    tls = connection.tls;
    ready.abort();
  };
  subscribe(CHANNELS.connection, onConnection);
  let error: Error | undefined;
  try {
    // It is taken back the moment the server takes mail, before MAIL.
    const message = new EmailMessage({ from: "check@localhost", to: ["check@localhost"], subject: "check" });
    for await (const receipt of transport.deliver([message], { signal: ready.signal })) error = receipt.error;
  } catch (caught) {
    error = caught as Error;
  } finally {
    unsubscribe(CHANNELS.connection, onConnection);
    await transport.close();
    watch.stop();
  }
  const { greeting, extensions, auth, roundTrip } = watch.seen;
  return { greeting, extensions, tls, auth, roundTrip, error: ready.signal.aborted ? undefined : error };
}

interface Seen {
  greeting: string | undefined;
  extensions: readonly string[];
  auth: string | undefined;
  roundTrip: number | undefined;
}

function watchSession(): { readonly seen: Seen; stop(): void } {
  const seen: Seen = { greeting: undefined, extensions: [], auth: undefined, roundTrip: undefined };
  let began = 0;
  let mechanism: string | undefined;
  const onCommand = (event: unknown): void => {
    const { verb, line } = event as CommandEvent;
    if (verb === "EHLO") began = performance.now();
    if (verb === "AUTH") mechanism = /^AUTH (\S+)/i.exec(line)?.[1] ?? mechanism;
  };
  const onReply = (event: unknown): void => {
    const { verb, reply } = event as ReplyEvent;
    if (verb === "EHLO" && reply.code === 250) {
      seen.roundTrip = performance.now() - began;
      seen.extensions = reply.lines.slice(1);
    } else if (verb === "AUTH" && reply.code === 235) seen.auth = mechanism;
    else if (seen.greeting === undefined && reply.code === 220) seen.greeting = reply.lines[0];
  };
  subscribe(CHANNELS.command, onCommand);
  subscribe(CHANNELS.reply, onReply);
  const stop = (): void => {
    unsubscribe(CHANNELS.command, onCommand);
    unsubscribe(CHANNELS.reply, onReply);
  };
  return { seen, stop };
}
