/** What each setting may be. Every function throws a SettingsError that names the setting, and never its value. */
import { SettingsError } from "../errors.ts";
import { type Backend, BACKENDS } from "./mail-settings.ts";
import { nearestOf } from "./spelling.ts";

/** A day: more is a mistake in the unit. */
const TIMEOUT_LIMIT = 86_400;
/** Mail to so many people is no message to those who run the place. */
const PEOPLE_LIMIT = 1000;
/** Of one setting: an environment variable of Linux has at most 128 KiB. */
const TEXT_LIMIT = 131_072;

/** What Django calls the backends that are built in: a Django application may read the same environment. */
const DJANGO_BACKENDS: Readonly<Record<string, Backend>> = {
  "django.core.mail.backends.smtp.EmailBackend": "smtp",
  "django.core.mail.backends.console.EmailBackend": "console",
  "django.core.mail.backends.filebased.EmailBackend": "file",
  "django.core.mail.backends.locmem.EmailBackend": "memory",
  "django.core.mail.backends.dummy.EmailBackend": "dummy",
};

/** A package, with or without a path in it, or a path: what `import` takes. */
const MODULE =
  /^(?:(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*(?:\/[\w.~-]+)*|(?:\.{1,2})?\/[^\0]+|file:\/\/\/[^\0]+)$/;

export function bad(setting: string, allowed: string, cause?: unknown): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting, cause });
}

export function missing(setting: string, needed: string): SettingsError {
  return new SettingsError("missing-setting", `${setting}: not set; ${needed}`, { setting });
}

export function conflict(setting: string, other: string): SettingsError {
  const message = `${setting} and ${other} contradict each other; keep one of them`;
  return new SettingsError("conflicting-settings", message, { setting });
}

export function textOf(setting: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || value.includes("\0") || value.length > TEXT_LIMIT)
    throw bad(setting, `a text without NUL, of up to ${TEXT_LIMIT} characters`);
  return value;
}

export function booleanOf(setting: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  const text = typeof value === "string" || typeof value === "number" ? String(value) : "";
  if (/^(?:true|1)$/i.test(text)) return true;
  if (/^(?:false|0)$/i.test(text)) return false;
  throw bad(setting, "true, false, 1 or 0");
}

export function portOf(setting: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const port = /^[0-9]{1,5}$/.test(numeral(value)) ? Number(value) : 0;
  if (port < 1 || port > 65_535) throw bad(setting, "a whole number from 1 to 65535");
  return port;
}

/** Django's seconds, as milliseconds. */
export function timeoutOf(setting: string, value: unknown): number | undefined {
  if (value === undefined) return undefined;
  const seconds = /^[0-9]+(?:\.[0-9]+)?$/.test(numeral(value)) ? Number(value) : 0;
  if (!(seconds > 0 && seconds <= TIMEOUT_LIMIT)) throw bad(setting, `seconds, above 0 and up to ${TIMEOUT_LIMIT}`);
  return seconds * 1000;
}

function numeral(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

export function backendOf(setting: string, value: unknown): Backend {
  const name = textOf(setting, value) ?? "smtp";
  if (Object.hasOwn(DJANGO_BACKENDS, name)) return DJANGO_BACKENDS[name] ?? name;
  if ((BACKENDS as readonly string[]).includes(name)) return name;
  const near = nearestOf(name.toLowerCase(), BACKENDS);
  if (MODULE.test(name) && near === undefined && !name.startsWith("django.")) return name;
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  throw bad(setting, `${BACKENDS.join(", ")}, or the name of a module that exports backend(settings)${hint}`);
}

/** `ADMINS` and `MANAGERS`: an array, in JSON or as it is, or mailboxes with commas between. */
export function peopleOf(setting: string, value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const list = typeof value === "string" ? listOf(setting, value) : value;
  const isList = Array.isArray(list) && list.length <= PEOPLE_LIMIT;
  if (!isList || !list.every((each) => typeof each === "string" && each.trim() !== ""))
    throw bad(setting, `up to ${PEOPLE_LIMIT} mailboxes with commas between, or an array of them in JSON`);
  return Object.freeze((list as string[]).map((each) => each.trim()));
}

function listOf(setting: string, text: string): unknown {
  if (text.trim() === "") return [];
  if (text.trim().startsWith("[")) return jsonOf(setting, text);
  // A comma inside a quoted display name does not separate; a quote that is not closed is not passed over.
  const list = textOf(setting, text)?.match(/(?:"(?:[^"\\]|\\.)*"|[^",])+/g);
  return list?.join(",") === text ? list : undefined;
}

/** The parser's own message would quote what it reads. */
export function jsonOf(setting: string, text: string): unknown {
  try {
    return JSON.parse(textOf(setting, text) ?? "");
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw bad(setting, "JSON");
  }
}
