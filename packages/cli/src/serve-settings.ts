import { type Environment, isLoopback, mailSettings, type MailSettings } from "posthaste";
import { databasePath, developmentKeys } from "./data-folder.ts";
import { badSetting, missingSetting } from "./exit.ts";

/** The flags of `posthaste serve`. */
export interface ServeFlags {
  readonly port: number;
  readonly host: string;
  readonly database: string;
  readonly publicUrl?: string | undefined;
  readonly inboxSmtpPort: number;
}

/** What `posthaste serve` runs with. */
export interface ServeSettings {
  readonly databasePath: string;
  /** The text of the key ring. */
  readonly keys: () => string;
  readonly mail: MailSettings;
  /** No mail server is named, so mail goes to the development inbox. */
  readonly withInbox: boolean;
  readonly publicUrl: string | undefined;
}

/**
 * Reads them, and refuses to start where production lacks what it needs: the development inbox shows every link, and a
 * key that is made up anew on another machine invalidates them all.
 *
 * @throws {SettingsError} naming the setting.
 */
export function serveSettings(flags: ServeFlags, environment: Environment = process.env): ServeSettings {
  const mail = mailSettings(environment);
  const publicUrl = flags.publicUrl === undefined || flags.publicUrl === "" ? undefined : flags.publicUrl;
  const keys = environment.POSTHASTE_KEYS ?? "";
  const path = databasePath(flags.database);
  const withInbox = mail.backend === "smtp" && mail.namedBy === undefined;
  if (isProduction(publicUrl, environment)) {
    if (withInbox) throw missingSetting("EMAIL_HOST", "not set; in production mail needs a server (or set EMAIL_URL)");
    if (mail.backend !== "smtp")
      throw badSetting("EMAIL_BACKEND", "in production it must be smtp, so that mail leaves this machine");
    if (keys === "")
      throw missingSetting(
        "POSTHASTE_KEYS",
        "not set; in production it must be, such as k1:$(head -c 32 /dev/urandom | base64)",
      );
    if (publicUrl === undefined)
      throw missingSetting("PUBLIC_URL", "not set; in production links need the address that people see");
  }
  return { databasePath: path, keys: () => (keys === "" ? developmentKeys(path) : keys), mail, withInbox, publicUrl };
}

/** `NODE_ENV=production`, or links that lead to where others are. */
function isProduction(publicUrl: string | undefined, environment: Environment): boolean {
  if (environment.NODE_ENV === "production") return true;
  if (publicUrl === undefined) return false;
  if (!URL.canParse(publicUrl)) throw badSetting("PUBLIC_URL", "not a URL such as https://example.com");
  return !isLoopback(new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, "$1"));
}
