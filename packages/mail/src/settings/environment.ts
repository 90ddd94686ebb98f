import { SettingsError } from "../errors.ts";
import { parseEmailUrl } from "./email-url.ts";

/** The environment, or an object in its shape. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says about mail, under Django's names. */
export interface MailSettings {
  /** `EMAIL_BACKEND`. Default: `smtp`. */
  readonly backend: Backend;
  /** `EMAIL_HOST`. Default: `localhost`. */
  readonly host: string;
  /** `EMAIL_PORT`. Default: 465 for implicit TLS, 587 where STARTTLS was asked for, else 25. */
  readonly port: number;
  /** `EMAIL_HOST_USER` and `EMAIL_HOST_PASSWORD`; undefined unless both are set, as in Django. */
  readonly auth: { readonly user: string; readonly password: string } | undefined;
  /**
   * `EMAIL_USE_SSL` or port 465: `implicit`. `EMAIL_USE_TLS`: `starttls`, required. Neither set: undefined, which is
   * `none` for a loopback host and `starttls` for any other. `EMAIL_USE_TLS=false`: `none`.
   */
  readonly tls: "implicit" | "starttls" | "none" | undefined;
  /** `EMAIL_TIMEOUT`, here in milliseconds: for connecting, the greeting and each command. Default: RFC 5321's. */
  readonly timeout: number | undefined;
  /** `DEFAULT_FROM_EMAIL`. Default: `webmaster@localhost`. */
  readonly from: string;
  /** `EMAIL_USE_LOCALTIME`: whether Date fields are in this process's time zone. Default: false, UTC. */
  readonly useLocalTime: boolean;
  /** The setting that names the server; undefined where none does, and the host is its default. */
  readonly namedBy: "EMAIL_HOST" | "EMAIL_URL" | undefined;
}

export type Backend = "smtp" | "console" | "memory";

const BACKENDS: readonly Backend[] = ["smtp", "console", "memory"];
const SERVER_SETTINGS = ["EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "EMAIL_USE_SSL"];
/** A day: more is a mistake in the unit. */
const TIMEOUT_LIMIT = 86_400;

/**
 * Reads the settings. An empty value is as none.
 *
 * @param environment default: `process.env`.
 * @throws {SettingsError} naming the setting, never its value.
 */
export function mailSettings(environment: Environment = process.env): MailSettings {
  const get = (name: string): string | undefined => (environment[name] === "" ? undefined : environment[name]);
  const server = get("EMAIL_URL") === undefined ? serverSettings(get) : urlSettings(get);
  return Object.freeze({
    ...server,
    backend: backendOf(get("EMAIL_BACKEND")),
    timeout: timeoutOf(get("EMAIL_TIMEOUT")),
    from: get("DEFAULT_FROM_EMAIL") ?? "webmaster@localhost",
    useLocalTime: booleanOf("EMAIL_USE_LOCALTIME", get("EMAIL_USE_LOCALTIME")) ?? false,
  });
}

type Server = Pick<MailSettings, "host" | "port" | "auth" | "tls" | "namedBy">;
type Get = (name: string) => string | undefined;

function serverSettings(get: Get): Server {
  const useTls = booleanOf("EMAIL_USE_TLS", get("EMAIL_USE_TLS"));
  const useSsl = booleanOf("EMAIL_USE_SSL", get("EMAIL_USE_SSL"));
  if (useTls === true && useSsl === true) throw conflict("EMAIL_USE_TLS", "EMAIL_USE_SSL");
  const port = portOf(get("EMAIL_PORT")) ?? (useSsl === true ? 465 : useTls === true ? 587 : 25);
  const implicit = useSsl === true || (port === 465 && useTls !== true && useSsl !== false);
  const tls = implicit ? "implicit" : useTls === true ? "starttls" : useTls === false ? "none" : undefined;
  const [user, password] = [get("EMAIL_HOST_USER"), get("EMAIL_HOST_PASSWORD")];
  return {
    host: get("EMAIL_HOST") ?? "localhost",
    port,
    tls,
    auth: user === undefined || password === undefined ? undefined : { user, password },
    namedBy: get("EMAIL_HOST") === undefined ? undefined : "EMAIL_HOST",
  };
}

/** `EMAIL_USE_TLS` beside the URL says what its `smtp:` leaves open: `false` is the word for plain to another host. */
function urlSettings(get: Get): Server {
  const beside = SERVER_SETTINGS.find((name) => get(name) !== undefined);
  if (beside !== undefined) throw conflict("EMAIL_URL", beside);
  const url = parseEmailUrl(get("EMAIL_URL") ?? "");
  const useTls = booleanOf("EMAIL_USE_TLS", get("EMAIL_USE_TLS"));
  if (url.tls === "implicit" && useTls !== undefined) throw conflict("EMAIL_URL", "EMAIL_USE_TLS");
  const tls = useTls === undefined ? url.tls : useTls ? "starttls" : "none";
  return { ...url, tls, namedBy: "EMAIL_URL" };
}

function booleanOf(setting: string, value: string | undefined): boolean | undefined {
  if (value === undefined) return undefined;
  if (/^(?:true|1)$/i.test(value)) return true;
  if (/^(?:false|0)$/i.test(value)) return false;
  throw bad(setting, "true, false, 1 or 0");
}

function portOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const port = /^[0-9]{1,5}$/.test(value) ? Number(value) : 0;
  if (port < 1 || port > 65_535) throw bad("EMAIL_PORT", "a whole number from 1 to 65535");
  return port;
}

function timeoutOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^[0-9]+(?:\.[0-9]+)?$/.test(value) ? Number(value) : 0;
  if (!(seconds > 0 && seconds <= TIMEOUT_LIMIT))
    throw bad("EMAIL_TIMEOUT", `seconds, above 0 and up to ${TIMEOUT_LIMIT}`);
  return seconds * 1000;
}

function backendOf(value: string | undefined): Backend {
  const backend = BACKENDS.find((known) => known === (value ?? "smtp"));
  if (backend === undefined) throw bad("EMAIL_BACKEND", BACKENDS.join(", "));
  return backend;
}

function bad(setting: string, allowed: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}

function conflict(setting: string, other: string): SettingsError {
  return new SettingsError("conflicting-settings", `${setting} and ${other} contradict each other; keep one of them`, {
    setting,
  });
}
