import { type Address, parseAddressList } from "../address/mailbox.ts";
import { HeaderError } from "../errors.ts";
import { encodedWords, looksEncoded } from "../mime/encoded-word.ts";
import { foldTokens, foldUnstructured } from "../mime/folding.ts";
import { hasControl, isAscii } from "../text.ts";
import { checkDate, dateTime, isDateTime } from "./date-time.ts";

/** What a header field may be given as. Undefined and null are absent; of an array each element is a field. */
export type HeaderValue = string | number | boolean | Date | null | undefined | readonly (string | number | Date)[];

/** RFC 5322 section 3.6.8: printable US-ASCII without the colon; a name of more would leave its line no room. */
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]{1,76}$/;

/** A display name that needs neither quotes nor encoding: atoms with a space between (RFC 5322 section 3.2.5). */
const ATOMS = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;

/** What is never broken has so many characters at most: with a field name of 76, a line has 998. */
const TOKEN_LENGTH = 900;

/** The grammar of a field body. `words`: ASCII, folded at white space only, so that a URL or msg-id is never broken. */
type Grammar = "addresses" | "mailbox" | "date-time" | "words" | "unstructured";

const GRAMMAR: Readonly<Record<string, Grammar>> = {
  from: "addresses",
  sender: "mailbox",
  to: "addresses",
  cc: "addresses",
  "reply-to": "addresses",
  "resent-from": "addresses",
  "resent-sender": "mailbox",
  "resent-to": "addresses",
  "resent-cc": "addresses",
  "resent-reply-to": "addresses",
  "disposition-notification-to": "addresses",
  date: "date-time",
  "resent-date": "date-time",
  "message-id": "words",
  "resent-message-id": "words",
  "in-reply-to": "words",
  references: "words",
  "auto-submitted": "words",
  precedence: "words",
  priority: "words",
  importance: "words",
  "x-priority": "words",
  "return-path": "words",
};

/** Fields that the message writes itself and nobody else may; the value says what to use instead. */
const RESERVED: Readonly<Record<string, string>> = {
  bcc: "use the message's bcc",
  "resent-bcc": "recipients belong to the envelope",
  subject: "use the message's subject",
  "mime-version": "the message writes it",
  "content-type": "the message writes it",
  "content-transfer-encoding": "the message writes it",
};

function grammarOf(name: string): Grammar {
  const lower = name.toLowerCase();
  if (lower.startsWith("list-")) return "words";
  return Object.hasOwn(GRAMMAR, lower) ? (GRAMMAR[lower] ?? "unstructured") : "unstructured";
}

/** @throws {HeaderError} when the text has a control or is not Unicode; `field` names where it came from. */
export function checkHeaderText(text: string, field: string): string {
  if (hasControl(text))
    throw new HeaderError("header-control", `${field}: contains a line break or another control character`, { field });
  if (!text.isWellFormed()) throw new HeaderError("not-text", `${field}: contains a lone surrogate`, { field });
  return text;
}

/** @throws {HeaderError} when the name is none, or one that the message writes itself. */
export function checkFieldName(name: string): void {
  const field = fieldOf(name);
  if (!FIELD_NAME.test(name)) {
    throw new HeaderError(
      "header-name",
      `${field}: a header field name is 1 to 76 printable ASCII characters without a colon`,
      { field },
    );
  }
  const lower = name.toLowerCase();
  if (Object.hasOwn(RESERVED, lower))
    throw new HeaderError("header-reserved", `${field}: not allowed in headers; ${RESERVED[lower]}`, { field });
}

export function fieldOf(name: string): string {
  return `headers[${JSON.stringify(name)}]`;
}

/** A header field that the caller gave, by its grammar. */
export function headerField(name: string, value: string | number | boolean | Date): string {
  const field = fieldOf(name);
  if (value instanceof Date) return foldTokens(name, [dateTime(checkDate(value, field))]);
  const text = checkHeaderText(String(value), field);
  switch (grammarOf(name)) {
    case "addresses":
      return addressField(name, parseAddressList(text, field));
    case "mailbox":
      return addressField(name, one(parseAddressList(text, field), field));
    case "date-time":
      if (!isDateTime(text))
        throw new HeaderError("bad-value", `${field}: not a date such as Mon, 23 Nov 2026 09:00:00 +0000`, { field });
      return foldTokens(name, [text]);
    case "words":
      return wordsField(name, text, field);
    case "unstructured":
      return foldUnstructured(name, text);
  }
}

function one(addresses: readonly Address[], field: string): readonly Address[] {
  const [address] = addresses;
  if (addresses.length === 1 && address !== undefined && "addrSpec" in address) return addresses;
  throw new HeaderError("bad-value", `${field}: must be one mailbox`, { field });
}

function wordsField(name: string, text: string, field: string): string {
  if (!isAscii(text))
    throw new HeaderError("bad-value", `${field}: the grammar of this field allows ASCII only`, { field });
  const words = text.split(/[ \t]+/).filter((word) => word !== "");
  if (words.some((word) => word.length > TOKEN_LENGTH))
    throw new HeaderError("bad-value", `${field}: a word of it has more than ${TOKEN_LENGTH} characters`, { field });
  return foldTokens(name, words);
}

/** An address field: addresses with a comma between, folded behind the commas and inside display names. */
export function addressField(name: string, addresses: readonly Address[]): string {
  return foldTokens(name, listTokens(addresses, ""));
}

/** The parts between which the field may be folded; `end` stands right behind the last address. */
function listTokens(addresses: readonly Address[], end: string): string[] {
  const [first] = addresses;
  if (addresses.length === 1 && first !== undefined) return addressTokens(first, end);
  const last = addresses.length - 1;
  return addresses.flatMap((address, index) => addressTokens(address, index < last ? "," : end));
}

function addressTokens(address: Address, end: string): string[] {
  const { displayName } = address;
  if ("addrSpec" in address) {
    if (displayName === "") return [address.addrSpec + end];
    return phraseTokens(displayName).concat(`<${address.addrSpec}>${end}`);
  }
  const { mailboxes } = address;
  const phrase = phraseTokens(displayName);
  const name = `${phrase.at(-1) ?? '""'}:${mailboxes.length === 0 ? `;${end}` : ""}`;
  return [...phrase.slice(0, -1), name, ...listTokens(mailboxes, `;${end}`)];
}

function phraseTokens(displayName: string): string[] {
  if (ATOMS.test(displayName) && !looksEncoded(displayName)) return displayName.split(" ");
  if (!isAscii(displayName) || looksEncoded(displayName) || displayName.includes("\t"))
    return encodedWords(displayName, 60);
  const quoted = `"${displayName.replace(/["\\]/g, "\\$&")}"`;
  return quoted.length > TOKEN_LENGTH ? encodedWords(displayName, 60) : [quoted];
}
