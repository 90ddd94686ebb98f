import { AddressError, SettingsError } from "../errors.ts";
import { mailSettings } from "../settings/environment.ts";
import type { MailSettings } from "../settings/mail-settings.ts";
import { author, mailboxes, type MailerOptions } from "./mailer-options.ts";

/**
 * The settings, whose addresses are some.
 *
 * @throws {SettingsError} naming the setting, such as `ADMINS[1]`.
 */
export function configured(settings: MailSettings = mailSettings()): MailSettings {
  try {
    author("DEFAULT_FROM_EMAIL", settings.from);
    author("SERVER_EMAIL", settings.serverEmail);
    mailboxes("ADMINS", settings.admins);
    if (settings.managers !== settings.admins) mailboxes("MANAGERS", settings.managers);
  } catch (cause) {
    if (!(cause instanceof AddressError)) throw cause;
    throw new SettingsError("bad-setting", cause.message, { setting: cause.field, cause });
  }
  return settings;
}

/** What the settings say of a mailer, but its transport. */
export function mailerDefaults(settings: MailSettings): Omit<MailerOptions, "transport"> {
  const { from, serverEmail, admins, managers, subjectPrefix, useLocalTime: localTime } = settings;
  return { from, serverEmail, admins, managers, subjectPrefix, localTime };
}
