import { startSmtpPeer } from "../peer/smtp-peer.ts";
import { describeInterop, type InteropServer } from "./exchange.ts";

/** It takes no bare line feed for a line's end, and keeps the octets as they came, transparency undone. */
async function startSmtpServer(): Promise<InteropServer> {
  const peer = await startSmtpPeer({
    onMailFrom(address, _session, callback) {
      if (!address.address.startsWith("refused")) callback();
      else callback(Object.assign(new Error("5.7.1 not from you"), { responseCode: 553 }));
    },
  });
  let taken = 0;
  return {
    port: peer.port,
    async takeStored() {
      const stored = peer.messages.slice(taken);
      taken = peer.messages.length;
      return stored.map(({ session, content, ...envelope }) => ({
        ...envelope,
        content: Buffer.from(content),
        connection: session,
      }));
    },
    [Symbol.asyncDispose]: () => peer.close(),
  };
}

describeInterop({ name: "smtp-server", missing: undefined, chunking: false, start: startSmtpServer });
