import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What to write; null closes the connection, undefined says nothing. */
type Said = string | null | undefined;

/** A server on a loopback port that does what a test tells it, for what no real server does on demand. */
export interface ScriptedServer extends AsyncDisposable {
  readonly port: number;
  /** The lines that came, of all connections. */
  readonly lines: readonly string[];
  readonly connections: number;
  /** Writes to every connection that is open. */
  write(text: string): void;
  /** Resolves when no connection is open. */
  quiet(): Promise<void>;
}

/**
 * @param answer is called with each line that came, and with "" when a client connects.
 */
export async function startScriptedServer(
  answer: (line: string, connection: number) => Said | Promise<Said>,
): Promise<ScriptedServer> {
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  const closes = new EventTarget();
  let connections = 0;
  const server = createServer((socket) => {
    const connection = ++connections;
    const say = async (line: string): Promise<void> => {
      const text = await answer(line, connection);
      if (text === null) socket.destroy();
      else if (text !== undefined) socket.write(text);
    };
    let rest = "";
    sockets.add(socket);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        sockets.delete(socket);
        closes.dispatchEvent(new Event("close"));
      });
    socket.on("data", (chunk) => {
      const parts = (rest + chunk.toString("latin1")).split("\r\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        lines.push(line);
        void say(line);
      }
    });
    void say("");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    lines,
    get connections() {
      return connections;
    },
    write: (text) => {
      for (const socket of sockets) socket.write(text);
    },
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

/** A server that takes mail in lockstep, but for the lines that `other` answers. */
export function plainServer(
  other: (line: string, connection: number) => Said | Promise<Said> = () => undefined,
): Promise<ScriptedServer> {
  /** The connections that are past 354. */
  const inData = new Set<number>();
  return startScriptedServer((line, connection) => {
    const special = other(line, connection);
    if (special !== undefined) return special;
    if (inData.has(connection)) return line === "." && inData.delete(connection) ? "250 queued\r\n" : undefined;
    if (line === "") return "220 scripted\r\n";
    if (line !== "DATA") return "250 ok\r\n";
    inData.add(connection);
    return "354 go on\r\n";
  });
}
