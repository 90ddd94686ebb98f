import { SettingsError } from "../errors.ts";
import { BACKENDS, type Backend, type MailerSettings } from "./mail-settings.ts";
import { mailerSettings, OPTION_NAMES, type OptionName, type OptionSource, serverSettings } from "./mailer-options.ts";
import { backendOf, bad, jsonOf, missing } from "./setting-value.ts";

const FORM = 'an object such as {"default": {"BACKEND": "smtp", "OPTIONS": {"host": "mail.example.com"}}}';
/** More mailers than this is a mistake, not a set-up. */
const MAILER_LIMIT = 100;

/** The settings of one mailer, as Django 6.1 has them. */
export interface MailerDefinition {
  /** Default: `smtp`. */
  readonly BACKEND?: Backend | undefined;
  /** For `smtp`: host, port, username, password, use_tls, use_ssl, ssl_certfile, ssl_keyfile, timeout. */
  readonly OPTIONS?: Readonly<Record<string, unknown>> | undefined;
}

/** `MAILERS`, in JSON or as it is. @throws {SettingsError} naming the alias and option. */
export function definedMailers(value: unknown): Readonly<Record<string, MailerSettings>> {
  const given = typeof value === "string" ? jsonOf("MAILERS", value) : value;
  const definitions = Object.entries(objectOf("MAILERS", given, FORM));
  if (definitions.length > MAILER_LIMIT) throw bad("MAILERS", `at most ${MAILER_LIMIT} mailers`);
  return Object.freeze(Object.fromEntries(definitions.map(([alias, each]) => [alias, mailerOf(alias, each)])));
}

function mailerOf(alias: string, given: unknown): MailerSettings {
  const where = `MAILERS[${JSON.stringify(alias)}]`;
  if (alias === "") throw bad("MAILERS", "by names that are not empty");
  const definition = objectOf(where, given, "an object with BACKEND and OPTIONS");
  known(definition, ["BACKEND", "OPTIONS"], where);
  const backend = backendOf(`${where}.BACKEND`, unset(definition.BACKEND));
  const options = objectOf(`${where}.OPTIONS`, unset(definition.OPTIONS) ?? {}, "an object");
  const isBuiltIn = (BACKENDS as readonly string[]).includes(backend);
  if (isBuiltIn) known(options, OPTION_NAMES[backend] ?? [], `${where}.OPTIONS`);
  else if (Object.hasOwn(options, "alias")) throw bad(`${where}.OPTIONS.alias`, "left out: it is the mailer's name");
  const source: OptionSource = {
    // What a module's options mean is the module's business.
    get: (option) => (isBuiltIn ? unset(options[option]) : undefined),
    name: (option: OptionName) => `${where}.OPTIONS.${option}`,
  };
  if (backend === "smtp" && source.get("host") === undefined)
    throw missing(source.name("host"), "it is the server to send through");
  return mailerSettings(alias, backend, source, serverSettings(source, "MAILERS"), isBuiltIn ? {} : { ...options });
}

/** Empty is as none, as in the environment; and JSON has null for Python's None. */
function unset(value: unknown): unknown {
  return value === null || value === "" ? undefined : value;
}

function objectOf(setting: string, value: unknown, allowed: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad(setting, allowed);
  return value as Readonly<Record<string, unknown>>;
}

function known(given: object, names: readonly string[], where: string): void {
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const allowed = names.length === 0 ? "it has no options" : `allowed are ${names.join(", ")}`;
    const setting = `${where}.${name}`;
    throw new SettingsError("unknown-setting", `${setting}: there is no such setting; ${allowed}`, { setting });
  }
}
