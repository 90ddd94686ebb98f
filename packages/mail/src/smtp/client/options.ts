import { isIPv4 } from "node:net";
import type { Duplex } from "node:stream";
import type { Schedule } from "../protocol/schedule.ts";
import type { Credentials } from "../sasl/mechanism.ts";
import {
  badOption,
  certificates,
  clientNameOf,
  credentials,
  duration,
  fingerprintOf,
  flag,
  hostOf,
  known,
  oneOf,
  optional,
  rate,
  scheduleOf,
  timeoutsOf,
  whole,
} from "./option-value.ts";

/** How the connection is secured. */
export type TlsMode = "implicit" | "starttls" | "opportunistic" | "none";

/** Where a connection is to lead. */
export interface ConnectTarget {
  /** The name or IP address of the options, not resolved. */
  readonly host: string;
  /** That of the options, or the default for how the connection is secured. */
  readonly port: number;
  /** Aborts when nobody waits for the connection any more. */
  readonly signal: AbortSignal;
}

/** How long to wait, in milliseconds, above 0 and up to 2147483647 each; the defaults are of RFC 5321 section 4.5.3.2. */
export interface SmtpTimeouts {
  /**
   * For connecting, the greeting, each command and each block of content alike; never for the end of data. Default: the
   * ones below, for AUTH and STARTTLS 2 minutes, for the other commands 5.
   */
  readonly command?: number | undefined;
  /** For the connection, TLS included, and then for the greeting. Default: `command`, else 5 minutes. */
  readonly greeting?: number | undefined;
  /** For the reply to DATA. Default: `command`, else 2 minutes. */
  readonly data?: number | undefined;
  /** For each 64 KiB of content, while the server takes them, not while they come. Default: `command`, else 3 minutes. */
  readonly content?: number | undefined;
  /** For the reply to the end of data. A short one makes duplicates. Default: 10 minutes, whatever `command` is. */
  readonly endOfData?: number | undefined;
}

/** How to reach a server, and how to use it. */
export interface SmtpOptions {
  /** A host name or IP address. Default, and only with `path`: localhost. */
  readonly host?: string | undefined;
  /** 1 to 65535. Default: 465 for implicit TLS, 587 for STARTTLS, 24 for LMTP, else 25. */
  readonly port?: number | undefined;
  /** A Unix socket to connect to, instead of `port`. It counts as loopback. */
  readonly path?: string | undefined;
  /** `lmtp` (RFC 2033) has a verdict of its own for each recipient. Default: smtp. */
  readonly protocol?: "smtp" | "lmtp" | undefined;
  /**
   * Makes the connection, for proxies and tunnels. TLS, where it is implicit, is made on what it resolves to.
   * Default: TCP to each address of the host in turn, IPv6 and IPv4, until one answers.
   */
  readonly connect?: ((target: ConnectTarget) => Promise<Duplex>) | undefined;
  /**
   * `implicit`: TLS from the first byte (RFC 8314). `starttls`: required; without it nothing is sent. `opportunistic`:
   * where the server offers it, and whoever controls the network can make it not offer it. `none`: in clear.
   * Default: `none` for a loopback host, `starttls` for any other.
   */
  readonly tls?: TlsMode | undefined;
  /** The lowest version of TLS. Default: TLSv1.2. */
  readonly minTlsVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Certificates of authorities in PEM, instead of those that Node trusts. */
  readonly ca?: string | readonly string[] | undefined;
  /** The name that the server's certificate must hold. Default: the host. */
  readonly serverName?: string | undefined;
  /** The SHA-256 of the one certificate that is taken, in hexadecimal; it then needs no authority and no name. */
  readonly fingerprint?: string | undefined;
  /** Takes any certificate, so anybody can pose as the server. For tests. Default: false. */
  readonly acceptAnyCertificate?: boolean | undefined;
  /** The client's certificate in PEM, for servers that ask for one; together with `key`. */
  readonly cert?: string | undefined;
  /** Its key in PEM, without a passphrase. */
  readonly key?: string | undefined;
  /** Presented where given, by the strongest mechanism on offer. It travels in clear to a loopback address only. */
  readonly auth?: Credentials | undefined;
  /** What EHLO says who is there. Default: this host's name if it is a domain, else an address literal. */
  readonly clientName?: string | undefined;
  /** The most connections at once; new ones are opened as the server proves to bear them. 1 to 1000. Default: 1. */
  readonly connections?: number | undefined;
  /** The most messages that begin in any second, over all connections: 1/86400 to 1000000. Default: no limit. */
  readonly messagesPerSecond?: number | undefined;
  /** After so many messages (1 or more) a connection is ended, another opened. Default: as the server says or shows. */
  readonly messagesPerConnection?: number | undefined;
  /**
   * An idle connection is ended after so many milliseconds, above 0 and up to 2147483647. Default: when the server ends
   * it, or showed when it will.
   */
  readonly idleTimeout?: number | undefined;
  /**
   * `auto`: as far as the server can follow, up to one round trip a message. `grouped`: MAIL, RCPT and DATA together.
   * `off`: each command alone. `bdatWindow`: up to so many messages (2 to 100) ahead of their verdicts by BDAT, as many
   * in doubt when the connection dies; for servers that are known to bear it. Default: auto.
   */
  readonly pipelining?: "auto" | "grouped" | "off" | { readonly bdatWindow: number } | undefined;
  /** How long to wait for what, in milliseconds. Default: as RFC 5321 section 4.5.3.2 says. */
  readonly timeouts?: SmtpTimeouts | undefined;
}

/** The same with every default resolved. */
export interface ResolvedSmtpOptions {
  readonly host: string;
  readonly port: number;
  readonly path: string | undefined;
  readonly protocol: "smtp" | "lmtp";
  readonly connect: SmtpOptions["connect"];
  readonly tls: TlsMode;
  readonly minTlsVersion: "TLSv1.2" | "TLSv1.3";
  readonly ca: string | readonly string[] | undefined;
  readonly serverName: string;
  /** In lower case, without colons. */
  readonly fingerprint: string | undefined;
  readonly acceptAnyCertificate: boolean;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly auth: Credentials | undefined;
  /** Undefined: the address literal of the connection's own end. */
  readonly clientName: string | undefined;
  readonly connections: number;
  readonly messagesPerSecond: number | undefined;
  readonly messagesPerConnection: number | undefined;
  readonly idleTimeout: number | undefined;
  readonly schedule: Schedule;
  readonly timeouts: SmtpTimeouts;
  readonly clearAuth: boolean;
}

const TLS_MODES: readonly TlsMode[] = ["implicit", "starttls", "opportunistic", "none"];
const DEFAULT_PORT: Readonly<Record<TlsMode, number>> = { implicit: 465, starttls: 587, opportunistic: 25, none: 25 };
/** IANA has no port for LMTP; 24 is what it lists for any private mail system, and what Dovecot and Cyrus use. */
const LMTP_PORT = 24;
export const CONNECTION_LIMIT = 1000;

/** Whether mail to the host never leaves this machine. A name that is not `localhost` may resolve to anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (host.startsWith("127.") && isIPv4(host));
}

const NAMES: Readonly<Record<keyof SmtpOptions, true>> = {
  host: true,
  port: true,
  path: true,
  protocol: true,
  connect: true,
  tls: true,
  minTlsVersion: true,
  ca: true,
  serverName: true,
  fingerprint: true,
  acceptAnyCertificate: true,
  cert: true,
  key: true,
  auth: true,
  clientName: true,
  connections: true,
  messagesPerSecond: true,
  messagesPerConnection: true,
  idleTimeout: true,
  pipelining: true,
  timeouts: true,
};

/** @throws {SettingsError} naming the option that is not allowed. */
export function resolveOptions(options: SmtpOptions): ResolvedSmtpOptions {
  known(options, NAMES);
  const { path, connect } = options;
  const host = hostOf("host", options.host ?? (path === undefined ? "" : "localhost"));
  if (connect !== undefined && typeof connect !== "function") throw badOption("connect", "a function");
  if (path !== undefined && (typeof path !== "string" || path === "" || (options.port ?? connect) !== undefined))
    throw badOption("path", "the path of a Unix socket, without port and connect beside it");
  // Where the caller's own connection leads, nobody here knows.
  const isLocal = path !== undefined || (connect === undefined && isLoopback(host));
  const protocol = oneOf("protocol", options.protocol ?? "smtp", ["smtp", "lmtp"]);
  const tls = oneOf("tls", options.tls ?? (isLocal ? "none" : "starttls"), TLS_MODES);
  return Object.freeze({
    host,
    path,
    connect,
    protocol,
    tls,
    port: whole("port", options.port ?? (protocol === "lmtp" ? LMTP_PORT : DEFAULT_PORT[tls]), 65_535),
    minTlsVersion: oneOf("minTlsVersion", options.minTlsVersion ?? "TLSv1.2", ["TLSv1.2", "TLSv1.3"]),
    ...certificates(options),
    serverName: optional("serverName", options.serverName, hostOf) ?? host,
    fingerprint: optional("fingerprint", options.fingerprint, fingerprintOf),
    acceptAnyCertificate: flag("acceptAnyCertificate", options.acceptAnyCertificate ?? false),
    auth: optional("auth", options.auth, credentials),
    clientName: clientNameOf(options.clientName),
    connections: whole("connections", options.connections ?? 1, CONNECTION_LIMIT),
    messagesPerSecond: optional("messagesPerSecond", options.messagesPerSecond, rate),
    messagesPerConnection: optional("messagesPerConnection", options.messagesPerConnection, whole),
    idleTimeout: optional("idleTimeout", options.idleTimeout, duration),
    schedule: scheduleOf(options.pipelining ?? "auto"),
    timeouts: timeoutsOf(options.timeouts ?? {}),
    clearAuth: isLocal,
  });
}
