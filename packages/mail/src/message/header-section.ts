import { type Mailbox, parseAddressList, plainMailbox } from "../address/mailbox.ts";
import { AddressError, HeaderError } from "../errors.ts";
import { foldTokens, foldUnstructured } from "../mime/folding.ts";
import { dateTime } from "./date-time.ts";
import { checkMessageId } from "./message-id.ts";
import {
  addressField,
  checkFieldName,
  checkHeaderText,
  fieldOf,
  headerField,
  type HeaderValue,
} from "./header-field.ts";

/** The most header fields that a caller may add. */
const FIELD_LIMIT = 1_000;

/** Header fields as they were given, by any case of their names. */
export type HeaderFields = Readonly<Record<string, HeaderValue>>;

/** What the header section is made of. */
export interface HeaderSection {
  readonly from: readonly Mailbox[];
  readonly to: readonly Mailbox[];
  readonly cc: readonly Mailbox[];
  readonly replyTo: readonly Mailbox[];
  readonly subject: string;
  readonly date: Date;
  readonly localTime: boolean;
  readonly messageId: string;
  readonly headers: HeaderFields;
}

interface Given {
  readonly name: string;
  readonly values: readonly (string | number | boolean | Date)[];
}

/**
 * The header section but MIME-Version and what belongs to the body. A field in `headers` stands for the message's own,
 * as in Django: the envelope is what it was, and the header says something else, as mailing lists do.
 */
export function headerSection(section: HeaderSection): string {
  const given = givenFields(section.headers);
  return (
    senderField(section, given) +
    own(given, "From", fromField(section.from)) +
    own(given, "To", listField("To", section.to)) +
    own(given, "Cc", listField("Cc", section.cc)) +
    own(given, "Reply-To", listField("Reply-To", section.replyTo)) +
    foldUnstructured("Subject", checkHeaderText(section.subject, "subject")) +
    own(given, "Date", `Date: ${dateTime(section.date, section.localTime)}\r\n`) +
    own(given, "Message-ID", foldTokens("Message-ID", [section.messageId])) +
    (given.size === 0 ? "" : [...given.values()].map(fieldsOf).join(""))
  );
}

/** The message's own field, or what was given in its place, which is then taken out. */
function own(given: Map<string, Given>, name: string, written: string): string {
  if (given.size === 0) return written;
  const override = given.get(name.toLowerCase());
  given.delete(name.toLowerCase());
  return override === undefined ? written : fieldsOf(override);
}

function listField(name: string, list: readonly Mailbox[]): string {
  return list.length === 0 ? "" : addressField(name, list);
}

/** RFC 5322 section 3.6.2: where From has several mailboxes, Sender says which of them sent it. */
function senderField({ from }: HeaderSection, given: ReadonlyMap<string, Given>): string {
  if (given.has("sender")) return "";
  const override = given.get("from")?.values[0];
  const authors = override === undefined ? from : parseAddressList(String(override), fieldOf("From"));
  const [first] = authors;
  return authors.length > 1 && first !== undefined ? addressField("Sender", [first]) : "";
}

function fieldsOf({ name, values }: Given): string {
  return values.map((value) => headerField(name, value)).join("");
}

/** RFC 5322 section 3.6: these stand once at most. */
const ONCE = new Set(["from", "sender", "to", "cc", "reply-to", "date", "message-id", "in-reply-to", "references"]);

const NOTHING_GIVEN = new Map<string, Given>();

function givenFields(headers: HeaderFields): Map<string, Given> {
  const names = Object.keys(headers);
  if (names.length === 0) return NOTHING_GIVEN;
  const given = new Map<string, Given>();
  if (names.length > FIELD_LIMIT)
    throw new HeaderError("bad-value", `headers: more than ${FIELD_LIMIT} fields`, { field: "headers" });
  for (const name of names) {
    const field = fieldOf(name);
    const value = ownValue(headers, name, field);
    if (value === undefined || value === null) continue;
    checkFieldName(name);
    const lower = name.toLowerCase();
    if (given.has(lower)) throw new HeaderError("header-name", `${field}: given twice, in another case`, { field });
    const values = (Array.isArray(value) ? value : [value]) as Given["values"];
    if (values.length > 1 && ONCE.has(lower))
      throw new HeaderError("bad-value", `${field}: this field stands once at most`, { field });
    values.forEach((each) => checkValue(each, field));
    given.set(lower, { name, values });
  }
  return given;
}

/** A getter could give another value each time, and do anything besides. */
function ownValue(headers: HeaderFields, name: string, field: string): HeaderValue {
  const descriptor = Object.getOwnPropertyDescriptor(headers, name);
  if (descriptor !== undefined && !("value" in descriptor))
    throw new HeaderError("bad-value", `${field}: a getter, not a value`, { field });
  return descriptor?.value as HeaderValue;
}

function checkValue(value: unknown, field: string): void {
  const printable =
    typeof value === "string" || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
  if (!printable && !(value instanceof Date))
    throw new HeaderError("bad-value", `${field}: must be a string, a number, a Date or an array of these`, { field });
}

/**
 * The Message-ID that stands in headers, or undefined.
 *
 * @throws {HeaderError} when it is no msg-id.
 */
export function givenMessageId(headers: HeaderFields): string | undefined {
  const name = Object.keys(headers).find((each) => each.toLowerCase() === "message-id");
  if (name === undefined) return undefined;
  const field = fieldOf(name);
  const value = ownValue(headers, name, field);
  if (value === undefined || value === null) return undefined;
  return checkMessageId(String(value), field);
}

/** The last message's author, for one who sends many messages is nearly always the same: 2 µs a message. */
let lastAuthors: { readonly from: string; readonly authors: readonly [Mailbox, ...Mailbox[]] } | undefined;
let lastFromField: { readonly authors: readonly Mailbox[]; readonly written: string } | undefined;

/** The mailboxes of From, of which there may be several, but no group. */
export function authorsOf(from: string): readonly [Mailbox, ...Mailbox[]] {
  if (lastAuthors?.from !== from) lastAuthors = { from, authors: parsedAuthors(from) };
  return lastAuthors.authors;
}

function fromField(authors: readonly Mailbox[]): string {
  if (lastFromField?.authors !== authors) lastFromField = { authors, written: addressField("From", authors) };
  return lastFromField.written;
}

function parsedAuthors(from: string): [Mailbox, ...Mailbox[]] {
  const plain = plainMailbox(from, "from");
  if (plain !== undefined) return [plain];
  const addresses = parseAddressList(from, "from");
  const [first, ...others] = addresses.filter((address) => "addrSpec" in address);
  if (first === undefined || others.length + 1 < addresses.length) {
    throw new AddressError("address-syntax", "from: must be one mailbox, or several with commas between", {
      field: "from",
    });
  }
  return [first, ...others];
}
