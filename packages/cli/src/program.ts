import { readFileSync } from "node:fs";
import { Command } from "commander";
import { flag, unsetEmpty } from "./flags.ts";
import type { InboxFlags } from "./inbox-command.ts";
import { addMailCommands } from "./mail-commands.ts";
import type { ServeFlags } from "./serve-settings.ts";

const SERVE_HELP = `
Mail is set up by EMAIL_URL, or EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS and
EMAIL_USE_SSL, with DEFAULT_FROM_EMAIL as its author. Without a mail server it goes to an inbox at /inbox.
In production (NODE_ENV=production, or a public --public-url) a mail server, POSTHASTE_KEYS and PUBLIC_URL must be set.

Examples:
  $ posthaste serve
  $ posthaste serve --port 0 --database sqlite:./accounts.db
  $ EMAIL_URL=smtp://user:password@mail.example.com:587 POSTHASTE_KEYS=k1:... posthaste serve --public-url https://example.com`;

const INBOX_HELP = `
Examples:
  $ posthaste inbox
  $ posthaste inbox --port 8025 --inbox-smtp-port 2525`;

/** The command line. A command is loaded when it runs, so that --help answers at once. `onExit` is told the exit code where it is not 0. */
export function createProgram(onExit: (code: number) => void): Command {
  const program = new Command("posthaste").description(
    "Mail that arrives: accounts with e-mail verification, an outbox, an inbox to develop against.",
  );
  program.version(version());
  program.addHelpText("after", "\nEach command has its own --help.");
  program
    .command("serve")
    .description("run the accounts service and the outbox's worker; without a mail server, the development inbox too")
    .addOption(flag.port(8000))
    .addOption(flag.host())
    .addOption(flag.database())
    .addOption(flag.publicUrl())
    .addOption(flag.inboxSmtpPort())
    .addOption(flag.trustedProxies())
    .addHelpText("after", SERVE_HELP)
    .action(async (flags: ServeFlags) => await (await import("./serve.ts")).serve(flags));
  program
    .command("inbox")
    .description("run the development inbox alone: SMTP in, a web page out")
    .addOption(flag.port(8025))
    .addOption(flag.host())
    .addOption(flag.inboxSmtpPort())
    .addHelpText("after", INBOX_HELP)
    .action(async (flags: InboxFlags) => await (await import("./inbox-command.ts")).runInbox(flags));
  addMailCommands(program, onExit);
  for (const { options } of program.commands) unsetEmpty(process.env, options);
  return program;
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}
