import { connect } from "node:net";
import type { Sender } from "./contender.ts";
import { endsInData, type Flight, readRecording } from "./recording.ts";

const LF = 0x0a;
const POSITIVE = ["2".charCodeAt(0), "3".charCodeAt(0)];

/**
 * A socket that writes what was recorded, a flight when the replies to the one before are there, and does nothing else:
 * what is left of a client when all that it must think is taken away.
 */
export async function rawSocket(port: number, path: string): Promise<Sender> {
  const { greetingLines, opening, cycle } = readRecording(path);
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let owed = greetingLines;
  let position = 0;
  let messages = 0;
  let finished = Promise.withResolvers<void>();
  let flights: readonly Flight[] = opening;

  const write = (): void => {
    const flight = flights[position++ % flights.length]!;
    owed = flight.lines;
    if (endsInData(flight)) messages--;
    socket.write(flight.octets);
  };
  let atLineStart = true;
  socket.on("data", (octets) => {
    for (let at = 0; at < octets.length; owed--) {
      if (atLineStart && !POSITIVE.includes(octets[at]!)) throw new Error(octets.latin1Slice(at, at + 80));
      const end = octets.indexOf(LF, at);
      atLineStart = end !== -1;
      if (!atLineStart) return;
      at = end + 1;
    }
    if (owed > 0) return;
    if (messages > 0) write();
    else finished.resolve();
  });
  const send = async (count: number): Promise<void> => {
    messages = count;
    finished = Promise.withResolvers();
    write();
    await finished.promise;
  };

  await finished.promise;
  await send(1);
  flights = cycle;
  position = 0;
  return { send, close: () => void socket.destroy() };
}
