import { type MailerSettings, mailSettings, type MailSettings, type TlsDetails } from "posthaste";
import { badSetting, EXIT } from "./exit.ts";
import { checkMail, type MailCheck } from "./mail-checks.ts";
import { mailTransport } from "./mail-transport.ts";
import { probeServer, type ServerProbe } from "./server-probe.ts";

/** The flags of `posthaste check`. */
export interface CheckFlags {
  readonly connect?: boolean | undefined;
  readonly deploy?: boolean | undefined;
  readonly using?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * `posthaste check`: what the settings were understood as, without secrets, and what is doubtful about them.
 *
 * @returns the exit code: 1 where there is an error, or the server cannot be used.
 * @throws {SettingsError} naming the setting that is not allowed.
 */
export async function check(flags: CheckFlags): Promise<number> {
  const settings = mailSettings();
  const isDeployed = flags.deploy === true || process.env.NODE_ENV === "production";
  const checks = checkMail(settings, process.env, isDeployed);
  await checkUsable(settings, flags.using);
  if (flags.connect === true) checkServer(settings, flags.using);
  const probe = flags.connect === true ? await probeServer(flags.using) : undefined;
  if (flags.json === true) printJson(settings, checks, probe);
  else {
    printSettings(settings);
    if (probe !== undefined) printProbe(probe);
    for (const { id, level, message, hint } of checks) console.log(`${level} ${id}: ${message}\n  ${hint}`);
  }
  const isBad = checks.some(({ level }) => level === "error") || probe?.error !== undefined;
  return isBad ? EXIT.failure : EXIT.ok;
}

/** Has every transport made, for what shows only then: a host that is none, a certificate that is not there. */
async function checkUsable({ mailers }: MailSettings, using: string | undefined): Promise<void> {
  if (using !== undefined && !Object.hasOwn(mailers, using)) await mailTransport(using).close();
  // The file backend would make its directory.
  const others = Object.values(mailers).filter(({ backend }) => backend !== "file");
  for (const { alias } of others) await mailTransport(alias).close();
}

function checkServer({ mailers }: MailSettings, using = "default"): void {
  const backend = Object.hasOwn(mailers, using) ? mailers[using]?.backend : undefined;
  if (backend === "smtp") return;
  const reason = backend === undefined ? "there is no such mailer" : `its backend is ${backend}, and has no server`;
  throw badSetting("--connect", `${using}: ${reason}`);
}

const TLS_WORDS: Readonly<Record<string, string>> = {
  implicit: "implicit",
  starttls: "STARTTLS, required",
  none: "none, in clear",
};

/** What is printed of a mailer: nothing of its secrets, and not the options of a module, which may be some. */
function shown(mailer: MailerSettings): Record<string, string | number | undefined> {
  const { backend, host, port, tls, auth, timeout, certFile, keyFile, filePath, namedBy, options } = mailer;
  const optionNames = Object.keys(options).map((name) => `${name}=***`);
  if (backend !== "smtp") return { backend, directory: filePath, options: optionNames.join(", ") || undefined };
  return {
    backend,
    server: `${host}:${port}`,
    namedBy: namedBy ?? "nothing; this is the default",
    tls: tls === undefined ? "none for a loopback host, else STARTTLS, required" : TLS_WORDS[tls],
    user: auth?.user,
    password: auth === undefined ? undefined : "***",
    timeout: timeout === undefined ? "those of RFC 5321" : `${timeout / 1000} s`,
    certificate: certFile,
    key: keyFile,
  };
}

function shownPeople(settings: MailSettings): Record<string, string> {
  const list = (people: readonly string[]): string => (people.length === 0 ? "nobody" : people.join(", "));
  return {
    DEFAULT_FROM_EMAIL: settings.from,
    SERVER_EMAIL: settings.serverEmail,
    ADMINS: list(settings.admins),
    MANAGERS: list(settings.managers),
    EMAIL_SUBJECT_PREFIX: JSON.stringify(settings.subjectPrefix),
    EMAIL_USE_LOCALTIME: String(settings.useLocalTime),
  };
}

function printSettings(settings: MailSettings): void {
  for (const [alias, mailer] of Object.entries(settings.mailers)) {
    console.log(`mailer ${alias}`);
    printTable(shown(mailer));
  }
  console.log("mail");
  printTable(shownPeople(settings));
}

function printTable(rows: Readonly<Record<string, string | number | undefined>>): void {
  for (const [name, value] of Object.entries(rows))
    if (value !== undefined) console.log(`  ${name.padEnd(21)} ${value}`);
}

/** The names are the server's to choose, and a terminal would obey controls in them. */
function tlsLine({ protocol, names, validTo }: TlsDetails): string {
  const days = Math.floor((validTo.getTime() - Date.now()) / 86_400_000);
  const until = `until ${validTo.toISOString().slice(0, 10)}, ${days} days left`;
  return `${protocol}, and the certificate holds: for ${names.join(", ").replace(/[^ -~]/g, "?")}, ${until}`;
}

function printProbe({ greeting, extensions, tls, auth, roundTrip, error }: ServerProbe): void {
  console.log("server");
  printTable({
    greeting,
    tls: tls === undefined ? "no" : tlsLine(tls),
    login: auth,
    extensions: extensions.length === 0 ? undefined : extensions.join(", "),
    "round trip": roundTrip === undefined ? undefined : `${roundTrip.toFixed(1)} ms`,
  });
  console.log(error === undefined ? "  takes mail" : `  cannot be used: ${error.message}`);
}

function printJson(settings: MailSettings, checks: readonly MailCheck[], probe: ServerProbe | undefined): void {
  const mailers = Object.fromEntries(Object.entries(settings.mailers).map(([alias, mailer]) => [alias, shown(mailer)]));
  const server = probe && { ...probe, error: probe.error?.message };
  console.log(JSON.stringify({ mailers, mail: shownPeople(settings), checks, server }));
}
