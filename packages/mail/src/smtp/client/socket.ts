import { isIP, isIPv6, type Socket } from "node:net";
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
import { connectToHost } from "./happy-eyeballs.ts";
import type { ResolvedSmtpOptions } from "./options.ts";
import { connectTcp } from "./tcp.ts";

/** What a session talks over: a socket, or what the caller's own `connect` made. */
export type Channel = Duplex & Partial<Pick<Socket, "localAddress" | "ref" | "setNoDelay" | "unref">>;

/** A connection to the server, with TLS where that comes first, within the time that a connection has. */
export function openChannel(options: ResolvedSmtpOptions, signal: AbortSignal | undefined): Promise<Channel> {
  return inTime(options, signal, async (given) => {
    const plain = await openPlain(options, given);
    // Small writes that wait for each other's acknowledgement cost 40 ms each.
    plain.setNoDelay?.(true);
    return options.tls === "implicit" ? await secured(plain, options, given) : plain;
  });
}

/** TLS on a connection that is there (RFC 3207 section 4). */
export function upgradeChannel(
  channel: Channel,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  return inTime(options, signal, (given) => secured(channel, options, given));
}

/** What it is given aborts with the error that the caller gets, and not at all when it has come to its end. */
async function inTime<C extends Channel>(
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
  opening: (given: AbortSignal) => Promise<C>,
): Promise<C> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(timedOut(options)), connectTimeout(options));
  const onAbort = (): void => controller.abort(aborted(signal));
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    controller.signal.throwIfAborted();
    return await opening(controller.signal);
  } catch (error) {
    if (error instanceof SmtpError) throw error;
    const reason = reasonOf(error as Error);
    throw new SmtpError("connect", `no connection to ${nameOf(options)}: ${reason}`, { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

async function openPlain(options: ResolvedSmtpOptions, given: AbortSignal): Promise<Channel> {
  const { host, port, path, connect } = options;
  if (connect !== undefined) return await own(connect, options, given);
  if (path !== undefined) return await established(connectTcp({ path }), "connect", given);
  return await connectToHost(host, port, connectTimeout(options), given);
}

async function secured(channel: Channel, options: ResolvedSmtpOptions, given: AbortSignal): Promise<TLSSocket> {
  const connecting = connectTls({ socket: channel, ...tlsOptions(options) });
  const socket = await established(connecting, "secureConnect", given).catch((cause: Error) => {
    if (given.aborted) throw cause;
    throw new TlsError("handshake", `no TLS with ${nameOf(options)}: ${reasonOf(cause)}`, { cause });
  });
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

/** The caller's own connection. */
async function own(
  connect: NonNullable<ResolvedSmtpOptions["connect"]>,
  { host, port }: ResolvedSmtpOptions,
  given: AbortSignal,
): Promise<Channel> {
  const givenUp = Promise.withResolvers<never>();
  given.addEventListener("abort", () => givenUp.reject(given.reason), { once: true });
  const connecting = Promise.resolve().then(() => connect({ host, port, signal: given }));
  // What comes when nobody waits any more must not stay open.
  connecting.then((channel) => given.aborted && channel.destroy()).catch(() => undefined);
  const channel = await Promise.race([connecting, givenUp.promise]);
  // It has no event left that would end the wait for the greeting.
  if (channel.destroyed) throw new Error("connect resolved to a connection that is closed");
  return channel;
}

function established<S extends Socket>(socket: S, event: string, given: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => fail(new Error("the server closed the connection"));
    const onAbort = (): void => fail(given.reason as Error);
    const settle = (): void => {
      given.removeEventListener("abort", onAbort);
      socket.off("close", onClose).off("error", fail);
    };
    const fail = (error: Error): void => {
      settle();
      // What follows a failure is of no interest, but an "error" without a listener would end the process.
      socket.on("error", () => undefined).destroy();
      reject(error);
    };
    socket.once("error", fail).once("close", onClose);
    socket.once(event, () => {
      settle();
      resolve(socket);
    });
    given.addEventListener("abort", onAbort, { once: true });
  });
}

function connectTimeout({ timeouts }: ResolvedSmtpOptions): number {
  return timeouts.greeting ?? timeouts.command ?? TIMEOUT_MS.greeting;
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
