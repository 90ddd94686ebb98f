/** What each option of the transport may be. Every function throws a SettingsError that names the option. */
import { isIP } from "node:net";
import { hostname } from "node:os";
import { createSecureContext } from "node:tls";
import { isAddressLiteral, toALabels } from "../../address/domain.ts";
import { SettingsError } from "../../errors.ts";
import { type Schedule, WINDOW_LIMIT } from "../protocol/schedule.ts";
import { hasControl } from "../../text.ts";
import type { Credentials } from "../sasl/mechanism.ts";
import type { SmtpOptions, SmtpTimeouts } from "./options.ts";

/** The longest that a timer can wait, 24.8 days. */
const TIMEOUT_LIMIT = 0x7fffffff;

export function badOption(setting: string, allowed: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}

/** A misspelt option would be a default that nobody asked for. */
export function known(options: object, names: Readonly<Record<string, true>>, within = ""): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(names, name)) throw badOption(`${within}${name}`, `one of ${Object.keys(names).join(", ")}`);
  }
}

export function optional<Given, Value>(
  setting: string,
  given: Given | undefined,
  check: (setting: string, given: Given) => Value,
): Value | undefined {
  return given === undefined ? undefined : check(setting, given);
}

export function oneOf<Value extends string>(setting: string, given: Value, allowed: readonly Value[]): Value {
  if (!allowed.includes(given)) throw badOption(setting, allowed.join(", "));
  return given;
}

export function flag(setting: string, given: boolean): boolean {
  if (typeof given !== "boolean") throw badOption(setting, "true or false");
  return given;
}

export function whole(setting: string, given: number, limit = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isInteger(given) || given < 1 || given > limit)
    throw badOption(setting, `a whole number from 1 to ${limit}`);
  return given;
}

export function rate(setting: string, given: number): number {
  // Slower than one in a day is a mistake, and faster than the clock ticks is none.
  if (!(given >= 1 / 86_400 && given <= 1_000_000)) throw badOption(setting, "a number from 1/86400 to 1000000");
  return given;
}

export function duration(setting: string, given: number): number {
  if (!(given > 0 && given <= TIMEOUT_LIMIT))
    throw badOption(setting, `milliseconds, above 0 and up to ${TIMEOUT_LIMIT}`);
  return given;
}

const TIMEOUTS: Readonly<Record<keyof SmtpTimeouts, true>> = {
  command: true,
  greeting: true,
  data: true,
  content: true,
  endOfData: true,
};

export function timeoutsOf(given: SmtpTimeouts): SmtpTimeouts {
  if (typeof given !== "object") throw badOption("timeouts", "an object of times in milliseconds");
  known(given, TIMEOUTS, "timeouts.");
  for (const [name, time] of Object.entries(given) as [string, number | undefined][]) {
    if (time !== undefined) duration(`timeouts.${name}`, time);
  }
  return given;
}

export function hostOf(setting: string, given: string): string {
  const host = typeof given === "string" ? given.replace(/^\[(.*)\]$/, "$1") : "";
  if (isIP(host) === 0 && toALabels(host) === undefined) throw badOption(setting, "a host name or an IP address");
  return host;
}

const WINDOW = { bdatWindow: true } as const;

export function scheduleOf(given: Exclude<SmtpOptions["pipelining"], undefined>): Schedule {
  if (typeof given === "object") {
    known(given, WINDOW, "pipelining.");
    const { bdatWindow: window } = given;
    if (Number.isInteger(window) && window >= 2 && window <= WINDOW_LIMIT) return { window };
  }
  if (given === "auto") return "across";
  if (given === "off") return "lockstep";
  if (given === "grouped") return given;
  throw badOption("pipelining", `auto, grouped, off or { bdatWindow: a whole number from 2 to ${WINDOW_LIMIT} }`);
}

export function certificates({ ca, cert, key }: SmtpOptions): Required<Pick<SmtpOptions, "ca" | "cert" | "key">> {
  if ((cert === undefined) !== (key === undefined)) throw badOption("cert", "given together with key");
  // OpenSSL takes what holds no certificate for an empty list, and then trusts nobody.
  const authorities = ca === undefined ? [] : [ca].flat();
  if (authorities.some((pem) => !/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(pem)))
    throw badOption("ca", "certificates in PEM");
  if (cert === undefined) return { ca, cert, key };
  try {
    createSecureContext({ cert, key });
  } catch {
    throw badOption("cert", "a certificate and its key, both in PEM");
  }
  return { ca, cert, key };
}

export function fingerprintOf(setting: string, given: string): string {
  const digits = typeof given === "string" ? given.replaceAll(":", "").toLowerCase() : "";
  if (!/^[0-9a-f]{64}$/.test(digits)) throw badOption(setting, "a SHA-256 of 64 hexadecimal digits");
  return digits;
}

const CREDENTIALS = { user: true, password: true, accessToken: true } as const;

export function credentials(setting: string, auth: Credentials): Credentials {
  if (typeof auth !== "object" || auth === null) throw badOption(setting, "user and password, or user and accessToken");
  known(auth, CREDENTIALS, `${setting}.`);
  const { user, ...secret } = auth;
  const [name, value] = "accessToken" in secret ? ["accessToken", secret.accessToken] : ["password", secret.password];
  if (name === "accessToken" && "password" in secret)
    throw badOption(setting, "user and password, or user and accessToken");
  // RFC 4616 separates the two by NUL.
  const isText = (text: unknown): boolean => typeof text === "string" && text !== "" && !text.includes("\0");
  if (!isText(user) || hasControl(user))
    throw badOption(`${setting}.user`, "a text that is not empty, without controls");
  if (isText(value) || (name === "accessToken" && typeof value === "function")) return auth;
  throw badOption(`${setting}.${name}`, "a text that is not empty, without NUL");
}

export function clientNameOf(given: string | undefined): string | undefined {
  if (given === undefined) return ownDomain();
  if (typeof given === "string" && (toALabels(given) === given || isAddressLiteral(given))) return given;
  throw badOption("clientName", "a domain in ASCII, or an address literal such as [192.0.2.1]");
}

/** RFC 5321 section 4.1.4: a client that has no domain name says an address literal instead. */
function ownDomain(): string | undefined {
  const name = hostname();
  return name.includes(".") && toALabels(name) === name ? name : undefined;
}
