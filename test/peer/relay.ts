import { once } from "node:events";
import { connect, createServer, type ListenOptions, type Socket } from "node:net";

/** Listens where a server does not, such as on a Unix socket, and passes every octet on. */
export interface Relay extends AsyncDisposable {
  /** 0 where it listens on a Unix socket. */
  readonly port: number;
  /** How many connections there were, and the most at once. */
  readonly connections: number;
  readonly most: number;
  /** How many are open. */
  readonly open: number;
  /** Resolves when none is open. */
  quiet(): Promise<void>;
  /** Ends every connection that is open, at both ends. */
  cut(): void;
}

/** @param port of the server, on 127.0.0.1. */
export async function startRelay(port: number, listen: ListenOptions = { host: "127.0.0.1", port: 0 }): Promise<Relay> {
  const open = new Set<Socket>();
  const changes = new EventTarget();
  let connections = 0;
  let most = 0;
  const server = createServer((socket) => {
    connections++;
    open.add(socket);
    most = Math.max(most, open.size);
    const onward = connect(port, "127.0.0.1");
    // A half that is gone ends the other.
    socket
      .on("error", () => undefined)
      .on("close", () => {
        open.delete(socket);
        onward.destroy();
        changes.dispatchEvent(new Event("close"));
      });
    onward.on("error", () => undefined).on("close", () => socket.end());
    socket.pipe(onward).pipe(socket);
  });
  server.listen(listen);
  await once(server, "listening");
  const address = server.address();
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    get connections() {
      return connections;
    },
    get most() {
      return most;
    },
    get open() {
      return open.size;
    },
    async quiet() {
      while (open.size > 0) await once(changes, "close", { signal: AbortSignal.timeout(20_000) });
    },
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
