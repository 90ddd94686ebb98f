import { MessageError } from "../errors.ts";
import { bad } from "./attachment.ts";

/** The names of the fields. */
const FIELDS = new Set([
  "subject",
  "text",
  "html",
  "from",
  "to",
  "cc",
  "bcc",
  "replyTo",
  "headers",
  "attachments",
  "alternatives",
  "charset",
  "messageId",
  "date",
  "localTime",
  "dsn",
]);

/**
 * Refuses what is no field of a message, and what is inherited or computed: the fields may come from somewhere else, and
 * a getter or prototype would do something there.
 *
 * @throws {MessageError} naming the field.
 */
export function checkFields(fields: object): void {
  for (const name of Object.keys(fields)) {
    if (!FIELDS.has(name)) throw bad(name, "a message has no such field");
    const descriptor = Object.getOwnPropertyDescriptor(fields, name);
    if (descriptor !== undefined && !("value" in descriptor)) throw bad(name, "a getter, not a value");
  }
  const prototype: unknown = Object.getPrototypeOf(fields);
  if (prototype === Object.prototype || prototype === null) return;
  for (const name of FIELDS) {
    if (name in fields && !Object.hasOwn(fields, name)) throw bad(name, "inherited, not the object's own");
  }
}

export function textOf(value: unknown, field: string): string {
  if (value === undefined || value === null) return "";
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  if (typeof value !== "string") throw bad(field, "not a string");
  return value;
}

/** A list of its own, so that the caller's may change. */
export function listOf<T>(value: readonly T[] | null | undefined, field: string): T[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value))
    throw new MessageError("bad-value", `${field}: not an array; each is an element of its own`, { field });
  return [...(value as readonly T[])];
}

/** A copy of the object's own fields, getters as getters: what they are is judged when the message is rendered. */
export function copyOf<T>(value: Readonly<Record<string, T>> | null | undefined): Record<string, T> {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value) || value instanceof Map)
    throw bad("headers", "not an object of names and values");
  return Object.defineProperties({}, Object.getOwnPropertyDescriptors(value));
}
