import { domainToUnicode } from "node:url";
import { AddressError, parseMailbox } from "posthaste";

/** An address as typed, as SMTP wants it, and as the database compares it. */
export interface EmailAddress {
  readonly typed: string;
  /** The forward-path: the domain in A-labels. */
  readonly addrSpec: string;
  /** Equal for two spellings of one address: local-part in NFC with ASCII lower-cased, domain in A-labels. */
  readonly key: string;
}

/**
 * A dot-atom, an @ and a name. The rest of RFC 5322 (quoted local-parts, comments, names, address literals) is refused
 * at sign-up, and so are invisible characters: nobody has such an address, and `x@[127.0.0.1]` would aim the mailer at a host of the stranger's choice.
 */
const PLAIN = /^[^\s\p{Cc}\p{Cf}"(),:;<>@[\]\\]+@[^\s\p{Cc}\p{Cf}"(),:;<>@[\]\\]+$/u;

/**
 * Reads what somebody typed as their address. What the mail library cannot send to is refused here.
 *
 * @throws {AddressError} when it is no address, or one that only looks like another.
 */
export function parseEmail(typed: string): EmailAddress {
  if (!PLAIN.test(typed)) throw addressError();
  const { addrSpec } = parseMailbox(typed, "email");
  const at = typed.lastIndexOf("@");
  const local = typed.slice(0, at);
  const aLabels = addrSpec.slice(addrSpec.lastIndexOf("@") + 1);
  if (!isStable(typed) || !readsBack(typed.slice(at + 1), aLabels)) throw addressError();
  return { typed, addrSpec, key: `${asciiLowerCase(local.normalize("NFC"))}@${asciiLowerCase(aLabels)}` };
}

/**
 * NFC turns the Kelvin sign into K and U+1FEF into a grave accent: an address that becomes somebody else's. Lower-casing
 * beyond ASCII would do the same with the dotless and the dotted i, hence {@link asciiLowerCase}.
 */
function isStable(text: string): boolean {
  return Array.from(text).every((character) => character <= "\x7f" || character.normalize("NFC") > "\x7f");
}

/** UTS 46 maps full-width letters and the Kelvin sign to ASCII; a domain that does not read back as typed is refused. */
function readsBack(domain: string, aLabels: string): boolean {
  return /^[\0-\x7f]*$/.test(domain) || domainToUnicode(aLabels) === domain.normalize("NFC").toLowerCase();
}

function asciiLowerCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function addressError(): AddressError {
  return new AddressError("address-syntax", "email: not a plain e-mail address such as kim@example.com", {
    field: "email",
  });
}
