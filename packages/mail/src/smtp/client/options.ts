import { isIP, isIPv4 } from "node:net";
import { hostname } from "node:os";
import { createSecureContext } from "node:tls";
import { isAddressLiteral, toALabels } from "../../address/domain.ts";
import { SettingsError } from "../../errors.ts";
import type { Credentials } from "../sasl/mechanism.ts";

/** How the connection is secured. */
export type TlsMode = "implicit" | "starttls" | "opportunistic" | "none";

/** How to reach a server. */
export interface SmtpOptions {
  /** A host name or IP address. */
  readonly host: string;
  /** Default: 465 for implicit TLS, 587 for STARTTLS, else 25. */
  readonly port?: number | undefined;
  /**
   * `implicit`: TLS from the first byte (RFC 8314). `starttls`: required; without it nothing is sent. `opportunistic`:
   * where the server offers it, and whoever controls the network can make it not offer it. `none`: in clear.
   * Default: `none` for a loopback host, `starttls` for any other.
   */
  readonly tls?: TlsMode | undefined;
  /** Certificates of authorities in PEM, instead of those that Node trusts. */
  readonly ca?: string | readonly string[] | undefined;
  /** The name that the server's certificate must hold. Default: the host. */
  readonly serverName?: string | undefined;
  /** The client's certificate in PEM, for servers that ask for one; together with `key`. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Presented where given. They travel in clear to a loopback address only. */
  readonly auth?: Credentials | undefined;
  /** What EHLO says who is there. Default: this host's name if it is a domain, else an address literal. */
  readonly clientName?: string | undefined;
  /**
   * In milliseconds. `command` bounds connecting, the greeting and each command; its default is per command, as RFC 5321
   * section 4.5.3.2 wants. The end of data always has its 10 minutes.
   */
  readonly timeouts?: { readonly command?: number | undefined } | undefined;
}

/** The same with every default resolved. */
export interface ResolvedSmtpOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMode;
  readonly ca: string | readonly string[] | undefined;
  readonly serverName: string;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly auth: Credentials | undefined;
  /** Undefined: the address literal of the connection's own end. */
  readonly clientName: string | undefined;
  readonly commandTimeout: number | undefined;
  readonly clearAuth: boolean;
}

const TLS_MODES: readonly TlsMode[] = ["implicit", "starttls", "opportunistic", "none"];
const DEFAULT_PORT: Readonly<Record<TlsMode, number>> = { implicit: 465, starttls: 587, opportunistic: 25, none: 25 };
/** The longest that a timer can wait, 24.8 days. */
const TIMEOUT_LIMIT = 0x7fffffff;

/** Whether mail to the host never leaves this machine. A name that is not `localhost` may resolve to anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (host.startsWith("127.") && isIPv4(host));
}

/** @throws {SettingsError} naming the option that is not allowed. */
export function resolveOptions(options: SmtpOptions): ResolvedSmtpOptions {
  const host = typeof options.host === "string" ? options.host.replace(/^\[(.*)\]$/, "$1") : "";
  if (isIP(host) === 0 && toALabels(host) === undefined) throw badOption("host", "a host name or an IP address");
  const tls = options.tls ?? (isLoopback(host) ? "none" : "starttls");
  if (!TLS_MODES.includes(tls)) throw badOption("tls", TLS_MODES.join(", "));
  const port = options.port ?? DEFAULT_PORT[tls];
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badOption("port", "a whole number from 1 to 65535");
  const commandTimeout = options.timeouts?.command;
  if (commandTimeout !== undefined && !(commandTimeout > 0 && commandTimeout <= TIMEOUT_LIMIT)) {
    throw badOption("timeouts.command", `milliseconds, above 0 and up to ${TIMEOUT_LIMIT}`);
  }
  checkCertificates(options);
  return Object.freeze({
    host,
    port,
    tls,
    ca: options.ca,
    serverName: options.serverName ?? host,
    cert: options.cert,
    key: options.key,
    auth: checkCredentials(options.auth),
    clientName: options.clientName === undefined ? ownDomain() : checkClientName(options.clientName),
    commandTimeout,
    clearAuth: isLoopback(host),
  });
}

function checkCertificates({ ca, cert, key }: SmtpOptions): void {
  if ((cert === undefined) !== (key === undefined)) throw badOption("cert", "given together with key");
  // OpenSSL takes what holds no certificate for an empty list, and then trusts nobody.
  const authorities = ca === undefined ? [] : [ca].flat();
  if (authorities.some((pem) => !/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(pem)))
    throw badOption("ca", "certificates in PEM");
  try {
    createSecureContext({ ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) });
  } catch {
    throw badOption("cert", "a certificate and its key, both in PEM");
  }
}

function checkCredentials(auth: Credentials | undefined): Credentials | undefined {
  if (auth === undefined) return undefined;
  for (const [name, value] of Object.entries({ user: auth.user, password: auth.password }) as [string, unknown][]) {
    // RFC 4616 separates the two by NUL.
    if (typeof value !== "string" || value === "" || value.includes("\0"))
      throw badOption(`auth.${name}`, "a text that is not empty, without NUL");
  }
  return auth;
}

function checkClientName(name: string): string {
  if (toALabels(name) === name || isAddressLiteral(name)) return name;
  throw badOption("clientName", "a domain in ASCII, or an address literal such as [192.0.2.1]");
}

/** RFC 5321 section 4.1.4: a client that has no domain name says an address literal instead. */
function ownDomain(): string | undefined {
  const name = hostname();
  return name.includes(".") && toALabels(name) === name ? name : undefined;
}

function badOption(setting: string, allowed: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}
