import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { TlsError } from "../errors.ts";
import { Message } from "../message/message.ts";
import { smtpTransport } from "./smtp.ts";

test("bytes behind the 220 of STARTTLS end the session, and no handshake begins", async () => {
  const behind: Buffer[] = [];
  const ended = Promise.withResolvers<void>();
  const server = createServer({ noDelay: true }, (socket) => {
    let isInjected = false;
    socket.on("error", () => undefined).on("close", () => ended.resolve());
    socket.on("data", (octets) => {
      if (isInjected) return void behind.push(octets);
      isInjected = octets.toString("latin1") === "STARTTLS\r\n";
      socket.write(isInjected ? "220 go ahead\r\n250 injected\r\n" : "250-server.example\r\n250 STARTTLS\r\n");
    });
    socket.write("220 server.example ESMTP\r\n");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const transport = smtpTransport({ host: "127.0.0.1", port, tls: "starttls" });
  const [receipt] = await Array.fromAsync(
    transport.deliver([new Message({ from: "from@example.com", to: ["to@example.com"] })]),
  );
  await transport.close();
  await ended.promise;
  server.close();
  assert.ok(receipt?.error instanceof TlsError && receipt.error.code === "starttls-injection");
  assert.equal(Buffer.concat(behind).length, 0, "a ClientHello left");
});
