import { SettingsError } from "posthaste";
import { decodeMessage } from "./decode.ts";
import type { InboxMessage, ReceivedMessage } from "./message.ts";
import { startReception } from "./reception.ts";
import { matcher } from "./search.ts";
import { createStore } from "./store.ts";
import { waitFor } from "./waiting.ts";
import type { WaitOptions } from "./waiting.ts";
import { createWeb } from "./web.ts";

/** Options of {@link createInbox}. */
export interface InboxOptions {
  /** The address that SMTP listens on. Anyone who reaches it can fill the inbox. Default `127.0.0.1`. */
  readonly host?: string;
  /** The port that SMTP listens on, 0 to 65535; 0 takes a free one. Default 0. */
  readonly smtpPort?: number;
  /** The path under which the pages and the API are mounted, such as `/inbox`. Default `/`. */
  readonly basePath?: string;
  /**
   * Host names, without port, under which the pages may be asked for besides the loopback ones. The pages show every
   * activation link, and any site could have its own name resolve to 127.0.0.1 (DNS rebinding). Default none.
   */
  readonly allowedHosts?: readonly string[];
  /** How many messages are kept; the oldest goes. Default 1000. */
  readonly maxMessages?: number;
  /** How many bytes the messages may take in memory, received and decoded; the oldest go. Default 268435456 (256 MiB). */
  readonly maxBytes?: number;
  /** The largest content that is accepted, in bytes; more is refused with 552. Default 26214400 (25 MiB). */
  readonly maxMessageBytes?: number;
  /** The most recipients of one mail transaction; more are deferred with 452. Default 1000. */
  readonly maxRecipients?: number;
}

/** An inbox: SMTP in, pages, JSON and {@link Inbox.waitFor} out. All of it is in memory. */
export interface Inbox extends AsyncDisposable {
  /** The port that SMTP listens on. */
  readonly smtpPort: number;
  /** How many SMTP sessions were greeted so far. */
  readonly sessions: number;
  /** Answers a request for a page or the API, with its full path. Never rejects. */
  fetch(request: Request): Promise<Response>;
  /** The messages that match, newest first; without a query, all. */
  messages(query?: string): InboxMessage[];
  /**
   * Resolves with the newest message that matches, or else the first one that comes. A query matches as in the page's
   * search: part of the sender, a recipient, the subject or the text, in any case.
   *
   * @throws {TimeoutError} when none came in time; says what was waited for and which subjects are there.
   */
  waitFor(query?: string | ((message: InboxMessage) => boolean), options?: WaitOptions): Promise<InboxMessage>;
  /** Drops all messages. */
  clear(): void;
  /** Stops listening, ends open sessions with 421 and rejects what waits. The messages stay readable. */
  close(): Promise<void>;
}

const DEFAULTS = {
  host: "127.0.0.1",
  smtpPort: 0,
  basePath: "/",
  allowedHosts: [],
  maxMessages: 1000,
  maxBytes: 256 * 1024 * 1024,
  maxMessageBytes: 25 * 1024 * 1024,
  maxRecipients: 1000,
} satisfies Required<InboxOptions>;

/**
 * Starts an inbox to develop and test against.
 *
 * @throws {SettingsError} when the port is taken (`setting` is `INBOX_SMTP_PORT`) or an option has a value that is not
 * allowed.
 */
export async function createInbox(options: InboxOptions = {}): Promise<Inbox> {
  const settled = { ...DEFAULTS, ...options };
  checkNumbers(settled);
  checkHost(settled.host);
  const store = createStore(settled);
  const closed = new AbortController();
  let sessions = 0;
  // Made before listening, so that a bad option leaves no open port behind.
  let smtpPort = settled.smtpPort;
  const web = createWeb({ ...settled, store, smtpAddress: () => hostAndPort(settled.host, smtpPort) });
  const reception = await startReception({
    ...settled,
    port: settled.smtpPort,
    onSession: () => (sessions += 1),
    onMessage: inTurn(async (received) => {
      const message = await decodeMessage(received);
      store.add(message);
      return message.id;
    }),
  });
  smtpPort = reception.port;
  const close = async (): Promise<void> => {
    closed.abort(new Error("the inbox was closed"));
    await reception.close();
  };
  return {
    smtpPort,
    get sessions() {
      return sessions;
    },
    fetch: web,
    messages: (query = "") => store.all().filter(matcher(query)),
    waitFor: (query, waitOptions) => waitFor(store, closed.signal, query, waitOptions),
    clear: () => store.clear(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One after the other: keeps the order of arrival, and the memory of decoding to one message's. */
function inTurn(handle: (received: ReceivedMessage) => Promise<string>): typeof handle {
  let last: Promise<unknown> = Promise.resolve();
  return (received) => {
    const result = last.then(() => handle(received));
    last = result.catch(() => undefined);
    return result;
  };
}

const NUMBERS = {
  smtpPort: { min: 0, max: 65_535, setting: "INBOX_SMTP_PORT" },
  maxMessages: { min: 1, max: 100_000, setting: undefined },
  maxBytes: { min: 1, max: Number.MAX_SAFE_INTEGER, setting: undefined },
  maxMessageBytes: { min: 1, max: 1024 * 1024 * 1024, setting: undefined },
  maxRecipients: { min: 1, max: 1_000_000, setting: undefined },
} as const satisfies Partial<Record<keyof InboxOptions, { min: number; max: number; setting: string | undefined }>>;

function checkNumbers(options: Required<InboxOptions>): void {
  for (const [name, { min, max, setting }] of Object.entries(NUMBERS)) {
    const value = options[name as keyof typeof NUMBERS];
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    const message = `${setting ?? name} must be a whole number from ${min} to ${max}`;
    throw new SettingsError("bad-setting", message, { field: name, setting });
  }
}

/** An empty or missing host would make Node listen on every interface. */
function checkHost(host: unknown): void {
  if (typeof host === "string" && host.trim() !== "") return;
  throw new SettingsError("bad-setting", "host must be an IP address or a host name", { field: "host" });
}

function hostAndPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
