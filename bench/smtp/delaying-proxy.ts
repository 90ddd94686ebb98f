/** A process: passes on what comes after half a round trip, in order, both ways, however much it is. */
import { connect, createServer, type Socket } from "node:net";
import { listen } from "./listening.ts";

const [port, roundTrip] = process.argv.slice(2).map(Number) as [number, number];

listen(
  createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const server = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    pass(client, server);
    pass(server, client);
  }),
);

function pass(from: Socket, to: Socket): void {
  const queue: { readonly due: number; readonly act: () => void }[] = [];
  const enqueue = (act: () => void): void => {
    queue.push({ due: performance.now() + roundTrip / 2, act });
    if (queue.length === 1) setTimeout(release, roundTrip / 2);
  };
  const release = (): void => {
    // A timer may be a fraction of a millisecond early.
    while (queue[0] !== undefined && queue[0].due <= performance.now() + 0.5) queue.shift()?.act();
    if (queue[0] !== undefined) setTimeout(release, queue[0].due - performance.now());
  };
  from.on("data", (octets) => enqueue(() => void to.write(octets)));
  from.on("end", () => enqueue(() => void to.end()));
  from.on("error", () => to.destroy());
}
