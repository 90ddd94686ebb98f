import { PosthasteError, type Transport } from "posthaste";
import { badSetting, EXIT, report } from "../exit.ts";
import { checkedMail } from "../checked-mail.ts";
import { mailTransport } from "../mail-transport.ts";
import { checkBodyFiles, checkRecipients, headerFlag, type MessageFlags, textOfFile } from "../message-flags.ts";
import { untilStopped } from "../stop-signal.ts";
import { type Composer, createComposer, type MessageTemplates } from "./composer.ts";
import { dryRun } from "./dry-run.ts";
import { checkReadable, type FileIdentity, identify, sameRows } from "./file-identity.ts";
import { Journal } from "./journal.ts";
import { type InDoubt, type RowPlace, runMailing } from "./mailing.ts";
import { startProgress } from "./progress.ts";
import { checkReportPlace, writeReport } from "./report.ts";
import { columnsOf, formatOf, type RowFile, rowsOf } from "./row.ts";
import { type Ending, exitCode, summarize } from "./summary.ts";

/** The flags of `posthaste send-mass`; those of the message are templates. */
export interface SendMassFlags extends MessageFlags {
  readonly encoding: string;
  readonly connections?: number | undefined;
  readonly rate?: number | undefined;
  readonly report?: string | undefined;
  readonly resume?: boolean | undefined;
  readonly inDoubt: InDoubt;
  readonly dryRun?: string | undefined;
}

/** So many faults of rows are printed; the report has them all. */
const PRINTED_FAULTS = 20;

/** A mailing that nothing is wrong with before its first row. */
interface Prepared {
  readonly file: RowFile;
  readonly identity: FileIdentity;
  readonly templates: MessageTemplates;
  readonly composer: Composer;
  readonly flags: SendMassFlags;
  readonly reportPath: string;
  readonly signal: AbortSignal;
}

/**
 * `posthaste send-mass`: a message for each row of a file.
 *
 * @returns the exit code: 0 all rows were accepted, 3 some, 1 none, 130 it was stopped, 4 all were, but something else
 * went wrong.
 * @throws {SettingsError} when the file, a template or a flag is not what it must be; nothing was sent then.
 */
export async function sendMass(name: string, flags: SendMassFlags): Promise<number> {
  const stop = new AbortController();
  void untilStopped().then(() => stop.abort());
  const { signal } = stop;
  const settings = checkedMail();
  formatOf(name);
  await checkReadable(name);
  const file: RowFile = { path: name, name, encoding: flags.encoding };
  const templates = await templatesOf(flags, settings.from);
  const composer = createComposer(templates, settings.useLocalTime);
  const columns = await columnsOf(file);
  if (columns !== undefined) composer.checkColumns(columns, name);
  const { dryRun: folder, json = false, report: reportPath = `${name}.report.csv` } = flags;
  if (folder !== undefined) return await dryRun(rowsOf(file), composer, { folder, json, signal });
  await checkReportPlace(reportPath, name);
  const identity = await identify(file, signal);
  if (identity === undefined) return EXIT.stopped;
  if (identity.rows === 0) throw badSetting(name, "there are no rows in the file");
  return await send({ file, identity, templates, composer, flags, reportPath, signal });
}

async function send(prepared: Prepared): Promise<number> {
  const { identity, templates, flags, reportPath, signal } = prepared;
  const transport = mailTransport(flags.using, { connections: flags.connections, messagesPerSecond: flags.rate });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => transport.close());
  const begun = { file: identity.digest, rows: identity.rows, templates: identityOf(templates, flags) };
  const journal = stack.use(new Journal(`${reportPath}.journal`, begun, flags.resume === true));
  const failure = await run(prepared, journal, transport);
  if (failure !== undefined) report(failure);
  const isReported = await tryToReport(reportPath, journal);
  const ending: Ending = {
    counts: journal.counts(),
    rows: identity.rows,
    reportPath: isReported ? reportPath : undefined,
    isStopped: signal.aborted,
    hasFailed: failure !== undefined,
    // What a backend that broke did with the rows, nobody knows.
    isDiscarded: (failure === undefined || failure instanceof PosthasteError) && journal.discard(),
  };
  summarize(ending, flags.json === true);
  return exitCode(ending);
}

/** Gives what ended the mailing before its time. */
async function run(prepared: Prepared, journal: Journal, transport: Transport): Promise<unknown> {
  const { file, identity, composer, flags, reportPath, signal } = prepared;
  const progress = startProgress(identity.rows);
  const faults = faultPrinter(progress.say, reportPath);
  const onStop = (): void =>
    progress.say("posthaste: stopping; what is past its end of data is finished. Ctrl-C again ends at once.");
  signal.addEventListener("abort", onStop);
  try {
    await runMailing({
      rows: sameRows(file, identity),
      composer,
      journal,
      transport,
      inDoubt: flags.inDoubt,
      signal,
      onRow(outcome, row, error) {
        progress.row(outcome);
        if (error !== undefined) faults(row, error);
      },
    });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    signal.removeEventListener("abort", onStop);
    progress.stop();
  }
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

function faultPrinter(say: (line: string) => void, reportPath: string): (row: RowPlace, error: string) => void {
  let count = 0;
  return ({ number, line }, error) => {
    count++;
    if (count <= PRINTED_FAULTS) say(`posthaste: row ${number} (line ${line}): ${error}`);
    else if (count === PRINTED_FAULTS + 1) say(`posthaste: further rows without a message are in ${reportPath}`);
  };
}

async function templatesOf(flags: SendMassFlags, author: string): Promise<MessageTemplates> {
  checkRecipients(flags);
  checkBodyFiles(flags);
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
