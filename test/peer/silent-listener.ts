/** The thread of a {@link SilentAddress}: it listens and does not look at what comes, until it is woken. */
import { connect, createServer, type Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";

export interface SilentListener {
  readonly host: string;
  readonly port: number;
  /** It sleeps while this is 0. */
  readonly awake: Int32Array;
}

const { host, port, awake } = workerData as SilentListener;

const join = (from: Socket, to: Socket): void => void from.on("error", () => to.destroy()).pipe(to);
const server = createServer((socket) => {
  const onward = connect(port, "127.0.0.1");
  join(socket, onward);
  join(onward, socket);
});
server.listen({ host, port, backlog: 1 }, () => {
  parentPort?.postMessage("listening");
  Atomics.wait(awake, 0, 0);
});
