import type { Mailbox } from "../address/mailbox.ts";
import { HeaderError } from "../errors.ts";
import { encodedWords, looksEncoded } from "../mime/encoded-word.ts";
import { foldTokens, foldUnstructured } from "../mime/folding.ts";
import { hasControl, isAscii } from "../text.ts";

/** RFC 5322 section 3.6.8: printable US-ASCII without the colon; a name of more would leave its line no room. */
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]{1,76}$/;

/** A display name that needs neither quotes nor encoding: atoms with a space between (RFC 5322 section 3.2.5). */
const ATOMS = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?: [A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;

/** What is never broken has so many characters at most: with a field name of 76, a line has 998. */
const TOKEN_LENGTH = 900;

/** What the message writes itself; given in `headers`, one of two would be wrong. */
const WRITTEN_BY_MESSAGE: Readonly<Record<string, string>> = {
  from: "from",
  to: "to",
  cc: "cc",
  bcc: "bcc",
  "reply-to": "replyTo",
  subject: "subject",
  date: "date",
  "message-id": "messageId",
  "mime-version": "",
  "content-type": "",
  "content-transfer-encoding": "",
};

/**
 * The fields whose grammar knows no encoded-word: lists of msg-ids, URLs and keywords. They are folded at white space
 * only, so a URL is never broken.
 */
const STRUCTURED =
  /^(?:in-reply-to|references|auto-submitted|precedence|list-.*|x-priority|importance|priority|return-path|sender)$/i;

/** @throws {HeaderError} when the text has a control or is not Unicode; `field` names where it came from. */
export function checkHeaderText(text: string, field: string): string {
  if (typeof text !== "string") throw new HeaderError("bad-value", `${field}: not a string`, { field });
  if (hasControl(text))
    throw new HeaderError("header-control", `${field}: contains a line break or another control character`, { field });
  if (!text.isWellFormed()) throw new HeaderError("not-text", `${field}: contains a lone surrogate`, { field });
  return text;
}

/** A header field that the caller gave in `headers`. */
export function extraField(name: string, value: string): string {
  const field = `headers[${JSON.stringify(name)}]`;
  if (!FIELD_NAME.test(name))
    throw new HeaderError(
      "header-name",
      `${field}: a header field name is 1 to 76 printable ASCII characters without a colon`,
      { field },
    );
  const own = Object.hasOwn(WRITTEN_BY_MESSAGE, name.toLowerCase())
    ? WRITTEN_BY_MESSAGE[name.toLowerCase()]
    : undefined;
  if (own !== undefined) {
    const remedy = own === "" ? "the message writes it" : `use the message's ${own}`;
    throw new HeaderError("header-reserved", `${field}: not allowed in headers; ${remedy}`, { field });
  }
  checkHeaderText(value, field);
  return STRUCTURED.test(name) ? structuredField(name, value, field) : foldUnstructured(name, value);
}

function structuredField(name: string, value: string, field: string): string {
  if (!isAscii(value))
    throw new HeaderError("bad-value", `${field}: the grammar of this field allows ASCII only`, { field });
  const tokens = value.split(/[ \t]+/).filter((token) => token !== "");
  if (tokens.some((token) => token.length > TOKEN_LENGTH))
    throw new HeaderError("bad-value", `${field}: a word of it has more than ${TOKEN_LENGTH} characters`, { field });
  return foldTokens(name, tokens);
}

/** An address field: mailboxes with a comma between, folded behind the commas. */
export function mailboxField(name: string, mailboxes: readonly Mailbox[]): string {
  const tokens = mailboxes.flatMap((mailbox, index) => {
    const written = mailboxTokens(mailbox);
    if (index < mailboxes.length - 1) written.push(`${written.pop()},`);
    return written;
  });
  return foldTokens(name, tokens);
}

/** The parts of a mailbox between which its field may be folded. */
function mailboxTokens({ displayName, addrSpec }: Mailbox): string[] {
  if (displayName === "") return [addrSpec];
  return [...phraseTokens(displayName), `<${addrSpec}>`];
}

function phraseTokens(displayName: string): string[] {
  if (!isAscii(displayName) || looksEncoded(displayName) || displayName.includes("\t")) {
    return encodedWords(displayName, 60);
  }
  if (ATOMS.test(displayName)) return displayName.split(" ");
  const quoted = `"${displayName.replace(/["\\]/g, "\\$&")}"`;
  return quoted.length > TOKEN_LENGTH ? encodedWords(displayName, 60) : [quoted];
}
