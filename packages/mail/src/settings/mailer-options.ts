/** One mailer, from what describes it: the environment under Django's names, or its OPTIONS in MAILERS. */
import type { Backend, MailerSettings } from "./mail-settings.ts";
import { booleanOf, conflict, missing, portOf, textOf, timeoutOf } from "./setting-value.ts";

/** Django's names in OPTIONS, and for each what it is called in the environment. */
export const VARIABLES = {
  host: "EMAIL_HOST",
  port: "EMAIL_PORT",
  username: "EMAIL_HOST_USER",
  password: "EMAIL_HOST_PASSWORD",
  use_tls: "EMAIL_USE_TLS",
  use_ssl: "EMAIL_USE_SSL",
  ssl_certfile: "EMAIL_SSL_CERTFILE",
  ssl_keyfile: "EMAIL_SSL_KEYFILE",
  timeout: "EMAIL_TIMEOUT",
  file_path: "EMAIL_FILE_PATH",
} as const;

/** A name in OPTIONS. `fail_silently` has no name in the environment. */
export type OptionName = keyof typeof VARIABLES | "fail_silently";

/** Which OPTIONS a backend has. */
export const OPTION_NAMES: Readonly<Record<string, readonly OptionName[]>> = {
  smtp: [
    "host",
    "port",
    "username",
    "password",
    "use_tls",
    "use_ssl",
    "ssl_certfile",
    "ssl_keyfile",
    "timeout",
    "fail_silently",
  ],
  console: ["fail_silently"],
  file: ["file_path", "fail_silently"],
  memory: [],
  dummy: [],
};

/** Where the options of a mailer stand. */
export interface OptionSource {
  /** Undefined where it is not set. */
  readonly get: (option: OptionName) => unknown;
  /** What the setting is called there, for an error. */
  readonly name: (option: OptionName) => string;
}

/** Which server, and how to reach it. */
export type ServerSettings = Pick<MailerSettings, "host" | "port" | "auth" | "tls" | "namedBy">;

/** @throws {SettingsError} naming the setting. */
export function serverSettings({ get, name }: OptionSource, namedBy: MailerSettings["namedBy"]): ServerSettings {
  const useTls = booleanOf(name("use_tls"), get("use_tls"));
  const useSsl = booleanOf(name("use_ssl"), get("use_ssl"));
  if (useTls === true && useSsl === true) throw conflict(name("use_tls"), name("use_ssl"));
  const port = portOf(name("port"), get("port")) ?? (useSsl === true ? 465 : useTls === true ? 587 : 25);
  const implicit = useSsl === true || (port === 465 && useTls !== true && useSsl !== false);
  const tls = implicit ? "implicit" : useTls === true ? "starttls" : useTls === false ? "none" : undefined;
  const user = textOf(name("username"), get("username"));
  const password = textOf(name("password"), get("password"));
  return {
    host: textOf(name("host"), get("host")) ?? "localhost",
    port,
    tls,
    auth: user === undefined || password === undefined ? undefined : Object.freeze({ user, password }),
    namedBy,
  };
}

/** @throws {SettingsError} naming the setting. */
export function mailerSettings(
  alias: string,
  backend: Backend,
  source: OptionSource,
  server: ServerSettings,
  options: Readonly<Record<string, unknown>> = {},
): MailerSettings {
  const { get, name } = source;
  const certFile = textOf(name("ssl_certfile"), get("ssl_certfile"));
  const keyFile = textOf(name("ssl_keyfile"), get("ssl_keyfile"));
  if (keyFile !== undefined && certFile === undefined)
    throw missing(name("ssl_certfile"), `${name("ssl_keyfile")} is the key of the certificate in it`);
  const filePath = textOf(name("file_path"), get("file_path"));
  if (backend === "file" && filePath === undefined)
    throw missing(name("file_path"), "it is the directory into which the file backend writes");
  return Object.freeze({
    ...server,
    alias,
    backend,
    timeout: timeoutOf(name("timeout"), get("timeout")),
    certFile,
    keyFile,
    filePath,
    failSilently: booleanOf(name("fail_silently"), get("fail_silently")) ?? false,
    options: Object.freeze(options),
  });
}
