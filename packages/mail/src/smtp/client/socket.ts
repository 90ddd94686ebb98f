import { connect as connectTcp, isIP, isIPv6, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  checkServerIdentity as checkIdentity,
  connect as connectTls,
  type ConnectionOptions,
  type PeerCertificate,
  TLSSocket,
} from "node:tls";
import { SmtpError, TimeoutError, TlsError } from "../../errors.ts";
import { TIMEOUT_MS } from "../protocol/timeout.ts";
import type { TlsDetails } from "./diagnostics.ts";
import type { ResolvedSmtpOptions } from "./options.ts";

/** What a session talks over: a socket, or what the caller's own `connect` made. */
export type Channel = Duplex & Partial<Pick<Socket, "localAddress" | "ref" | "unref">>;

/** A connection to the server, with TLS where that comes first. */
export async function openChannel(options: ResolvedSmtpOptions, signal: AbortSignal | undefined): Promise<Channel> {
  const { host, port, path, connect } = options;
  const isTls = options.tls === "implicit";
  if (connect === undefined && path === undefined && isTls)
    return secured(connectTls({ host, port, ...tlsOptions(options) }), options, signal);
  const plain =
    connect === undefined
      ? await established(connectTcp(path === undefined ? { host, port } : { path }), "connect", options, signal)
      : await own(connect, options, signal);
  return isTls ? await upgradeChannel(plain, options, signal) : plain;
}

/** TLS on a connection that is there (RFC 3207 section 4). */
export function upgradeChannel(
  channel: Channel,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  return secured(connectTls({ socket: channel, ...tlsOptions(options) }), options, signal);
}

async function secured(
  connecting: TLSSocket,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  const socket = await established(connecting, "secureConnect", options, signal);
  const { fingerprint } = options;
  if (fingerprint === undefined) return socket;
  const presented = socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase();
  if (presented === fingerprint) return socket;
  socket.on("error", () => undefined).destroy();
  throw new TlsError("handshake", `the certificate of ${nameOf(options)} is not the one of the option fingerprint`);
}

/** Whatever else is set, the certificate is verified, but where an option says so by its name or names the only one. */
function tlsOptions(options: ResolvedSmtpOptions): ConnectionOptions {
  const { serverName, ca, cert, key, minTlsVersion, fingerprint, acceptAnyCertificate } = options;
  const identity = cert === undefined ? {} : { cert, key };
  // RFC 6066 section 3: an IP address is no server name.
  const servername = isIP(serverName) === 0 ? serverName : "";
  const checkServerIdentity = (_: string, certificate: PeerCertificate): Error | undefined =>
    checkIdentity(serverName, certificate);
  const rejectUnauthorized = !acceptAnyCertificate && fingerprint === undefined;
  const verification = { servername, checkServerIdentity, rejectUnauthorized, minVersion: minTlsVersion };
  return { ...verification, ...(ca === undefined ? {} : { ca: [ca].flat() }), ...identity };
}

/** The caller's own connection, in the time that a connection has. */
async function own(
  connect: NonNullable<ResolvedSmtpOptions["connect"]>,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<Channel> {
  const late = AbortSignal.timeout(connectTimeout(options));
  const given = signal === undefined ? late : AbortSignal.any([late, signal]);
  const { host, port } = options;
  const givenUp = Promise.withResolvers<never>();
  const onAbort = (): void => givenUp.reject(late.aborted ? timedOut(options) : aborted(signal));
  given.addEventListener("abort", onAbort, { once: true });
  const connecting = Promise.resolve().then(() => connect({ host, port, signal: given }));
  // What comes when nobody waits any more must not stay open.
  connecting.then((channel) => given.aborted && channel.destroy()).catch(() => undefined);
  try {
    return await Promise.race([connecting, givenUp.promise]);
  } catch (error) {
    throw error instanceof SmtpError ? error : connectError(error as Error, options);
  } finally {
    given.removeEventListener("abort", onAbort);
  }
}

function established<S extends Socket>(
  socket: S,
  event: string,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => fail(timedOut(options)), connectTimeout(options));
    const onError = (cause: Error): void => fail(connectError(cause, options));
    const onClose = (): void => fail(connectError(new Error("the server closed the connection"), options));
    const onAbort = (): void => fail(aborted(signal));
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("close", onClose).off("error", onError);
    };
    const fail = (error: Error): void => {
      settle();
      // What follows a failure is of no interest, but an "error" without a listener would end the process.
      socket.on("error", () => undefined).destroy();
      reject(error);
    };
    socket.once("error", onError).once("close", onClose);
    socket.once(event, () => {
      settle();
      // Small writes that wait for each other's acknowledgement cost 40 ms each.
      socket.setNoDelay(true);
      resolve(socket);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}

function connectTimeout({ timeouts }: ResolvedSmtpOptions): number {
  return timeouts.greeting ?? timeouts.command ?? TIMEOUT_MS.greeting;
}

/** Node's codes for a TLS handshake that failed, a certificate that does not hold among them. */
const TLS_CODE = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;

function connectError(cause: Error & { code?: string }, options: ResolvedSmtpOptions): SmtpError {
  const reason = reasonOf(cause);
  if (TLS_CODE.test(cause.code ?? ""))
    return new TlsError("handshake", `no TLS with ${nameOf(options)}: ${reason}`, { cause });
  return new SmtpError("connect", `no connection to ${nameOf(options)}: ${reason}`, { cause });
}

/** Where a host has several addresses, each has its own reason. */
function reasonOf(cause: Error & { code?: string }): string {
  if (cause instanceof AggregateError) return cause.errors.map((error) => (error as Error).message).join("; ");
  return cause.message === "" ? (cause.code ?? "the connection failed") : cause.message;
}

function timedOut(options: ResolvedSmtpOptions): TimeoutError {
  return new TimeoutError("timeout", `no connection to ${nameOf(options)} in time`);
}

function nameOf({ host, port, path }: ResolvedSmtpOptions): string {
  return path ?? `${host}:${port}`;
}

/** What secures a channel; undefined where nothing does. */
export function tlsDetails(channel: Channel): TlsDetails | undefined {
  if (!(channel instanceof TLSSocket)) return undefined;
  const { subject, subjectaltname, valid_to } = channel.getPeerCertificate();
  const names = subjectaltname?.split(", ").map((name) => name.replace(/^(?:DNS|IP Address):/, ""));
  const protocol = channel.getProtocol() ?? "unknown";
  return { protocol, names: names ?? [subject.CN ?? []].flat(), validTo: new Date(valid_to) };
}

/** RFC 5321 section 4.1.3. */
export function addressLiteral({ localAddress = "127.0.0.1" }: Channel): string {
  return isIPv6(localAddress) ? `[IPv6:${localAddress.replace(/%.*/, "")}]` : `[${localAddress}]`;
}

/** The error of who aborted. */
export function aborted(signal: AbortSignal | undefined): SmtpError {
  return new SmtpError("aborted", "the caller aborted", { cause: signal?.reason });
}
