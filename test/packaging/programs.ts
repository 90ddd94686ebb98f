/** A program that uses a package as its README does. */
interface Program {
  /** By the name that the program gives to the module. */
  readonly modules: Readonly<Record<string, string>>;
  /** Written in what JavaScript and TypeScript share. It prints one line. */
  readonly body: string;
  readonly prints: string;
}

/** By package. The command has no module: its program is its `bin`. */
export const PROGRAMS: Readonly<Record<string, Program>> = {
  posthaste: {
    modules: { posthaste: "posthaste", testing: "posthaste/testing" },
    body: `
  const transport = posthaste.memoryTransport();
  const mailer = posthaste.createMailer({ transport, from: "kim@example.com" });
  const message = new posthaste.EmailMessage({ subject: "안녕하세요", text: "본문", to: ["lee@example.com"] });
  const receipt = await mailer.send(message);
  const [sent] = transport.assertSent({ to: "lee@example.com", subject: "안녕하세요" }, 1);
  await mailer.close();
  console.log(receipt.status, sent?.text.trim(), typeof testing.testTransport);`,
    prints: "accepted 본문 function",
  },
  "@posthaste/outbox": {
    modules: { outbox: "@posthaste/outbox", kysely: "@posthaste/outbox/kysely" },
    body: `
  const database = outbox.openDatabase("outbox.db");
  outbox.migrateOutbox(database);
  const { queued } = outbox.outboxCounts(database);
  database.close();
  console.log(queued, typeof outbox.createWorker, typeof kysely.sqliteDialect);`,
    prints: "0 function function",
  },
  "@posthaste/inbox": {
    modules: { posthaste: "posthaste", inbox: "@posthaste/inbox" },
    body: `
  const box = await inbox.createInbox();
  const mailer = posthaste.createMailer({
    transport: posthaste.smtpTransport({ host: "127.0.0.1", port: box.smtpPort, tls: "none" }),
    from: "kim@example.com",
  });
  await mailer.send(new posthaste.EmailMessage({ subject: "안녕하세요", text: "본문", to: ["lee@example.com"] }));
  const received = await box.waitFor();
  await mailer.close();
  await box.close();
  console.log(received.subject, received.text.trim());`,
    prints: "안녕하세요 본문",
  },
  "@posthaste/accounts": {
    modules: { accounts: "@posthaste/accounts", outbox: "@posthaste/outbox" },
    body: `
  const database = outbox.openDatabase("accounts.db");
  outbox.migrateOutbox(database);
  accounts.migrateAccounts(database);
  const service = accounts.createAccounts({
    database,
    keys: accounts.parseKeyRing("k1:" + Buffer.alloc(32, 1).toString("base64")),
    publicUrl: "https://example.com",
    from: "Example <accounts@example.com>",
  });
  const request = new Request("https://example.com/users/me");
  const response = await service.fetch(request, { address: "192.0.2.1" });
  console.log(response.status);`,
    prints: "401",
  },
};

/** The program's text as an ES module or as CommonJS, which loads ES modules by require() since Node 22.12. */
export function programText({ modules, body }: Program, kind: "esm" | "commonjs"): string {
  const lines = Object.entries(modules).map(([name, specifier]) =>
    kind === "esm" ? `import * as ${name} from "${specifier}";` : `const ${name} = require("${specifier}");`,
  );
  return `${lines.join("\n")}\n\nasync function main() {${body}\n}\n\nvoid main();\n`;
}
