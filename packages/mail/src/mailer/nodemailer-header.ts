import { type Mailbox, parseAddressList, parseMailbox } from "../address/mailbox.ts";
import { MessageError } from "../errors.ts";

/** An address as nodemailer takes it. */
export type NodemailerAddress = string | { readonly name?: string | undefined; readonly address: string };
export type NodemailerAddresses = NodemailerAddress | readonly NodemailerAddress[] | null | undefined | false;

type NodemailerHeaderValue = string | number | Date | readonly (string | number | Date)[];
export type NodemailerHeaders =
  | Readonly<Record<string, NodemailerHeaderValue | null | undefined>>
  | readonly { readonly key: string; readonly value: NodemailerHeaderValue }[]
  | null
  | undefined;

type ListEntry = string | { readonly url: string; readonly comment?: string | undefined };
export type NodemailerList =
  Readonly<Record<string, ListEntry | readonly (ListEntry | readonly ListEntry[])[]>> | null | undefined;

/** One text a mailbox, as the fields of a message want them. */
export function mailboxTexts(given: unknown, field: string): string[] {
  return mailboxesOf(given, field).map(({ displayName, addrSpec }) =>
    displayName === "" ? addrSpec : `"${displayName.replace(/["\\]/g, "\\$&")}" <${addrSpec}>`,
  );
}

export function addSpecs(given: unknown, field: string): string[] {
  return mailboxesOf(given, field).map(({ addrSpec }) => addrSpec);
}

function mailboxesOf(given: unknown, field: string): Mailbox[] {
  if (given === undefined || given === null || given === false || given === "") return [];
  if (Array.isArray(given)) return given.flatMap((each, index) => mailboxesOf(each, `${field}[${index}]`));
  if (typeof given === "string") return parseAddressList(given, field).map((address) => oneMailbox(address, field));
  if (typeof given !== "object" || !("address" in given) || typeof given.address !== "string")
    throw bad(field, "must be addresses, or { name, address }; groups cannot be carried over");
  const { addrSpec } = parseMailbox(given.address, `${field}.address`);
  const displayName = "name" in given && typeof given.name === "string" ? given.name : "";
  return [{ displayName, addrSpec }];
}

function oneMailbox(address: Mailbox | object, field: string): Mailbox {
  if ("addrSpec" in address) return address;
  throw bad(field, "a group cannot be carried over");
}

interface HeaderData {
  readonly headers?: NodemailerHeaders;
  readonly sender?: unknown;
  readonly inReplyTo?: unknown;
  readonly references?: unknown;
  readonly priority?: unknown;
  readonly list?: NodemailerList;
}

/** The header fields that nodemailer's data asks for. */
export function headersOf({ headers, sender, inReplyTo, references, priority, list }: HeaderData): object {
  const fields = new HeaderFields();
  const given = Array.isArray(headers) ? headers.map(keyed) : Object.entries(headers ?? {});
  for (const [name, value] of given) fields.add(String(name), value);
  const [from] = mailboxTexts(sender, "sender");
  if (from !== undefined) fields.add("Sender", from);
  if (isGiven(inReplyTo)) fields.add("In-Reply-To", bracketed(inReplyTo, "inReplyTo"));
  if (isGiven(references)) fields.add("References", bracketed(references, "references"));
  for (const [name, value] of priorityFields(priority)) fields.add(name, value);
  for (const [name, value] of Object.entries(list ?? {}).flatMap(listFields)) fields.add(name, value);
  return fields.toObject();
}

/** Of several with one name, each is a field. */
class HeaderFields {
  readonly #fields = new Map<string, { name: string; values: readonly (string | number | Date)[] }>();

  add(name: string, value: unknown): void {
    if (value === undefined || value === null) return;
    const field = `headers[${JSON.stringify(name)}]`;
    if (Array.isArray(value)) return void value.forEach((each) => this.add(name, each));
    if (typeof value !== "string" && typeof value !== "number" && !(value instanceof Date))
      throw bad(field, "must be a string, a number or a Date; prepared values cannot be carried over");
    const values = this.#fields.get(name.toLowerCase())?.values ?? [];
    this.#fields.set(name.toLowerCase(), { name, values: [...values, value] });
  }

  toObject(): object {
    const entries = [...this.#fields.values()].map(
      ({ name, values }) => [name, values.length === 1 ? values[0] : values] as const,
    );
    return Object.fromEntries(entries);
  }
}

function keyed(field: unknown, index: number): [string, unknown] {
  if (
    typeof field === "object" &&
    field !== null &&
    "key" in field &&
    "value" in field &&
    typeof field.key === "string"
  )
    return [field.key, field.value];
  throw bad(`headers[${index}]`, "must be { key, value }");
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && value !== false;
}

/** Nodemailer takes msg-ids with or without angle brackets. */
function bracketed(given: unknown, field: string): string {
  const texts: unknown[] = Array.isArray(given) ? given : [given];
  if (!texts.every((text) => typeof text === "string")) throw bad(field, "must be msg-ids");
  const ids = texts.flatMap((text) => text.split(/[ \t]+/)).filter((id) => id !== "");
  return ids.map((id) => (id.startsWith("<") ? id : `<${id}>`)).join(" ");
}

function priorityFields(priority: unknown): (readonly [string, string])[] {
  const level = isGiven(priority) ? priority : "normal";
  if (level === "normal") return [];
  if (level !== "high" && level !== "low") throw bad("priority", "must be high, normal or low");
  const word = level === "high" ? "High" : "Low";
  return [
    ["X-Priority", level === "high" ? "1 (Highest)" : "5 (Lowest)"],
    ["X-MSMail-Priority", word],
    ["Importance", word],
  ];
}

/** RFC 2369, RFC 2919: an array is a field each, an array in it one field with several. */
function listFields([name, given]: [string, unknown]): [string, string][] {
  const fields: unknown[] = Array.isArray(given) ? given : [given];
  return fields.map((entries) => {
    const field = `list.${name}`;
    const each: unknown[] = Array.isArray(entries) ? entries : [entries];
    return [
      `List-${name[0]?.toUpperCase() ?? ""}${name.slice(1)}`,
      each.map((entry) => listEntry(entry, field)).join(", "),
    ];
  });
}

function listEntry(given: unknown, field: string): string {
  const { url, comment = "" } = (typeof given === "string" ? { url: given } : given) as {
    url?: unknown;
    comment?: string;
  };
  if (typeof url !== "string" || /[\s<>]/.test(url) || typeof comment !== "string" || /[()\\"]/.test(comment))
    throw bad(field, "must be a URL, or { url, comment }");
  if (field.toLowerCase() === "list.id") return `${comment === "" ? "" : `"${comment}" `}<${url}>`;
  const isUrl = /^(?:https?|mailto|ftp):/i.test(url);
  if (!isUrl && !/^[^@:/]+@[^@/]+$/.test(url)) throw bad(field, "must be an address, or a URL with its scheme");
  return `<${isUrl ? "" : "mailto:"}${url}>${comment === "" ? "" : ` (${comment})`}`;
}

function bad(field: string, reason: string): MessageError {
  return new MessageError("bad-value", `${field}: ${reason}`, { field });
}
