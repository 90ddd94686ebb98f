import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, constants, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { badSetting, EXIT, report } from "../exit.ts";
import { headerFlag, textOfFile } from "../message-flags.ts";
import { checkedMail } from "../checked-mail.ts";
import { untilStopped } from "../stop-signal.ts";
import { mailTransport } from "../mail-transport.ts";
import { type Composer, createComposer, type MessageTemplates } from "./composer.ts";
import { dryRun } from "./dry-run.ts";
import { Journal, type MailingCounts } from "./journal.ts";
import { type InDoubt, type RowPlace, runMailing } from "./mailing.ts";
import { startProgress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { columnsOf, formatOf, type RowFile, rowsOf } from "./row.ts";

/** The flags of `posthaste send-mass`. */
export interface SendMassFlags {
  readonly from?: string | undefined;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly subject: string;
  readonly textFile?: string | undefined;
  readonly htmlFile?: string | undefined;
  readonly header: readonly string[];
  readonly attach: readonly string[];
  readonly encoding: string;
  readonly using?: string | undefined;
  readonly connections?: number | undefined;
  readonly rate?: number | undefined;
  readonly report?: string | undefined;
  readonly resume?: boolean | undefined;
  readonly inDoubt: InDoubt;
  readonly dryRun?: string | undefined;
  readonly json?: boolean | undefined;
}

/** So many faults of rows are printed; the report has them all. */
const PRINTED_FAULTS = 20;

/**
 * `posthaste send-mass`: a message for each row of a file.
 *
 * @returns the exit code: 0 all rows were accepted, 3 some, 1 none, 130 it was stopped.
 * @throws {SettingsError} when the file, a template or a flag is not what it must be; nothing was sent then.
 */
export async function sendMass(name: string, flags: SendMassFlags): Promise<number> {
  const stopped = untilStopped();
  const settings = checkedMail();
  formatOf(name);
  await checkReadable(name);
  const file: RowFile = { path: name, name, encoding: flags.encoding };
  const templates = await templatesOf(flags, settings.from);
  const composer = createComposer(templates, settings.useLocalTime);
  const columns = await columnsOf(file);
  if (columns !== undefined) composer.checkColumns(columns, name);
  if (flags.dryRun !== undefined) return await dryRun(flags.dryRun, rowsOf(file), composer, flags.json === true);
  const identity = { file: await digestOf(name), rows: await countOf(file), templates: identityOf(templates, flags) };
  if (identity.rows === 0) throw badSetting(name, "there are no rows in the file");
  return await send(file, composer, identity, flags, stopped);
}

async function send(
  file: RowFile,
  composer: Composer,
  identity: ConstructorParameters<typeof Journal>[1],
  flags: SendMassFlags,
  stopped: Promise<void>,
): Promise<number> {
  const reportPath = flags.report ?? `${file.path}.report.csv`;
  const transport = mailTransport(flags.using, { connections: flags.connections, messagesPerSecond: flags.rate });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => transport.close());
  const journal = stack.use(new Journal(`${reportPath}.journal`, identity, flags.resume === true));
  const stop = new AbortController();
  void stopped.then(() => stop.abort());
  const progress = startProgress(identity.rows);
  const faults = faultPrinter(progress.say, reportPath);
  let failure: unknown;
  try {
    await runMailing({
      rows: rowsOf(file),
      composer,
      journal,
      transport,
      inDoubt: flags.inDoubt,
      signal: stop.signal,
      onRow(outcome, row, error) {
        progress.row(outcome);
        if (error !== undefined) faults(row, error);
      },
    });
  } catch (error) {
    failure = error;
  } finally {
    progress.stop();
  }
  if (failure !== undefined) report(failure);
  const isReported = await tryToReport(reportPath, journal);
  const counts = journal.counts();
  summarize(counts, identity.rows, { reportPath, json: flags.json === true, isStopped: stop.signal.aborted });
  const code = exitCode(counts, identity.rows, stop.signal.aborted);
  return code === EXIT.ok && !isReported ? EXIT.trouble : code;
}

/** What was sent was sent, so a report that cannot be written does not end the command as a wrong flag does. */
async function tryToReport(path: string, journal: Journal): Promise<boolean> {
  try {
    await writeReport(path, journal);
    return true;
  } catch (error) {
    report(error);
    return false;
  }
}

function exitCode({ accepted, partial, untried }: MailingCounts, rows: number, isStopped: boolean): number {
  if (isStopped && untried > 0) return EXIT.stopped;
  if (accepted === rows) return EXIT.ok;
  return accepted + partial === 0 ? EXIT.failure : EXIT.partial;
}

interface Ending {
  readonly reportPath: string;
  readonly json: boolean;
  readonly isStopped: boolean;
}

function summarize(counts: MailingCounts, rows: number, { reportPath, json, isStopped }: Ending): void {
  const { repeated, ...kinds } = counts;
  const mayGoOn = counts.untried + counts.deferred + counts.partial + counts.unknown + counts.error > 0;
  if (json) {
    console.log(JSON.stringify({ rows, ...counts, stopped: isStopped, report: reportPath }));
    return;
  }
  const said = Object.entries(kinds).filter(([, count]) => count > 0);
  console.log(`${rows} rows: ${said.map(([kind, count]) => `${count} ${WORDS[kind] ?? kind}`).join(", ")}`);
  if (repeated > 0) console.log(`${repeated} rows may have arrived twice; the report names them`);
  console.log(`The report is ${reportPath}`);
  if (isStopped && counts.untried > 0) console.log("Stopped. The same command with --resume goes on.");
  else if (mayGoOn) console.log("The same command with --resume tries the rows that are neither accepted nor refused.");
}

const WORDS: Readonly<Record<string, string>> = {
  partial: "accepted for some recipients",
  error: "without a message",
  untried: "not tried",
};

function faultPrinter(say: (line: string) => void, reportPath: string): (row: RowPlace, error: string) => void {
  let count = 0;
  return ({ number, line }, error) => {
    count++;
    if (count <= PRINTED_FAULTS) say(`posthaste: row ${number} (line ${line}): ${error}`);
    else if (count === PRINTED_FAULTS + 1) say(`posthaste: further rows without a message are in ${reportPath}`);
  };
}

async function templatesOf(flags: SendMassFlags, author: string): Promise<MessageTemplates> {
  if (flags.textFile === undefined && flags.htmlFile === undefined) {
    throw badSetting("--text-file", "not given; a message needs --text-file, --html-file or both");
  }
  const headers = flags.header.map(headerFlag);
  if (headers.some(([name]) => name.toLowerCase() === "message-id")) {
    throw badSetting("--header", "Message-ID is the mailing's own, so that a row has the same at every attempt");
  }
  return {
    from: flags.from ?? author,
    to: flags.to,
    cc: flags.cc,
    bcc: flags.bcc,
    replyTo: flags.replyTo,
    subject: flags.subject,
    text: flags.textFile === undefined ? undefined : await textOfFile("--text-file", flags.textFile),
    html: flags.htmlFile === undefined ? undefined : await textOfFile("--html-file", flags.htmlFile),
    headers,
    attach: flags.attach,
  };
}

/** By flag, so that an error can name the one that changed. */
function identityOf(templates: MessageTemplates, { encoding }: SendMassFlags): Record<string, unknown> {
  return {
    "--from": templates.from,
    "--to": templates.to,
    "--cc": templates.cc,
    "--bcc": templates.bcc,
    "--reply-to": templates.replyTo,
    "--subject": templates.subject,
    "--text-file": templates.text,
    "--html-file": templates.html,
    "--header": templates.headers,
    "--attach": templates.attach,
    "--encoding": encoding,
  };
}

async function checkReadable(name: string): Promise<void> {
  try {
    await access(name, constants.R_OK);
    if ((await stat(name)).isFile()) return;
  } catch (error) {
    throw badSetting(name, `the file cannot be read: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  throw badSetting(name, "it is no file");
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function countOf(file: RowFile): Promise<number> {
  let count = 0;
  for await (const row of rowsOf(file)) count = row.number;
  return count;
}
