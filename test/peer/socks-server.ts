import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A SOCKS proxy on a loopback port, and where it was asked to go. */
export interface SocksServer extends AsyncDisposable {
  readonly port: number;
  /** `host:port` of each connection. */
  readonly targets: readonly string[];
}

/** SOCKS 5 (RFC 1928) without authentication, CONNECT by domain name or IPv4 address. */
export async function startSocksServer(): Promise<SocksServer> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client.on("error", () => undefined).on("close", () => sockets.delete(client)));
    client.once("data", () => {
      client.write(Buffer.from([5, 0]));
      client.once("data", (request) => {
        const { host, port } = targetOf(request);
        targets.push(`${host}:${port}`);
        const onward = connect(port, host, () => {
          client.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          client.pipe(onward).pipe(client);
        });
        onward.on("error", () => client.end(Buffer.from([5, 5, 0, 1, 0, 0, 0, 0, 0, 0])));
        client.on("close", () => onward.destroy());
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** RFC 1928 section 4: VER CMD RSV ATYP, the address, the port. */
function targetOf(request: Buffer): { readonly host: string; readonly port: number } {
  const isName = request[3] === 3;
  const start = isName ? 5 : 4;
  const end = isName ? start + (request[4] ?? 0) : start + 4;
  const host = isName ? request.toString("latin1", start, end) : [...request.subarray(start, end)].join(".");
  return { host, port: request.readUInt16BE(end) };
}
