import type { Transport } from "../delivery.ts";
import { SettingsError } from "../errors.ts";
import { type MailSettings, mailSettings } from "../settings/environment.ts";
import { consoleTransport } from "../transport/console.ts";
import { memoryTransport } from "../transport/memory.ts";
import { smtpTransport } from "../transport/smtp.ts";

/**
 * A transport that the settings describe; Django's `get_connection`. It keeps its connection until `close()`.
 *
 * @param settings default: those of the environment, read at each call.
 * @throws {SettingsError} naming the setting.
 */
export function getConnection(settings: MailSettings = mailSettings()): Transport {
  if (settings.backend === "console") return consoleTransport();
  if (settings.backend === "memory") return memoryTransport();
  const { host, port, tls, auth, timeout } = settings;
  try {
    return smtpTransport({ host, port, tls, auth, timeouts: { command: timeout } });
  } catch (error) {
    throw error instanceof SettingsError ? ofEnvironment(error, settings.namedBy) : error;
  }
}

/** Under which name in the environment an option of the transport was given. */
const SETTINGS: Readonly<Record<string, string>> = {
  host: "EMAIL_HOST",
  port: "EMAIL_PORT",
  "auth.user": "EMAIL_HOST_USER",
  "auth.password": "EMAIL_HOST_PASSWORD",
  "timeouts.command": "EMAIL_TIMEOUT",
};

function ofEnvironment(error: SettingsError, namedBy: MailSettings["namedBy"]): SettingsError {
  const option = error.setting ?? "";
  const own = SETTINGS[option] ?? option;
  const setting = namedBy === "EMAIL_URL" && own !== "EMAIL_TIMEOUT" ? "EMAIL_URL" : own;
  return new SettingsError(error.code, error.message.replace(option, setting), { setting });
}
