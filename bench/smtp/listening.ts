import type { Server } from "node:net";

/** Listens on a port of the system's choice, says which, and ends when whoever started this process lets go of it. */
export function listen(server: Server): void {
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    console.log(typeof address === "object" && address !== null ? address.port : 0);
  });
  process.stdin.resume().once("end", () => process.exit());
}
