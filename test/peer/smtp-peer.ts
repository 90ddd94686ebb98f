import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";

/** A message as the server took it. */
export interface PeerMessage {
  readonly session: string;
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
  readonly content: string;
}

/** A real SMTP server on a loopback port, and what came to it. */
export interface SmtpPeer extends AsyncDisposable {
  readonly port: number;
  readonly sessions: readonly string[];
  readonly messages: readonly PeerMessage[];
  /** `user:password` of each attempt to authenticate. */
  readonly credentials: readonly string[];
  /** Resolves when so many messages are there. */
  received(count: number): Promise<readonly PeerMessage[]>;
  close(): Promise<void>;
}

/**
 * Starts one. Recipients that begin with `refused` get 550, with `deferred` 451; the password that is taken is `secret`.
 *
 * @param port default: one that the system chooses.
 */
export async function startSmtpPeer(options: SMTPServerOptions = {}, port = 0): Promise<SmtpPeer> {
  const sessions: string[] = [];
  const messages: PeerMessage[] = [];
  const credentials: string[] = [];
  const arrival = new EventTarget();
  const server = new SMTPServer({
    authOptional: true,
    // A client that keeps its connection must not keep the test: in milliseconds.
    closeTimeout: 100,
    disabledCommands: options.key === undefined ? ["STARTTLS"] : [],
    onConnect(session, callback) {
      sessions.push(session.id);
      callback();
    },
    onAuth(auth, _session, callback) {
      credentials.push(`${auth.username}:${auth.password}`);
      if (auth.password === "secret") callback(null, { user: auth.username });
      else callback(new Error("Invalid username or password"));
    },
    onRcptTo(address, _session, callback) {
      const refused = /^(refused|deferred)/.exec(address.address)?.[1];
      if (refused === undefined) callback();
      else
        callback(
          Object.assign(new Error("5.1.1 no such mailbox"), { responseCode: refused === "refused" ? 550 : 451 }),
        );
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        messages.push({
          session: session.id,
          reversePath: mailFrom === false ? "" : mailFrom.address,
          forwardPaths: rcptTo.map(({ address }) => address),
          content: Buffer.concat(chunks).toString(),
        });
        callback();
        arrival.dispatchEvent(new Event("message"));
      });
    },
    ...options,
  });
  server.on("error", () => undefined);
  server.listen(port, "127.0.0.1");
  await once(server.server, "listening");
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return {
    port: (server.server.address() as AddressInfo).port,
    sessions,
    messages,
    credentials,
    async received(count) {
      while (messages.length < count) await once(arrival, "message", { signal: AbortSignal.timeout(20_000) });
      return messages;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
