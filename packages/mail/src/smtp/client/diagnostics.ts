import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Receipt, Reply } from "../../delivery.ts";
import type { SmtpError } from "../../errors.ts";

/** On `posthaste:connection`: a connection was made, takes mail, or is over. */
export interface ConnectionEvent {
  /** `open`: it is made. `ready`: TLS and login are done. `ended`: it is over, in peace or not. */
  readonly type: "open" | "ready" | "ended";
  /** Counts the connections of this process, from 1. */
  readonly connection: number;
  /** As `smtpTransport` was given it. */
  readonly host: string;
  /** The server's port; with `path` it means nothing. */
  readonly port: number;
  /** Of `ready`: what secures it; undefined for a connection in clear. */
  readonly tls?: TlsDetails | undefined;
  /** Of `ended`: why, where it was not in peace. */
  readonly error?: SmtpError | undefined;
}

/** What secures a connection. */
export interface TlsDetails {
  /** Such as `TLSv1.3`. */
  readonly protocol: string;
  /** For whom the server's certificate is: its names, or else its common name. */
  readonly names: readonly string[];
  /** Until when the certificate holds. */
  readonly validTo: Date;
}

/** On `posthaste:command`: a command left. What authenticates stands as `***`, and content does not appear. */
export interface CommandEvent {
  /** The number of the connection, as in its {@link ConnectionEvent}. */
  readonly connection: number;
  /** In capitals, such as `MAIL`; `end-of-data` for the dot. */
  readonly verb: string;
  /** Without CRLF; `.` for the end of data. */
  readonly line: string;
}

/** On `posthaste:reply`: a reply came. What was presented to authenticate stands as `***` in it. */
export interface ReplyEvent {
  /** The number of the connection, as in its {@link ConnectionEvent}. */
  readonly connection: number;
  /** What it answers. */
  readonly verb: string;
  /** What the server said. */
  readonly reply: Reply;
}

/** On `posthaste:verdict`: a message has its receipt. */
export interface VerdictEvent {
  /** As `smtpTransport` was given it. */
  readonly host: string;
  /** The same that the delivery yields. */
  readonly receipt: Receipt;
}

/** The channels of `node:diagnostics_channel`; with nobody subscribed they cost nothing. */
export const CHANNELS = {
  connection: "posthaste:connection",
  command: "posthaste:command",
  reply: "posthaste:reply",
  verdict: "posthaste:verdict",
} as const;

const connections = channel(CHANNELS.connection);
const commands = channel(CHANNELS.command);
const replies = channel(CHANNELS.reply);
const verdicts = channel(CHANNELS.verdict);

export function publishConnection(event: ConnectionEvent): void {
  if (connections.hasSubscribers) connections.publish(event);
}

export function publishCommand(connection: number, verb: string, line: string): void {
  if (commands.hasSubscribers) commands.publish({ connection, verb, line } satisfies CommandEvent);
}

export function publishReply(connection: number, verb: string, reply: Reply): void {
  if (replies.hasSubscribers) replies.publish({ connection, verb, reply } satisfies ReplyEvent);
}

export function publishVerdict(host: string, receipt: Receipt): void {
  if (verdicts.hasSubscribers) verdicts.publish({ host, receipt } satisfies VerdictEvent);
}

/**
 * Writes the conversation of every connection of this process, a line at a time: `1 C: EHLO …`, `1 S: 250 …`. Secrets
 * are masked, and content does not appear.
 *
 * @returns ends it.
 */
export function logWire(write: (line: string) => void): () => void {
  const onConnection = (message: unknown): void => {
    const { type, connection, host, port, error } = message as ConnectionEvent;
    write(`${connection} ${type} ${host}:${port}${error === undefined ? "" : ` (${error.message})`}`);
  };
  const onCommand = (message: unknown): void => {
    const { connection, line } = message as CommandEvent;
    write(`${connection} C: ${line}`);
  };
  const onReply = (message: unknown): void => {
    const { connection, reply } = message as ReplyEvent;
    for (const [index, line] of reply.lines.entries())
      write(`${connection} S: ${reply.code}${index === reply.lines.length - 1 ? " " : "-"}${line}`);
  };
  const subscriptions = [
    [CHANNELS.connection, onConnection],
    [CHANNELS.command, onCommand],
    [CHANNELS.reply, onReply],
  ] as const;
  for (const [name, listener] of subscriptions) subscribe(name, listener);
  return () => {
    for (const [name, listener] of subscriptions) unsubscribe(name, listener);
  };
}
