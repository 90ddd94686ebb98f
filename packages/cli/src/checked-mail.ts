import { type Environment, mailSettings, type MailSettings, parseMailbox } from "posthaste";
import { badSetting } from "./exit.ts";

/** The settings for mail, with an author that mail can have. @throws {SettingsError} naming the setting. */
export function checkedMail(environment: Environment = process.env): MailSettings {
  const mail = mailSettings(environment);
  try {
    parseMailbox(mail.from, "DEFAULT_FROM_EMAIL");
  } catch (error) {
    throw badSetting("DEFAULT_FROM_EMAIL", "not a mailbox such as Example <accounts@example.com>", error);
  }
  return mail;
}
