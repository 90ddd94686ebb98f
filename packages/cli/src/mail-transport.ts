import { readFileSync } from "node:fs";
import { getConnection, mailSettings, smtpTransport, type Transport } from "posthaste";
import { badSetting } from "./exit.ts";

/** How a mailing uses the server. */
export interface MailingPace {
  readonly connections?: number | undefined;
  readonly messagesPerSecond?: number | undefined;
}

/** The transport of the settings' mailer, with a pace where one was asked for. @throws {SettingsError} naming the setting. */
export function mailTransport(using: string | undefined, pace: MailingPace = {}): Transport {
  const settings = mailSettings();
  const mailer = settings.mailers[using ?? "default"];
  if (mailer === undefined || (pace.connections ?? pace.messagesPerSecond) === undefined)
    return getConnection({ using });
  if (mailer.backend !== "smtp") {
    const flag = pace.connections === undefined ? "--rate" : "--connections";
    throw badSetting(flag, `the backend is ${mailer.backend}, which has none; leave it out`);
  }
  const { host, port, tls, auth, timeout, certFile, keyFile = certFile } = mailer;
  return smtpTransport({
    host,
    port,
    tls,
    auth,
    cert: certFile === undefined ? undefined : readFileSync(certFile, "utf8"),
    key: keyFile === undefined ? undefined : readFileSync(keyFile, "utf8"),
    timeouts: { command: timeout },
    ...pace,
  });
}
