/** A line of pino as a mail: what happened and where, without what is secret, and no longer than a person reads. */
import { censored, censoredText } from "./secret.ts";

/** Pino's levels. */
export const LEVELS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;

/** What is mailed of a line. */
export interface ErrorRecord {
  readonly level: number;
  /** Of one line. */
  readonly subject: string;
  readonly text: string;
  readonly time: Date;
}

/** In characters: three lines of a list of mails. */
const SUBJECT_LIMIT = 200;
/** In characters. */
const TEXT_LIMIT = 100_000;
const LINE_BREAKS = /[\s\0-\x1f\x7f-\x9f\u2028\u2029]+/g;
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Fields that have a line of their own in the mail. */
const SHOWN = new Set(["level", "time", "msg", "err", "pid", "hostname", "name"]);

/** Undefined: it is no line of pino's. */
export function recordOf(line: string): ErrorRecord | undefined {
  const fields = parsed(line);
  const level = levelOf(fields?.level);
  if (fields === undefined || level === undefined) return undefined;
  const error = objectOf(fields.err);
  const message = textOf(fields.msg ?? error.message ?? "(without a message)");
  const label = labelOf(level);
  const time = timeOf(fields.time);
  const context = Object.fromEntries(Object.entries(fields).filter(([name]) => !SHOWN.has(name)));
  const { stack, message: reason, ...ofError } = error;
  const parts: [name: string, value: unknown][] = [
    ["Time", time.toISOString()],
    ["Level", label],
    [
      "Process",
      [fields.name, fields.hostname, fields.pid]
        .filter((each) => each !== undefined)
        .map(textOf)
        .join(" "),
    ],
    ["Message", message],
    ["Error", reason === fields.msg ? undefined : reason],
  ];
  const head = parts.filter(([, value]) => value !== undefined && value !== "");
  const text = [
    head.map(([name, value]) => `${`${name}:`.padEnd(9)}${textOf(value)}`).join("\n"),
    section("Stack", typeof stack === "string" ? censoredText(stack) : ""),
    section("Error's fields", json(ofError)),
    section("Context", json(context)),
  ].join("");
  return { level, subject: oneLine(`${label}: ${message}`), text: cut(clean(text), TEXT_LIMIT), time };
}

/** The same of a line that is too long to read: pino writes the level first. */
export function recordOfStart(line: string): ErrorRecord | undefined {
  const level = levelOf(Number(/^\{"level":(\d{1,9}),/.exec(line)?.[1] ?? Number.NaN));
  if (level === undefined || Number.isNaN(level)) return undefined;
  const [subject, time] = [`${labelOf(level)}: (a line that is too long to mail)`, new Date()];
  return { level, subject, text: `${subject}\n\nThe log has it.`, time };
}

/** A level by its name or number. */
export function levelOf(level: unknown): number | undefined {
  if (typeof level === "number") return level;
  return typeof level === "string" && Object.hasOwn(LEVELS, level) ? LEVELS[level as keyof typeof LEVELS] : undefined;
}

/** One line, of a length that a list of mails shows. */
export function oneLine(text: string): string {
  return cut(text.toWellFormed().replace(LINE_BREAKS, " ").trim(), SUBJECT_LIMIT);
}

function parsed(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "string") return { message: value };
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? censoredText(value) : JSON.stringify(censored(value));
}

function labelOf(level: number): string {
  const name = Object.entries(LEVELS).find(([, number]) => number === level)?.[0];
  return name?.toUpperCase() ?? `LEVEL ${level}`;
}

/** Pino writes milliseconds, or with `stdTimeFunctions.isoTime` a text. */
function timeOf(value: unknown): Date {
  const time = new Date(typeof value === "number" || typeof value === "string" ? value : Date.now());
  return Number.isNaN(time.getTime()) ? new Date() : time;
}

function json(value: object): string {
  return Object.keys(value).length === 0 ? "" : JSON.stringify(censored(value), null, 2);
}

function section(title: string, text: string): string {
  return text === "" ? "" : `\n\n${title}:\n${text}`;
}

function clean(text: string): string {
  return text.toWellFormed().replace(/\r\n?/g, "\n").replace(CONTROLS, "\ufffd");
}

/** At most so many characters, none of them half a surrogate pair. */
function cut(text: string, limit: number): string {
  return text.length <= limit ? text : `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
