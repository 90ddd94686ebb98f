import { SettingsError } from "../errors.ts";
import { parseEmailUrl } from "./email-url.ts";
import type { Backend, MailerSettings, MailSettings } from "./mail-settings.ts";
import { mailerSettings, type OptionName, type OptionSource, serverSettings, VARIABLES } from "./mailer-options.ts";
import type { ServerSettings } from "./mailer-options.ts";
import { definedMailers, type MailerDefinition } from "./mailers.ts";
import { backendOf, booleanOf, conflict, peopleOf, textOf } from "./setting-value.ts";
import { nearestOf } from "./spelling.ts";

/** The environment, or an object in its shape. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The settings as an object, under the names of the environment. What is undefined is not set. */
export interface SettingsObject {
  /** Where mail goes, or Django's path of it. Default: `smtp`. */
  readonly EMAIL_BACKEND?: Backend | undefined;
  /** `smtp://user:password@host:587`, or `smtps:`, instead of `EMAIL_HOST` and its like. Default: none. */
  readonly EMAIL_URL?: string | undefined;
  /** A name or an IP address. Default: `localhost`. */
  readonly EMAIL_HOST?: string | undefined;
  /** 1 to 65535. Default: 465 with `EMAIL_USE_SSL`, 587 with `EMAIL_USE_TLS`, else 25. */
  readonly EMAIL_PORT?: number | string | undefined;
  /** There is a login where this and the password are set. Default: none. */
  readonly EMAIL_HOST_USER?: string | undefined;
  /** A secret, which no error shows. Default: none. */
  readonly EMAIL_HOST_PASSWORD?: string | undefined;
  /** STARTTLS, which then is required; false: in clear. Default: required but for a loopback host. */
  readonly EMAIL_USE_TLS?: boolean | string | undefined;
  /** TLS from the first byte. Default: true for port 465, else false. */
  readonly EMAIL_USE_SSL?: boolean | string | undefined;
  /** The path of the client's certificate in PEM, for servers that ask for one. Default: none. */
  readonly EMAIL_SSL_CERTFILE?: string | undefined;
  /** The path of its key in PEM. Default: the key stands in the file of the certificate. */
  readonly EMAIL_SSL_KEYFILE?: string | undefined;
  /** In seconds. */
  readonly EMAIL_TIMEOUT?: number | string | undefined;
  /** The directory of the `file` backend, which needs it. Default: none. */
  readonly EMAIL_FILE_PATH?: string | undefined;
  /** An empty string is no prefix. */
  readonly EMAIL_SUBJECT_PREFIX?: string | undefined;
  /** Whether Date fields are in this process's time zone. Default: false, UTC. */
  readonly EMAIL_USE_LOCALTIME?: boolean | string | undefined;
  /** The author of messages that name none. Default: `webmaster@localhost`. */
  readonly DEFAULT_FROM_EMAIL?: string | undefined;
  /** The author of mail to admins and managers. Default: `root@localhost`. */
  readonly SERVER_EMAIL?: string | undefined;
  /** Mailboxes, or a text with commas between them. Default: nobody. */
  readonly ADMINS?: readonly string[] | string | undefined;
  /** The same. Default: the admins. */
  readonly MANAGERS?: readonly string[] | string | undefined;
  /** Several mailers by name, or the JSON of it, instead of the settings of one server. Default: none. */
  readonly MAILERS?: Readonly<Record<string, MailerDefinition>> | string | undefined;
}

type SettingName = keyof SettingsObject;

const NAMES: Readonly<Record<SettingName, true>> = {
  EMAIL_BACKEND: true,
  EMAIL_URL: true,
  EMAIL_HOST: true,
  EMAIL_PORT: true,
  EMAIL_HOST_USER: true,
  EMAIL_HOST_PASSWORD: true,
  EMAIL_USE_TLS: true,
  EMAIL_USE_SSL: true,
  EMAIL_SSL_CERTFILE: true,
  EMAIL_SSL_KEYFILE: true,
  EMAIL_TIMEOUT: true,
  EMAIL_FILE_PATH: true,
  EMAIL_SUBJECT_PREFIX: true,
  EMAIL_USE_LOCALTIME: true,
  DEFAULT_FROM_EMAIL: true,
  SERVER_EMAIL: true,
  ADMINS: true,
  MANAGERS: true,
  MAILERS: true,
};

const PREFIX = "EMAIL_";
const VARIABLE_NAMES = Object.keys(NAMES).filter((name) => name.startsWith(PREFIX));
/** What a server's URL says itself. EMAIL_USE_TLS may stand beside it: it says what `smtp:` leaves open. */
const BESIDE_NO_URL = ["EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_SSL"] as const;
const BESIDE_NO_MAILERS = ["EMAIL_URL", "EMAIL_BACKEND", ...Object.values(VARIABLES)] as const;

type Get = (name: SettingName) => unknown;

/**
 * Reads the settings from the environment, which may hold anything else too. An empty value is as none.
 *
 * @param environment default: `process.env`.
 * @throws {SettingsError} naming the setting, never its value; also for an `EMAIL_` variable that is a known one
 * misspelt, since mail that goes out without its password or TLS is worse than none.
 */
export function mailSettings(environment: Environment = process.env): MailSettings {
  for (const name of Object.keys(environment)) {
    if (name.startsWith(PREFIX) && !Object.hasOwn(NAMES, name)) checkSpelling(name);
  }
  return settingsOf((name) => (environment[name] === "" ? undefined : environment[name]));
}

/**
 * The same from an object, where every name must be a setting's.
 *
 * @throws {SettingsError} naming the setting, never its value.
 */
export function mailSettingsFrom(object: SettingsObject): MailSettings {
  for (const name of Object.keys(object)) if (!Object.hasOwn(NAMES, name)) throw unknown(name, Object.keys(NAMES));
  return settingsOf((name) => {
    const value = object[name];
    return value === "" && name !== "EMAIL_SUBJECT_PREFIX" ? undefined : value;
  });
}

function checkSpelling(name: string): void {
  const near = nearestOf(name, VARIABLE_NAMES, PREFIX);
  if (near !== undefined) throw unknown(name, [near]);
}

function unknown(setting: string, names: readonly string[]): SettingsError {
  const near = names.length === 1 ? names[0] : nearestOf(setting, names);
  const hint = near === undefined ? `allowed are ${names.join(", ")}` : `did you mean ${near}?`;
  return new SettingsError("unknown-setting", `${setting}: there is no such setting; ${hint}`, { setting });
}

function settingsOf(get: Get): MailSettings {
  const defined = get("MAILERS") === undefined ? undefined : mailersOf(get);
  const mailers = defined ?? Object.freeze({ default: ownMailer(get) });
  const admins = peopleOf("ADMINS", get("ADMINS")) ?? [];
  return Object.freeze({
    ...(Object.hasOwn(mailers, "default") ? mailers.default : NO_MAILER),
    mailers,
    from: textOf("DEFAULT_FROM_EMAIL", get("DEFAULT_FROM_EMAIL")) ?? "webmaster@localhost",
    serverEmail: textOf("SERVER_EMAIL", get("SERVER_EMAIL")) ?? "root@localhost",
    admins,
    managers: peopleOf("MANAGERS", get("MANAGERS")) ?? admins,
    subjectPrefix: textOf("EMAIL_SUBJECT_PREFIX", get("EMAIL_SUBJECT_PREFIX")) ?? "[Django] ",
    useLocalTime: booleanOf("EMAIL_USE_LOCALTIME", get("EMAIL_USE_LOCALTIME")) ?? false,
  });
}

/** Where MAILERS has no `default`: Django's `MAILERS = {}` turns mail off. */
const NO_MAILER: Omit<MailerSettings, "backend"> & { readonly backend: undefined } = {
  alias: "default",
  backend: undefined,
  host: "localhost",
  port: 25,
  auth: undefined,
  tls: undefined,
  timeout: undefined,
  certFile: undefined,
  keyFile: undefined,
  filePath: undefined,
  failSilently: false,
  options: Object.freeze({}),
  namedBy: "MAILERS",
};

function mailersOf(get: Get): Readonly<Record<string, MailerSettings>> {
  const beside = BESIDE_NO_MAILERS.find((name) => get(name) !== undefined);
  if (beside !== undefined) throw conflict("MAILERS", beside);
  return definedMailers(get("MAILERS"));
}

function ownMailer(get: Get): MailerSettings {
  const variable = (option: OptionName): SettingName | undefined =>
    option === "fail_silently" ? undefined : VARIABLES[option];
  const source: OptionSource = {
    get: (option) => {
      const name = variable(option);
      return name === undefined ? undefined : get(name);
    },
    name: (option) => variable(option) ?? option,
  };
  const server =
    get("EMAIL_URL") === undefined
      ? serverSettings(source, get("EMAIL_HOST") === undefined ? undefined : "EMAIL_HOST")
      : urlSettings(get);
  return mailerSettings("default", backendOf("EMAIL_BACKEND", get("EMAIL_BACKEND")), source, server);
}

/** `EMAIL_USE_TLS` beside the URL says what its `smtp:` leaves open: `false` is the word for plain to another host. */
function urlSettings(get: Get): ServerSettings {
  const beside = BESIDE_NO_URL.find((name) => get(name) !== undefined);
  if (beside !== undefined) throw conflict("EMAIL_URL", beside);
  const url = parseEmailUrl(textOf("EMAIL_URL", get("EMAIL_URL")) ?? "");
  const useTls = booleanOf("EMAIL_USE_TLS", get("EMAIL_USE_TLS"));
  if (url.tls === "implicit" && useTls !== undefined) throw conflict("EMAIL_URL", "EMAIL_USE_TLS");
  const tls = useTls === undefined ? url.tls : useTls ? "starttls" : "none";
  return { ...url, tls, namedBy: "EMAIL_URL" };
}
