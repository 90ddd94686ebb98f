import { InvalidArgumentError, Option } from "commander";

function repeated(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function list(flags: string, description: string): Option {
  return new Option(flags, description).argParser(repeated).default([], "none");
}

function connections(value: string): number {
  const number = /^[0-9]{1,4}$/.test(value) ? Number(value) : 0;
  if (number < 1 || number > 1000) throw new InvalidArgumentError("It must be a whole number from 1 to 1000.");
  return number;
}

function rate(value: string): number {
  const number = /^[0-9]+(?:\.[0-9]+)?$/.test(value) ? Number(value) : 0;
  if (!(number > 0 && number <= 100_000)) throw new InvalidArgumentError("It must be a number above 0, up to 100000.");
  return number;
}

/** The flags of what a message is made of, and of how it is sent. */
export const mailFlag = {
  from: () => new Option("--from <mailbox>", "the author (default: DEFAULT_FROM_EMAIL)"),
  to: () => list("--to <mailbox>", "a recipient; may be given again"),
  cc: () => list("--cc <mailbox>", "a recipient of a copy; may be given again"),
  bcc: () => list("--bcc <mailbox>", "a recipient that nobody sees; may be given again"),
  replyTo: () => list("--reply-to <mailbox>", "where answers go; may be given again"),
  header: () => list('--header <"Name: value">', "a further header field; may be given again"),
  attach: () => list("--attach <file>", "a file to attach; may be given again"),
  text: () => new Option("--text <text>", "the body as plain text"),
  textFile: () => new Option("--text-file <file>", "the body as plain text, from a file in UTF-8; - is standard input"),
  html: () => new Option("--html <html>", "the body as HTML"),
  htmlFile: () => new Option("--html-file <file>", "the body as HTML, from a file in UTF-8; - is standard input"),
  using: () => new Option("--using <alias>", "the mailer of MAILERS to use (default: default)"),
  json: (what: string) => new Option("--json", `print ${what} as JSON`),
  encoding: () => new Option("--encoding <name>", "the file's encoding, such as euc-kr").default("utf-8"),
  connections: () =>
    new Option("--connections <number>", "the most connections at once (default: 1)").argParser(connections),
  rate: () => new Option("--rate <number>", "the most messages in a second (default: no limit)").argParser(rate),
  report: () => new Option("--report <file>", "where the verdicts go, as CSV (default: FILE.report.csv)"),
  resume: () => new Option("--resume", "go on with the mailing that the report's journal tells of"),
  inDoubt: () =>
    new Option("--in-doubt <policy>", "of rows that may have left before a crash: send them again, or leave them")
      .choices(["resend", "hold"])
      .default("resend"),
  dryRun: () =>
    new Option("--dry-run <folder>", "write each message to a file of the folder, and send nothing").conflicts(
      "resume",
    ),
} as const;
