import { mailSettings } from "../settings/environment.ts";
import type { MailSettings } from "../settings/mail-settings.ts";
import { configured, mailerDefaults } from "./configuration.ts";
import { mailerNamed, openConnection } from "./connection.ts";
import { createMailer, type Mailer } from "./mailer.ts";

/** The mailers of the settings by name; Django's `mailers`. Iterating gives the names. */
export interface Mailers extends AsyncDisposable, Iterable<string> {
  /** The mailer `default`. @throws as {@link get}. */
  readonly default: Mailer;
  /**
   * The mailer of this name. It is made when it is first asked for and kept, with its connections, until `close()`:
   * Django makes a new one at each access.
   *
   * @throws {SettingsError} `unknown-mailer`, when there is none of this name; or naming a setting that is not allowed.
   */
  get(alias: string): Mailer;
  /** Whether the settings name such a mailer. @throws {SettingsError} naming a setting that is not allowed. */
  has(alias: string): boolean;
  /** Ends the connections of all of them. The settings are read anew with the next access. */
  close(): Promise<void>;
}

/**
 * Mailers for code without globals.
 *
 * @param read gives the settings, when they are first needed. Default: those of the environment.
 */
export function createMailers(read: MailSettings | (() => MailSettings) = mailSettings): Mailers {
  let settings: MailSettings | undefined;
  const made = new Map<string, Mailer>();
  const current = (): MailSettings => (settings ??= configured(typeof read === "function" ? read() : read));
  const get = (alias: string): Mailer => {
    const found = made.get(alias);
    if (found !== undefined) return found;
    const transport = openConnection(mailerNamed(current(), alias));
    const mailer = createMailer({ transport, ...mailerDefaults(current()) });
    made.set(alias, mailer);
    return mailer;
  };
  const close = async (): Promise<void> => {
    const open = [...made.values()];
    made.clear();
    settings = undefined;
    await Promise.all(open.map((mailer) => mailer.close()));
  };
  return {
    get default() {
      return get("default");
    },
    get,
    has: (alias) => Object.hasOwn(current().mailers, alias),
    [Symbol.iterator]: () => Object.keys(current().mailers)[Symbol.iterator](),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The mailers that the environment describes; Django's `django.core.mail.mailers`. */
export const mailers: Mailers = createMailers();
