/** Which connection a function sends over, from its options: Django 6.1's rules, where what contradicts is an error. */
import type { Transport } from "../delivery.ts";
import { MessageError } from "../errors.ts";
import type { MailerSettings, MailSettings } from "../settings/mail-settings.ts";
import { isSilent, mailerNamed, openConnection } from "./connection.ts";
import { knownOptions } from "./mailer-options.ts";

/** Options of the functions and of {@link EmailMessage.send}. */
export interface SendOptions {
  /** The transport to use, which stays open. Default: one that the settings describe, for this call alone. */
  readonly connection?: Transport | undefined;
  /** The mailer to use, one of `MAILERS`. Not beside `connection`, `failSilently` or credentials. Default: `default`. */
  readonly using?: string | undefined;
  /**
   * Resolve, and say what failed in the result, instead of throwing; bad settings and options are errors all the same.
   * Not beside `connection` or `using`, which have their own. Default: false.
   */
  readonly failSilently?: boolean | undefined;
}

/** Options of {@link sendMail} and {@link sendMassMail} that stand instead of settings. */
export interface CredentialOptions {
  /** Instead of `EMAIL_HOST_USER`. */
  readonly authUser?: string | undefined;
  /** Instead of `EMAIL_HOST_PASSWORD`. */
  readonly authPassword?: string | undefined;
}

/** The connection that was chosen. */
export interface Choice {
  /** Whether failures are kept from the caller. */
  readonly isSilent: boolean;
  /** Runs on the connection that was given, or on one of its own, which is closed before the result is there. */
  readonly use: <T>(work: (transport: Transport) => Promise<T>) => Promise<T>;
}

/** What may not stand beside what. */
const CONFLICTS: readonly (readonly [option: keyof SendOptions, others: readonly (keyof AllOptions)[]])[] = [
  ["using", ["connection", "failSilently", "authUser", "authPassword"]],
  ["connection", ["failSilently", "authUser", "authPassword"]],
];

type AllOptions = SendOptions & CredentialOptions;

/**
 * @param names the options that the function has.
 * @throws {SettingsError} for an unknown option, an unknown mailer; {MessageError} for options that contradict.
 */
export function chosen(options: AllOptions, settings: MailSettings, names: Readonly<Record<string, true>>): Choice {
  knownOptions(options, names);
  checkConflicts(options);
  const { connection, using, failSilently, authUser, authPassword } = options;
  if (connection !== undefined) return { isSilent: isSilent(connection), use: (work) => work(connection) };
  const mailer = withCredentials(mailerNamed(settings, using), authUser, authPassword);
  return {
    isSilent: failSilently ?? mailer.failSilently,
    use: async (work) => {
      const transport = openConnection(mailer);
      try {
        return await work(transport);
      } finally {
        await transport.close();
      }
    },
  };
}

function checkConflicts(options: AllOptions): void {
  const isGiven = (name: keyof AllOptions): boolean => options[name] !== undefined && options[name] !== false;
  for (const [field, others] of CONFLICTS) {
    const other = isGiven(field) ? others.find(isGiven) : undefined;
    if (other === undefined) continue;
    const message = `${field}: it decides itself what ${other} says; leave one of them out`;
    throw new MessageError("conflicting-settings", message, { field });
  }
}

function withCredentials(settings: MailerSettings, authUser?: string, authPassword?: string): MailerSettings {
  if (authUser === undefined && authPassword === undefined) return settings;
  const user = authUser ?? settings.auth?.user;
  const password = authPassword ?? settings.auth?.password;
  if (user !== undefined && password !== undefined) return { ...settings, auth: { user, password } };
  const field = user === undefined ? "authUser" : "authPassword";
  throw new MessageError("bad-value", `${field}: needed beside the other, here or in the settings`, { field });
}
