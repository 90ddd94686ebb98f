import { readFileSync } from "node:fs";
import type { Transport } from "../delivery.ts";
import { SettingsError } from "../errors.ts";
import { mailSettings } from "../settings/environment.ts";
import { BACKENDS, type MailerSettings, type MailSettings } from "../settings/mail-settings.ts";
import { consoleTransport } from "../transport/console.ts";
import { dummyTransport } from "../transport/dummy.ts";
import { fileTransport } from "../transport/file.ts";
import { memoryTransport } from "../transport/memory.ts";
import { smtpTransport } from "../transport/smtp.ts";
import { moduleTransport } from "./module-transport.ts";

/** Options of {@link getConnection}: whichever are given stand instead of the settings'. */
export interface ConnectionOptions extends Partial<Omit<MailerSettings, "alias" | "backend" | "namedBy">> {
  /** The mailer that is meant, one of `MAILERS`. Default: `default`. */
  readonly using?: string | undefined;
  /** Not where the settings have `MAILERS`. */
  readonly backend?: MailSettings["backend"];
  /** The functions that are given this connection resolve instead of throwing. Default: the settings'. */
  readonly failSilently?: boolean;
  /**
   * Of `smtp` alone: the most connections at once, 1 to 1000; new ones are opened as the server proves to bear them.
   * Default: 1.
   */
  readonly connections?: number | undefined;
  /** Of `smtp` alone: the most messages that begin in any second, 1/86400 to 1000000. Default: no limit. */
  readonly messagesPerSecond?: number | undefined;
}

/** What the settings have no name for, since Django has none. */
type Pace = Pick<ConnectionOptions, "connections" | "messagesPerSecond">;

const OWN_NAMES: Readonly<Record<keyof ConnectionOptions, true>> = {
  using: true,
  backend: true,
  host: true,
  port: true,
  auth: true,
  tls: true,
  timeout: true,
  certFile: true,
  keyFile: true,
  filePath: true,
  failSilently: true,
  options: true,
  connections: true,
  messagesPerSecond: true,
};

/** The connections whose failures the functions keep to themselves. */
const silent = new WeakSet<Transport>();

export function isSilent(connection: Transport): boolean {
  return silent.has(connection);
}

/**
 * A transport that the settings describe; Django's `get_connection`. It keeps its connections until `close()`. A backend
 * that is a module is imported with the first delivery.
 *
 * @param options what is to stand instead of the settings of the environment, which are read at each call; or settings
 * as `mailSettings` gives them, and then the environment is not read.
 * @throws {SettingsError} naming the setting or option.
 */
export function getConnection(options: ConnectionOptions | MailSettings = {}): Transport {
  if ("mailers" in options) return openConnection(enabled(options));
  for (const name of Object.keys(options)) if (!Object.hasOwn(OWN_NAMES, name)) throw unknownOption(name);
  const { using, connections, messagesPerSecond, ...given } = options;
  const settings = mailerNamed(mailSettings(), using);
  if (given.backend !== undefined && settings.namedBy === "MAILERS") throw backendBesideMailers();
  const overriding = Object.entries(given).filter(([, value]) => value !== undefined);
  const whole = { ...settings, ...(Object.fromEntries(overriding) as typeof given) } as MailerSettings;
  return openConnection(whole, { connections, messagesPerSecond });
}

/**
 * The settings of the mailer.
 *
 * @throws {SettingsError} `unknown-mailer`, when there is none of this name.
 */
export function mailerNamed(settings: MailSettings, alias = "default"): MailerSettings {
  const { mailers } = settings;
  const found = Object.hasOwn(mailers, alias) ? mailers[alias] : undefined;
  if (found !== undefined) return found;
  const name = `MAILERS[${JSON.stringify(alias)}]`;
  const known = Object.keys(mailers).map((each) => JSON.stringify(each));
  const message = `${name}: there is no such mailer; there ${known.length === 0 ? "is none" : `are ${known.join(", ")}`}`;
  throw new SettingsError("unknown-mailer", message, { setting: name });
}

function enabled(settings: MailSettings): MailerSettings {
  const { backend } = settings;
  return backend === undefined ? mailerNamed(settings) : { ...settings, backend };
}

/** The transport of a mailer. */
export function openConnection(settings: MailerSettings, pace: Pace = {}): Transport {
  const transport = transportOf(settings, pace);
  if (settings.failSilently) silent.add(transport);
  return transport;
}

function transportOf(settings: MailerSettings, pace: Pace): Transport {
  try {
    if (settings.backend !== "smtp") checkNoPace(settings, pace);
    switch (settings.backend) {
      case "smtp":
        return smtp(settings, pace);
      case "console":
        return consoleTransport();
      case "file":
        return fileTransport({ directory: settings.filePath ?? "" });
      case "memory":
        return memoryTransport();
      case "dummy":
        return dummyTransport();
      default:
        return moduleTransport(settings, nameIn(settings, "backend"));
    }
  } catch (error) {
    throw error instanceof SettingsError ? renamed(error, settings) : error;
  }
}

function checkNoPace({ backend }: MailerSettings, pace: Pace): void {
  const setting = (["connections", "messagesPerSecond"] as const).find((name) => pace[name] !== undefined);
  if (setting === undefined) return;
  const message = `${setting}: the backend is ${backend}, which has none; leave it out`;
  throw new SettingsError("bad-setting", message, { setting });
}

function smtp(settings: MailerSettings, pace: Pace): Transport {
  const { host, port, tls, auth, timeout, certFile, keyFile = certFile } = settings;
  const cert = certFile === undefined ? undefined : pem(certFile, "cert");
  const key = keyFile === undefined ? undefined : pem(keyFile, "key");
  return smtpTransport({ host, port, tls, auth, cert, key, timeouts: { command: timeout }, ...pace });
}

function pem(path: string, option: "cert" | "key"): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const message = `${option}: not allowed; it must be a file that can be read`;
    throw new SettingsError("bad-setting", message, { setting: option, cause });
  }
}

/** Under which name an option of a transport was given: in the environment, and in OPTIONS. */
const GIVEN_AS: Readonly<Record<string, readonly [variable: string, option: string]>> = {
  backend: ["EMAIL_BACKEND", "BACKEND"],
  host: ["EMAIL_HOST", "OPTIONS.host"],
  port: ["EMAIL_PORT", "OPTIONS.port"],
  "auth.user": ["EMAIL_HOST_USER", "OPTIONS.username"],
  "auth.password": ["EMAIL_HOST_PASSWORD", "OPTIONS.password"],
  "timeouts.command": ["EMAIL_TIMEOUT", "OPTIONS.timeout"],
  cert: ["EMAIL_SSL_CERTFILE", "OPTIONS.ssl_certfile"],
  key: ["EMAIL_SSL_KEYFILE", "OPTIONS.ssl_keyfile"],
  directory: ["EMAIL_FILE_PATH", "OPTIONS.file_path"],
};

/** What `EMAIL_URL` holds of them. */
const IN_URL = new Set(["host", "port", "auth.user", "auth.password"]);

function nameIn({ namedBy, alias }: MailerSettings, option: string): string {
  const [variable, name] = GIVEN_AS[option] ?? [option, option];
  if (namedBy === "MAILERS") return `MAILERS[${JSON.stringify(alias)}].${name}`;
  return namedBy === "EMAIL_URL" && IN_URL.has(option) ? "EMAIL_URL" : variable;
}

function renamed(error: SettingsError, settings: MailerSettings): SettingsError {
  const option = error.setting ?? "";
  if (!Object.hasOwn(GIVEN_AS, option)) return error;
  const setting = nameIn(settings, option);
  return new SettingsError(error.code, error.message.replace(option, setting), { setting, cause: error.cause });
}

function unknownOption(setting: string): SettingsError {
  const message = `${setting}: there is no such option; allowed are ${Object.keys(OWN_NAMES).join(", ")}`;
  return new SettingsError("unknown-setting", message, { setting });
}

function backendBesideMailers(): SettingsError {
  const message = `backend: the settings have MAILERS, one of which "using" names; ${BACKENDS.join(", ")} stand there`;
  return new SettingsError("conflicting-settings", message, { setting: "backend" });
}
