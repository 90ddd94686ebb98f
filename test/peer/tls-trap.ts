import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What becomes of a TLS handshake. */
export type TlsTrap = (socket: Socket) => void;

/** A server with which no handshake comes to its end: by implicit TLS, or behind a STARTTLS that it grants. */
export interface TlsTrapServer extends AsyncDisposable {
  readonly port: number;
  /** What came in clear. */
  readonly lines: readonly string[];
  /** Resolves when no connection is open. */
  quiet(): Promise<void>;
}

/** Each is called when the client's first octets of TLS have come. */
export const TLS_TRAPS: Readonly<Record<string, TlsTrap>> = {
  "it closes": (socket) => void socket.end(),
  "it breaks the connection": (socket) => void socket.resetAndDestroy(),
  "it says nothing": () => undefined,
  "it speaks SMTP in clear": (socket) => void socket.write("220 server.example ESMTP\r\n250 ok\r\n"),
  "it answers with noise": (socket) => void socket.write(Buffer.alloc(4096, 0xa5)),
  // RFC 8446 section 6: fatal, handshake_failure.
  "it sends an alert": (socket) => void socket.end(Buffer.from([21, 3, 3, 0, 2, 2, 40])),
  "it closes within its ServerHello": (socket) => void socket.end(Buffer.from([22, 3, 3, 0, 100, 2, 0, 0, 96])),
  "it announces a record larger than TLS has": (socket) => void socket.write(Buffer.from([22, 3, 3, 0xff, 0xff])),
};

export async function startTlsTrap(tls: "implicit" | "starttls", trap: TlsTrap): Promise<TlsTrapServer> {
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  const closes = new EventTarget();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        sockets.delete(socket);
        closes.dispatchEvent(new Event("close"));
      });
    const spring = (): void => {
      socket.off("data", converse).once("data", () => trap(socket));
      // What still comes is read, so that the client's end is noticed.
      socket.on("data", () => undefined);
    };
    const converse = (chunk: Buffer): void => {
      const line = chunk.toString("latin1").trimEnd();
      lines.push(line);
      if (line === "STARTTLS") spring();
      socket.write(line === "STARTTLS" ? "220 go ahead\r\n" : "250-server.example\r\n250 STARTTLS\r\n");
    };
    if (tls === "implicit") return spring();
    socket.on("data", converse).write("220 server.example ESMTP\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    lines,
    async quiet() {
      while (sockets.size > 0) await once(closes, "close", { signal: AbortSignal.timeout(20_000) });
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
