import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import { type AddressInfo, isIP, type Socket } from "node:net";
import { createAdaptorServer, type HttpBindings } from "@hono/node-server";
import { badSetting } from "./exit.ts";

/** Answers a request; the address is that of the connection's other end. */
export type Handler = (request: Request, address: string | undefined) => Response | Promise<Response>;

/**
 * The client's address. Each proxy appends whom it heard from, so of X-Forwarded-For only as many entries from the right
 * count as there are proxies of ours; everything left of them the client may have made up.
 */
export function clientAddress(request: Request, address: string | undefined, proxies: number): string | undefined {
  if (proxies === 0) return address;
  const hops = (request.headers.get("x-forwarded-for") ?? "").split(",").map((hop) => hop.trim());
  const client = hops.at(-proxies) ?? "";
  return isIP(client) === 0 ? address : client;
}

/** HTTP that listens. */
export interface HttpServer {
  /** Such as `http://127.0.0.1:8000`. */
  readonly origin: string;
  /** Takes no new connection, and resolves when those that are busy are done, or after the grace period. */
  close(): Promise<void>;
}

/** Against clients that send their request slowly, in milliseconds. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 30_000;
/** How long a request may take to end once the service stops, in milliseconds. */
const GRACE = 10_000;

/** @throws {SettingsError} naming PORT or HOST, when it cannot listen there. */
export async function listen(host: string, port: number, handler: Handler): Promise<HttpServer> {
  const server = createAdaptorServer({
    fetch: (request, env) => handler(request, (env as HttpBindings).incoming.socket.remoteAddress),
    serverOptions: { headersTimeout: HEADERS_TIMEOUT, requestTimeout: REQUEST_TIMEOUT },
  }) as Server;
  // Connections that never asked for anything, such as a browser opens ahead, are not idle in Node's sense.
  const silent = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    silent.add(socket);
    socket.once("close", () => silent.delete(socket));
  });
  server.on("request", (request: IncomingMessage) => silent.delete(request.socket));
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw listenError(error as NodeJS.ErrnoException, host, port);
  }
  const address = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    origin: `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`,
    close: () => (closed ??= closeServer(server, silent)),
  };
}

async function closeServer(server: Server, silent: ReadonlySet<Socket>): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  for (const socket of silent) socket.destroy();
  const grace = setTimeout(() => server.closeAllConnections(), GRACE);
  await closed;
  clearTimeout(grace);
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === "EADDRINUSE")
    return badSetting(
      "PORT",
      `${host}:${port} is taken; stop what listens there, or choose another with --port`,
      error,
    );
  if (error.code === "EACCES")
    return badSetting(
      "PORT",
      `the system does not allow to listen on port ${port}; choose one above 1023 with --port`,
      error,
    );
  if (error.code === "EADDRNOTAVAIL" || error.code === "ENOTFOUND")
    return badSetting("HOST", `${host} is no address of this machine`, error);
  return badSetting("PORT", `cannot listen on ${host}:${port}: ${error.message}`, error);
}
