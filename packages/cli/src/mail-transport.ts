import { type ConnectionOptions, getConnection, SettingsError, type Transport } from "posthaste";

/** How a mailing uses the server. */
type Pace = Pick<ConnectionOptions, "connections" | "messagesPerSecond">;

/** The flag that an option is given by. */
const FLAGS: Readonly<Record<string, string>> = { connections: "--connections", messagesPerSecond: "--rate" };

/** The transport of the settings' mailer. @throws {SettingsError} naming the setting or flag. */
export function mailTransport(using: string | undefined, pace: Pace = {}): Transport {
  try {
    return getConnection({ using, ...pace });
  } catch (error) {
    throw error instanceof SettingsError ? namedByFlag(error) : error;
  }
}

function namedByFlag(error: SettingsError): SettingsError {
  const { code, setting = "", message, cause } = error;
  const flag = Object.hasOwn(FLAGS, setting) ? FLAGS[setting] : undefined;
  return flag === undefined ? error : new SettingsError(code, message.replace(setting, flag), { setting: flag, cause });
}
