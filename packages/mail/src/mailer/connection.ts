import type { Transport } from "../delivery.ts";
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
  return smtpTransport({ host, port, tls, auth, timeouts: { command: timeout } });
}
