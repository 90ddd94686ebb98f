import { AddressError, HeaderError, MessageError, PosthasteError, SettingsError } from "posthaste";

/**
 * What the process answers its caller with. Of mail: `ok` all recipients' servers accepted, `partial` some, `failure` none,
 * `trouble` none, but a later attempt may succeed; `stopped` is what shells give for Ctrl-C.
 */
export const EXIT = { ok: 0, failure: 1, usage: 2, partial: 3, trouble: 4, stopped: 130 } as const;

/** What somebody wrote is wrong, and not what a server said of it. */
const MISTAKES = [SettingsError, AddressError, HeaderError, MessageError];

/** Prints an error for a person, without a stack, and says how the process ends. */
export function report(error: unknown): number {
  if (!(error instanceof PosthasteError)) {
    console.error(error);
    return EXIT.failure;
  }
  console.error(`posthaste: ${error.message}`);
  return MISTAKES.some((kind) => error instanceof kind) ? EXIT.usage : EXIT.failure;
}

/** A setting that has a value that is not allowed, or cannot be used as it is. */
export function badSetting(setting: string, reason: string, cause?: unknown): SettingsError {
  return new SettingsError("bad-setting", `${setting}: ${reason}`, { setting, cause });
}

/** A setting without which the command does not start. */
export function missingSetting(setting: string, reason: string): SettingsError {
  return new SettingsError("missing-setting", `${setting}: ${reason}`, { setting });
}
