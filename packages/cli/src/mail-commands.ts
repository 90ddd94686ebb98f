import type { Command } from "commander";
import type { CheckFlags } from "./check.ts";
import { mailFlag as flag } from "./mail-flags.ts";
import type { SendMassFlags } from "./mass/send-mass.ts";
import type { SendTestEmailFlags } from "./send-test-email.ts";
import type { SendFlags } from "./send.ts";

const SETTINGS = "The settings are those of the environment: EMAIL_URL, or EMAIL_HOST and its like, or MAILERS.";

const SEND_HELP = `
${SETTINGS}
Exit codes: 0 accepted for all recipients, 3 for some, 1 refused, 4 trouble (deferred, unknown or no connection),
2 the command or a setting is wrong, and nothing was sent.

Examples:
  $ posthaste send --to kim@example.com --subject Hello --text "Hello, Kim"
  $ posthaste send --from "김철수 <kim@example.com>" --to lee@example.com --cc choi@example.com --subject 보고서 \\
      --text-file letter.txt --html-file letter.html --attach report.pdf
  $ df -h | posthaste send --to ops@example.com --subject "Disks of $HOSTNAME" --text-file - --json`;

const MASS_HELP = `
FILE is a CSV file with a header, or NDJSON. --subject, --to and the other flags of the message, and the files of its
bodies, are Liquid templates over the row's columns: {{ name }}. In HTML what a column holds is escaped. A column that
is missing is an error. A row that cannot be a message is reported, and the others go out.

The report has a verdict for each recipient. Its journal, FILE.report.csv.journal, is what --resume goes on with:
after Ctrl-C, after a crash, and for rows that were deferred.

${SETTINGS}
Exit codes: 0 all rows were accepted, 3 some, 1 none, 130 stopped by Ctrl-C, 2 the command, a setting, the file's
header or a template is wrong, and nothing was sent, 4 all were accepted, but something else went wrong, such as
writing the report.

Examples:
  $ posthaste send-mass people.csv --to "{{ email }}" --subject "{{ name }}님께" --text-file letter.txt --dry-run out
  $ posthaste send-mass people.csv --to "{{ email }}" --subject "{{ name }}님께" --text-file letter.txt \\
      --html-file letter.html --attach "invoices/{{ number }}.pdf" --connections 4 --rate 50
  $ posthaste send-mass people.csv --to "{{ email }}" --subject "{{ name }}님께" --text-file letter.txt --resume`;

const TEST_HELP = `
${SETTINGS}
Exit codes: 0 accepted for all recipients, 3 for some, 1 refused, 4 trouble, 2 the command or a setting is wrong.

Examples:
  $ EMAIL_URL=smtp://user:password@mail.example.com:587 posthaste sendtestemail kim@example.com
  $ posthaste sendtestemail --json kim@example.com lee@example.com
  $ ADMINS=ops@example.com posthaste sendtestemail --admins`;

const CHECK_HELP = `
${SETTINGS}
Exit codes: 0 there are no errors, 1 there are, or the server cannot be used, 2 a setting is wrong.

Examples:
  $ posthaste check
  $ NODE_ENV=production posthaste check --connect
  $ posthaste check --connect --json --using newsletter`;

/** The commands that send mail, or look whether it can be sent. */
export function addMailCommands(program: Command, onExit: (code: number) => void): void {
  addSend(program, onExit);
  addSendMass(program, onExit);
  program
    .command("sendtestemail")
    .description("send one mail, to see whether the settings work")
    .argument("[email...]", "to whom")
    .option("--managers", "send one to MANAGERS")
    .option("--admins", "send one to ADMINS")
    .addOption(flag.using())
    .addOption(flag.json("the receipts"))
    .addHelpText("after", TEST_HELP)
    .action(async (to: string[], flags: SendTestEmailFlags) => {
      const { sendTestEmail } = await import("./send-test-email.ts");
      onExit(await sendTestEmail(to, flags));
    });
  program
    .command("check")
    .description("print what the mail settings were understood as, and what is doubtful about them")
    .option("--deploy", "as in production, which NODE_ENV=production says too")
    .option("--connect", "try the server: TLS, certificate, extensions, credentials, round-trip time")
    .addOption(flag.using())
    .addOption(flag.json("what was found"))
    .addHelpText("after", CHECK_HELP)
    .action(async (flags: CheckFlags) => onExit(await (await import("./check.ts")).check(flags)));
}

function addSend(program: Command, onExit: (code: number) => void): void {
  const command = program.command("send").description("send one mail");
  const { from, to, cc, bcc, replyTo, text, textFile, html, htmlFile, header, attach, using } = flag;
  for (const option of [from, to, cc, bcc, replyTo]) command.addOption(option());
  command.requiredOption("--subject <text>", "the subject");
  for (const option of [text, textFile, html, htmlFile, header, attach, using]) command.addOption(option());
  command
    .addOption(flag.json("the receipt"))
    .addHelpText("after", SEND_HELP)
    .action(async (flags: SendFlags) => onExit(await (await import("./send.ts")).sendOne(flags)));
}

function addSendMass(program: Command, onExit: (code: number) => void): void {
  const command = program
    .command("send-mass")
    .description("send a mail for each row of a file")
    .argument("<file>", "a file whose name ends in .csv, .ndjson or .jsonl");
  const { from, to, cc, bcc, replyTo, textFile, htmlFile, header, attach } = flag;
  for (const option of [from, to, cc, bcc, replyTo]) command.addOption(option());
  command.requiredOption("--subject <template>", "the subject");
  for (const option of [textFile, htmlFile, header, attach]) command.addOption(option());
  const { encoding, connections, rate, report, resume, inDoubt, dryRun, using } = flag;
  for (const option of [encoding, connections, rate, report, resume, inDoubt, dryRun, using])
    command.addOption(option());
  command
    .addOption(flag.json("the counts"))
    .addHelpText("after", MASS_HELP)
    .action(async (file: string, flags: SendMassFlags) => {
      const { sendMass } = await import("./mass/send-mass.ts");
      onExit(await sendMass(file, flags));
    });
}
