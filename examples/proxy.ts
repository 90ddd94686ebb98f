/**
 * Through a SOCKS proxy. TLS is made with the server behind it, so the proxy sees no more than where it leads.
 *
 *     SOCKS_PORT=1080 MAIL_PORT=1025 node --conditions=posthaste-source examples/proxy.ts
 *
 * `npm start` has an inbox on port 1025; the proxy is yours, such as `ssh -D 1080 gateway.example.com`.
 */
import { createMailer, EmailMessage, smtpTransport } from "posthaste";
import { SocksClient } from "socks";

const proxy = { host: "127.0.0.1", port: Number(process.env.SOCKS_PORT ?? 1080), type: 5 } as const;

await using mailer = createMailer({
  from: "from@example.com",
  transport: smtpTransport({
    host: process.env.MAIL_HOST ?? "127.0.0.1",
    port: Number(process.env.MAIL_PORT ?? 1025),
    tls: "opportunistic", // "starttls" or "implicit" for a server of the internet
    async connect({ host, port, signal }) {
      signal.throwIfAborted();
      const { socket } = await SocksClient.createConnection({ proxy, command: "connect", destination: { host, port } });
      return socket;
    },
  }),
});

const { status } = await mailer.send(new EmailMessage({ subject: "제목", text: "안녕", to: ["to@example.com"] }));
console.log(status);
