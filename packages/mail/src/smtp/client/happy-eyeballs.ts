import dns, { type LookupAddress } from "node:dns";
import { once } from "node:events";
import { isIP, type Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { isLoopback } from "./options.ts";
import { connectTcp } from "./tcp.ts";

/** RFC 8305 section 5: what an address has to itself before the next one is tried beside it, in milliseconds. */
const ATTEMPT_DELAY = 250;
/** What a name server says is bounded, and with it the sockets that are open at once. */
const ADDRESS_LIMIT = 16;

/**
 * TCP to the first of the host's addresses that answers: Happy Eyeballs (RFC 8305). The next address is tried when one
 * has failed, or has not answered for a while; that one goes on beside it.
 *
 * Node's own `autoSelectFamily` gives an address up after 250 ms. So one lost packet, which is repeated after a second,
 * was no connection at all where the host's other address cannot be reached, as IPv6 often cannot.
 *
 * @param patience how long the caller waits in all, in milliseconds: each address has its turn within it.
 * @throws the name server's error; an AggregateError of the addresses' own; what the signal was aborted with.
 */
export async function connectToHost(
  host: string,
  port: number,
  patience: number,
  signal: AbortSignal,
): Promise<Socket> {
  const addresses = isIP(host) === 0 ? await lookUp(host, signal) : [host];
  return await race(addresses, port, Math.min(ATTEMPT_DELAY, patience / (addresses.length + 1)), signal);
}

function lookUp(host: string, signal: AbortSignal): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    // Without ADDRCONFIG a host that has no IPv6 would be given addresses of it.
    dns.lookup(host, { all: true, hints: dns.ADDRCONFIG }, (error, found) => {
      if (error !== null) return reject(error);
      const addresses = interleaved(found);
      const stray = host === "localhost" ? addresses.find((address) => !isLoopback(address)) : undefined;
      // RFC 6761 section 6.3: what is said in clear to localhost must not leave the machine, whatever a name server says.
      if (stray !== undefined) reject(new Error(`localhost has the address ${stray}, which is not one of its own`));
      else resolve(addresses.slice(0, ADDRESS_LIMIT));
    });
  });
}

/** RFC 8305 section 4: the families in turn, so that one that does not work at all costs one attempt. */
function interleaved(found: readonly LookupAddress[]): string[] {
  const [first = [], second = []] = Map.groupBy(found, ({ family }) => family).values();
  const longest = Math.max(first.length, second.length);
  const pairs = Array.from({ length: longest }, (_, index) => [first[index], second[index]]);
  return pairs.flat().flatMap((each) => each?.address ?? []);
}

async function race(addresses: readonly string[], port: number, delay: number, signal: AbortSignal): Promise<Socket> {
  const sockets: Socket[] = [];
  const attempts: Promise<Socket>[] = [];
  let taken: Socket | undefined;
  try {
    for (const host of addresses) {
      signal.throwIfAborted();
      const socket = connectTcp({ host, port });
      sockets.push(socket);
      const attempt = once(socket, "connect", { signal }).then(() => (taken ??= socket));
      attempts.push(attempt);
      const turn = wait(delay, undefined, { ref: false });
      await Promise.race([Promise.any(attempts), attempt, turn]).catch(() => undefined);
      if (taken !== undefined) break;
    }
    return await Promise.any(attempts);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    for (const socket of sockets) if (socket !== taken) socket.destroy();
  }
}
