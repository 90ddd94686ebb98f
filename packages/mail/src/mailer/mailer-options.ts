import { parseAddressList, parseMailbox } from "../address/mailbox.ts";
import type { Receipt, Transport } from "../delivery.ts";
import { AddressError, SettingsError } from "../errors.ts";
import { headerSection } from "../message/header-section.ts";
import type { HeaderValue } from "../message/header-field.ts";
import type { Message } from "../message/message.ts";

/**
 * Sees a message before it is rendered: a copy, which it may change. What it throws refuses the message: its receipt is
 * `refused` with that error.
 */
export type Interceptor = (message: Message) => void | Promise<void>;

/** Sees a receipt. What it throws is a warning of the process, once, and nothing else. */
export type Observer = (receipt: Receipt) => void | Promise<void>;

/** Says which of the forward-paths are not to get mail, as they are given. Asked once for each message. */
export type Suppression = (forwardPaths: readonly string[]) => Iterable<string> | Promise<Iterable<string>>;

/** Options of {@link createMailer}. */
export interface MailerOptions {
  /** Where its messages go. The mailer closes it with itself. */
  readonly transport: Transport;
  /** The author of messages that name none. Default: none, and such a message is refused. */
  readonly from?: string | undefined;
  /** The author of mail to admins and managers; Django's `SERVER_EMAIL`. Default: `from`. */
  readonly serverEmail?: string | undefined;
  /** Who gets `mailAdmins`, one mailbox each. Default: nobody. */
  readonly admins?: readonly string[] | undefined;
  /** Who gets `mailManagers`, one mailbox each. Default: the admins. */
  readonly managers?: readonly string[] | undefined;
  /** Before the subject of mail to admins and managers. Default: empty. */
  readonly subjectPrefix?: string | undefined;
  /** Header fields of every message that has none of the name; null in a message keeps one away. Default: none. */
  readonly headers?: Readonly<Record<string, HeaderValue>> | undefined;
  /** The Auto-Submitted field of every message that has none (RFC 3834 section 5). Default: none. */
  readonly autoSubmitted?: "auto-generated" | "auto-replied" | undefined;
  /** Whether Date fields are in this process's time zone. Default: false, UTC. */
  readonly localTime?: boolean | undefined;
  /** Called in this order, each when the one before is done. Default: none. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** Called with every receipt, in this order; a promise is awaited. Default: none. */
  readonly observers?: readonly Observer[] | undefined;
  /**
   * Recipients that it names are `refused` with a DeliveryError `suppressed`, and not in the envelope; if there is no
   * other, nothing is sent. Where it fails nobody knows, and the message is `deferred`. Default: nobody is suppressed.
   */
  readonly suppression?: Suppression | undefined;
}

/** The same with every default resolved. */
export interface ResolvedMailerOptions {
  readonly transport: Transport;
  readonly from: string | undefined;
  readonly serverEmail: string | undefined;
  readonly admins: readonly string[];
  readonly managers: readonly string[];
  readonly subjectPrefix: string;
  /** By name, Auto-Submitted among them; `lower` is the name in lower case. */
  readonly headers: readonly { readonly name: string; readonly lower: string; readonly value: HeaderValue }[];
  readonly localTime: boolean;
  readonly interceptors: readonly Interceptor[];
  readonly observers: readonly Observer[];
  readonly suppression: Suppression | undefined;
}

const NAMES: Readonly<Record<keyof MailerOptions, true>> = {
  transport: true,
  from: true,
  serverEmail: true,
  admins: true,
  managers: true,
  subjectPrefix: true,
  headers: true,
  autoSubmitted: true,
  localTime: true,
  interceptors: true,
  observers: true,
  suppression: true,
};

/** @throws {SettingsError | AddressError | HeaderError} naming the option. */
export function resolveMailerOptions(options: MailerOptions): ResolvedMailerOptions {
  knownOptions(options, NAMES);
  const { transport, admins = [], autoSubmitted, subjectPrefix = "" } = options;
  if (typeof transport?.deliver !== "function") throw bad("transport", "a transport, such as smtpTransport() makes");
  if (typeof subjectPrefix !== "string") throw bad("subjectPrefix", "a text");
  if (autoSubmitted !== undefined && autoSubmitted !== "auto-generated" && autoSubmitted !== "auto-replied")
    throw bad("autoSubmitted", "auto-generated or auto-replied");
  const own = autoSubmitted === undefined ? {} : { "Auto-Submitted": autoSubmitted };
  return {
    transport,
    from: author("from", options.from),
    serverEmail: author("serverEmail", options.serverEmail) ?? options.from,
    admins: mailboxes("admins", admins),
    managers: mailboxes("managers", options.managers ?? admins),
    subjectPrefix,
    headers: defaultHeaders({ ...own, ...options.headers }),
    localTime: options.localTime ?? false,
    interceptors: functions("interceptors", options.interceptors ?? []),
    observers: functions("observers", options.observers ?? []),
    suppression: suppressionOf(options.suppression),
  };
}

/** A misspelt option would be a default that nobody asked for. @throws {SettingsError} naming the option. */
export function knownOptions(options: object, names: Readonly<Record<string, true>>): void {
  for (const setting of Object.keys(options)) {
    if (Object.hasOwn(names, setting)) continue;
    const message = `${setting}: there is no such option; allowed are ${Object.keys(names).join(", ")}`;
    throw new SettingsError("unknown-setting", message, { setting });
  }
}

/** One mailbox, or several with commas between, as From has it. @throws {AddressError} naming the option. */
export function author(option: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const found = parseAddressList(value, option);
  if (found.length > 0 && found.every((each) => "addrSpec" in each)) return value;
  throw new AddressError("address-syntax", `${option}: must be one mailbox, or several with commas between`, {
    field: option,
  });
}

/** @throws {AddressError} naming the option and place. */
export function mailboxes(option: string, list: readonly string[]): readonly string[] {
  if (!isArray(list)) throw bad(option, "an array of mailboxes");
  list.forEach((each, index) => parseMailbox(each, `${option}[${index}]`));
  return [...list];
}

function suppressionOf(given: Suppression | undefined): Suppression | undefined {
  if (given !== undefined && typeof given !== "function") throw bad("suppression", "a function");
  return given;
}

function functions<F>(option: string, list: readonly F[]): readonly F[] {
  if (!isArray(list) || !list.every((each) => typeof each === "function")) throw bad(option, "an array of functions");
  return [...list];
}

/** `Array.isArray` would make `any` of the elements. */
function isArray(value: unknown): boolean {
  return Array.isArray(value);
}

/** What is the same for every message: the field that names one, or the time of one, is not. */
const OF_ONE_MESSAGE = new Set(["message-id", "date"]);

function defaultHeaders(headers: Readonly<Record<string, HeaderValue>>): ResolvedMailerOptions["headers"] {
  const fields = Object.entries(headers).map(([name, value]) => ({ name, lower: name.toLowerCase(), value }));
  const own = fields.find(({ lower }) => OF_ONE_MESSAGE.has(lower));
  if (own !== undefined) throw bad(`headers["${own.name}"]`, "left out: it differs from message to message");
  // Written once, so that a name or value that no message can have shows here and not in each of them.
  headerSection({
    from: [{ displayName: "", addrSpec: "a@example.com" }],
    to: [],
    cc: [],
    replyTo: [],
    subject: "",
    date: new Date(),
    localTime: false,
    messageId: "<a@example.com>",
    headers,
  });
  return fields;
}

function bad(setting: string, allowed: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}
