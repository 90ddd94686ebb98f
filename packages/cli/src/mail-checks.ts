import { type Environment, isLoopback, type MailerSettings, type MailSettings, parseMailbox } from "posthaste";

/** Something doubtful about the settings, as Django's system checks report it. */
export interface MailCheck {
  /** `mail.…` are Django's, `posthaste.…` our own. */
  readonly id: string;
  readonly level: "error" | "warning";
  readonly message: string;
  readonly hint: string;
}

const SENDS_NOTHING = ["console", "dummy", "file", "memory"];

/** Looks at the settings; `isDeployed` as Django's `check --deploy`. */
export function checkMail(settings: MailSettings, environment: Environment, isDeployed: boolean): MailCheck[] {
  return [
    ...mailerChecks(settings, isDeployed),
    ...Object.values(settings.mailers).flatMap((mailer) => serverChecks(mailer)),
    ...credentialChecks(settings, environment),
    ...peopleChecks(settings),
  ];
}

function mailerChecks({ backend }: MailSettings, isDeployed: boolean): MailCheck[] {
  if (backend === undefined) {
    const message = 'MAILERS has no "default", so mail that names no mailer cannot be sent';
    return [warning("mail.W001", message, 'add a mailer that is called "default"')];
  }
  if (!isDeployed || !SENDS_NOTHING.includes(backend)) return [];
  const message = `the default mailer's backend is ${backend}, with which no mail leaves this machine`;
  return [error("mail.E001", message, "use smtp, or another backend that sends")];
}

function serverChecks({ alias, backend, host, tls, namedBy }: MailerSettings): MailCheck[] {
  if (backend !== "smtp") return [];
  const checks: MailCheck[] = [];
  if (namedBy === undefined) {
    checks.push(
      warning("posthaste.W001", `no server is named, so mail goes to ${host}`, "set EMAIL_URL or EMAIL_HOST"),
    );
  }
  if (tls === "none" && !isLoopback(host)) {
    const message = `the mailer ${alias} speaks to ${host} in clear, and whoever is on the way can read and change its mail`;
    checks.push(warning("posthaste.W002", message, "leave EMAIL_USE_TLS unset, or set it to true"));
  }
  return checks;
}

/** Django ignores the one without the other; so do the settings, and mail goes out unauthenticated. */
function credentialChecks({ auth }: MailSettings, environment: Environment): MailCheck[] {
  const names = ["EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"] as const;
  const set = names.filter((name) => (environment[name] ?? "") !== "");
  const other = names.find((name) => !set.includes(name));
  if (auth !== undefined || set.length !== 1 || other === undefined) return [];
  return [warning("posthaste.W003", `${set[0]} is set without ${other}, so nobody logs in`, `set ${other}`)];
}

function peopleChecks({ from, serverEmail, admins, managers }: MailSettings): MailCheck[] {
  const checks: MailCheck[] = [];
  const mailbox = (setting: string, value: string): void => {
    if (!isMailbox(value, setting)) {
      checks.push(
        error("posthaste.E001", `${setting} holds what is not a mailbox`, "write it as Example <kim@example.com>"),
      );
    }
  };
  mailbox("DEFAULT_FROM_EMAIL", from);
  mailbox("SERVER_EMAIL", serverEmail);
  for (const each of admins) mailbox("ADMINS", each);
  if (managers !== admins) for (const each of managers) mailbox("MANAGERS", each);
  if (isLocal(from)) {
    const message = `DEFAULT_FROM_EMAIL is ${from}, which other servers refuse`;
    checks.push(warning("posthaste.W004", message, "set it to an address of your domain"));
  }
  if (admins.length > 0 && isLocal(serverEmail)) {
    const message = `SERVER_EMAIL is ${serverEmail}, so mail to ADMINS may be refused`;
    checks.push(warning("posthaste.W005", message, "set it to an address of your domain"));
  }
  return checks;
}

/** Of a mailbox such as `Shop <webmaster@localhost>` too. */
function isLocal(mailbox: string): boolean {
  return /@localhost>?$/i.test(mailbox);
}

function isMailbox(value: string, setting: string): boolean {
  try {
    parseMailbox(value, setting);
    return true;
  } catch {
    return false;
  }
}

function warning(id: string, message: string, hint: string): MailCheck {
  return { id, level: "warning", message, hint };
}

function error(id: string, message: string, hint: string): MailCheck {
  return { id, level: "error", message, hint };
}
