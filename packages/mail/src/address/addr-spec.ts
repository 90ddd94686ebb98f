import { AddressError } from "../errors.ts";
import { hasControl } from "../text.ts";
import { isAddressLiteral, toALabels } from "./domain.ts";

/** RFC 5321 section 4.5.3.1.1. */
const LOCAL_PART_OCTETS = 64;
/** RFC 5321 section 4.5.3.1.3: a path has 256 octets with its angle brackets. */
const ADDR_SPEC_OCTETS = 254;

/** RFC 5322 section 3.2.3 `dot-atom-text`, with RFC 6531's UTF8-non-ascii. */
const ATEXT = '[^\\0-\\x20\\x7f"(),.:;<>@[\\]\\\\]';
const DOT_ATOM_TEXT = new RegExp(`^${ATEXT}+(?:\\.${ATEXT}+)*$`);

/** Whether the text needs no quotes as a local-part. */
function isDotAtom(text: string): boolean {
  return DOT_ATOM_TEXT.test(text);
}

/**
 * An addr-spec in the one form in which Posthaste writes it: the local-part quoted only where it must be, the domain in
 * lower-case A-labels or an address literal. So two spellings of one mailbox compare equal; only the local-part's case
 * is its host's to judge (RFC 5321 section 2.4).
 *
 * @param localPart the local-part's meaning, without quotes.
 * @throws {AddressError} naming the field, when RFC 5321 does not allow the address.
 */
export function addrSpec(localPart: string, domain: string, field: string): string {
  if (localPart === "") throw syntaxError(field, "nothing stands before the @");
  if (localPart.includes("\t")) throw syntaxError(field, "RFC 5321 allows no TAB before the @");
  if (domain === "") throw syntaxError(field, "nothing stands behind the @");
  const host = domain.startsWith("[") ? addressLiteral(domain) : toALabels(domain)?.toLowerCase();
  if (host === undefined) throw syntaxError(field, "what stands behind the @ is no domain name");
  const local = isDotAtom(localPart) ? localPart : `"${localPart.replace(/["\\]/g, "\\$&")}"`;
  const written = `${local}@${host}`;
  if (octets(local) > LOCAL_PART_OCTETS || octets(written) > ADDR_SPEC_OCTETS) {
    throw tooLong(field);
  }
  return written;
}

function addressLiteral(domain: string): string | undefined {
  return isAddressLiteral(domain) ? domain.toLowerCase().replace("[ipv6:", "[IPv6:") : undefined;
}

/** RFC 5321 section 4.1.2: `Mailbox = Local-part "@" ( Domain / address-literal )`, with RFC 6531's UTF8-non-ascii. */
const MAILBOX =
  /^(?:([^\0-\x20\x7f"(),:;<>@[\]\\]+)|"((?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\uffff]|\\[\x20-\x7e])*)")@([^\s()]+)$/;

/**
 * A path as SMTP has it: no comment, no white space, no display name.
 *
 * @throws {AddressError} naming the field.
 */
export function parsePath(text: string, field: string): string {
  const [found, dotAtom, quoted = "", domain = ""] = hasControl(text) ? [] : (MAILBOX.exec(text) ?? []);
  if (found === undefined || (dotAtom !== undefined && !isDotAtom(dotAtom)) || !text.isWellFormed()) {
    throw syntaxError(field, "it is no local-part@domain");
  }
  if (octets(text.slice(0, text.lastIndexOf("@"))) > LOCAL_PART_OCTETS) throw tooLong(field);
  return addrSpec(dotAtom ?? quoted.replace(/\\(.)/g, "$1"), domain, field);
}

/** The domain of an addr-spec in canonical form. */
export function domainOf(addrSpec: string): string {
  return addrSpec.slice(addrSpec.lastIndexOf("@") + 1);
}

function tooLong(field: string): AddressError {
  const message = `${field}: the address is too long; 64 octets may stand before the @, 254 in all`;
  return new AddressError("address-length", message, { field });
}

export function syntaxError(field: string, reason: string): AddressError {
  return new AddressError("address-syntax", `${field}: not an e-mail address: ${reason}`, { field });
}

function octets(text: string): number {
  return Buffer.byteLength(text);
}
