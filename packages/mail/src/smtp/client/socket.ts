import { connect as connectTcp, isIP, type Socket } from "node:net";
import {
  checkServerIdentity as checkIdentity,
  connect as connectTls,
  type PeerCertificate,
  type TLSSocket,
} from "node:tls";
import { SmtpError, TimeoutError, TlsError } from "../../errors.ts";
import { TIMEOUT_MS } from "../protocol/timeout.ts";
import type { ResolvedSmtpOptions } from "./options.ts";

/** A connection to the server, with TLS where that comes first. */
export function openSocket(options: ResolvedSmtpOptions, signal: AbortSignal | undefined): Promise<Socket> {
  const { host, port } = options;
  if (options.tls === "implicit")
    return established(connectTls({ host, port, ...tlsOptions(options) }), options, signal, "secureConnect");
  return established(connectTcp({ host, port, noDelay: true }), options, signal, "connect");
}

/** TLS on a connection that is there (RFC 3207 section 4). */
export function upgradeSocket(
  socket: Socket,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
): Promise<TLSSocket> {
  return established(connectTls({ socket, ...tlsOptions(options) }), options, signal, "secureConnect");
}

/** Whatever else is set, the certificate is verified. */
function tlsOptions({ serverName, ca, cert, key }: ResolvedSmtpOptions): object {
  const identity = cert === undefined ? {} : { cert, key };
  // RFC 6066 section 3: an IP address is no server name.
  const servername = isIP(serverName) === 0 ? serverName : "";
  const checkServerIdentity = (_: string, certificate: PeerCertificate): Error | undefined =>
    checkIdentity(serverName, certificate);
  return { servername, checkServerIdentity, minVersion: "TLSv1.2", ...(ca === undefined ? {} : { ca }), ...identity };
}

function established<S extends Socket>(
  socket: S,
  options: ResolvedSmtpOptions,
  signal: AbortSignal | undefined,
  event: string,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const onTimeout = (): void =>
      fail(new TimeoutError("timeout", `no connection to ${options.host}:${options.port} in time`));
    const timer = setTimeout(onTimeout, options.commandTimeout ?? TIMEOUT_MS.greeting);
    const onError = (cause: Error): void => fail(connectError(cause, options));
    const onClose = (): void => fail(connectError(new Error("the server closed the connection"), options));
    const onAbort = (): void => fail(new SmtpError("aborted", "the caller aborted", { cause: signal?.reason }));
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
      socket.setNoDelay(true);
      resolve(socket);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
}

/** Node's codes for a TLS handshake that failed, a certificate that does not hold among them. */
const TLS_CODE = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;

function connectError(cause: Error & { code?: string }, { host, port }: ResolvedSmtpOptions): SmtpError {
  const reason = cause.message === "" ? (cause.code ?? "the connection failed") : cause.message;
  if (TLS_CODE.test(cause.code ?? ""))
    return new TlsError("handshake", `no TLS with ${host}:${port}: ${reason}`, { cause });
  return new SmtpError("connect", `no connection to ${host}:${port}: ${reason}`, { cause });
}
