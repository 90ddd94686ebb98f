import { parseKeyRing, parsePublicUrl } from "@posthaste/accounts";
import { type Environment, isLoopback, type MailSettings } from "posthaste";
import { checkedMail } from "./checked-mail.ts";
import { databasePath, developmentKeys } from "./data-folder.ts";
import { badSetting, missingSetting } from "./exit.ts";

/** The flags of `posthaste serve`. */
export interface ServeFlags {
  readonly port: number;
  readonly host: string;
  readonly database: string;
  readonly publicUrl?: string | undefined;
  readonly inboxSmtpPort: number;
  readonly trustedProxies: number;
}

/** What `posthaste serve` runs with. */
export interface ServeSettings {
  readonly databasePath: string;
  /** The text of the key ring; in development it is made when it is first asked for. */
  readonly keys: () => string;
  readonly mail: MailSettings;
  /** No mail server is named, so mail goes to the development inbox. */
  readonly withInbox: boolean;
  /** Undefined: where it listens. */
  readonly publicUrl: string | undefined;
}

/**
 * Reads them, before anything listens or is written, and refuses to start where production lacks what it needs: the
 * development inbox shows every link, and a key that is made up anew on another machine invalidates them all.
 *
 * @throws {SettingsError} naming the setting.
 */
export function serveSettings(flags: ServeFlags, environment: Environment = process.env): ServeSettings {
  const mail = checkedMail(environment);
  const keys = environment.POSTHASTE_KEYS ?? "";
  const { publicUrl } = flags;
  const withInbox = mail.backend === "smtp" && mail.namedBy === undefined;
  if (keys !== "") parseKeyRing(keys);
  if (publicUrl !== undefined) parsePublicUrl(publicUrl);
  if (environment.NODE_ENV === "production" || (publicUrl !== undefined && isPublic(publicUrl))) {
    checkProduction(mail, withInbox, keys, publicUrl);
  }
  if (!isLoopback(flags.host)) checkOpen(withInbox, publicUrl);
  const path = databasePath(flags.database);
  return { databasePath: path, keys: () => (keys === "" ? developmentKeys() : keys), mail, withInbox, publicUrl };
}

function isPublic(publicUrl: string): boolean {
  return !isLoopback(new URL(publicUrl).hostname.replace(/^\[(.*)\]$/, "$1"));
}

function checkProduction(mail: MailSettings, withInbox: boolean, keys: string, publicUrl: string | undefined): void {
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

/** Where others can connect, what is for the developer alone is not there. */
function checkOpen(withInbox: boolean, publicUrl: string | undefined): void {
  if (withInbox)
    throw badSetting(
      "HOST",
      "only a loopback address, such as 127.0.0.1: the development inbox shows every link; or set EMAIL_HOST",
    );
  if (publicUrl === undefined)
    throw missingSetting(
      "PUBLIC_URL",
      "not set; where HOST is not this machine alone, links need the address that people see",
    );
}
