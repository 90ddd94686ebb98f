import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import { isAscii } from "../text.ts";

/** RFC 5321 section 4.1.2: `sub-domain = Let-dig [Ldh-str]`; RFC 1035 section 2.3.4: a label has 63 octets at most. */
const SUB_DOMAIN = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";
const DOMAIN = new RegExp(`^${SUB_DOMAIN}(?:\\.${SUB_DOMAIN})*$`, "i");

/** RFC 1035 section 2.3.4: 255 octets on the wire, which is 253 as text. */
const DOMAIN_LENGTH = 253;

/** U+3002, U+FF0E and U+FF61 separate labels as the full stop does (UTS 46 section 2.3). */
const IDEOGRAPHIC_FULL_STOP = /[\u3002\uff0e\uff61]/g;

/**
 * The domain in the form that DNS and SMTP use: A-labels by UTS 46, non-transitional. ASCII is kept as it was written.
 *
 * `domainToASCII` is the URL standard's host parser, which does more than UTS 46: it cuts `ex/ample.com` at the slash,
 * decodes `%41`, reads `127.1` as an IPv4 address and passes labels of 64 characters. So what it may see is only
 * letters, digits, hyphens, dots and what is not ASCII, and what it gives is checked again.
 *
 * @returns undefined when the domain is not one.
 */
export function toALabels(domain: string): string | undefined {
  if (isAscii(domain)) return isDomain(domain) ? domain : undefined;
  if (/[^a-z0-9.\-\u0080-\u{10ffff}]/iu.test(domain)) return undefined;
  const dotted = domain.replace(IDEOGRAPHIC_FULL_STOP, ".");
  if (dotted.startsWith(".") || dotted.endsWith(".") || dotted.includes("..")) return undefined;
  const ascii = domainToASCII(dotted);
  return isDomain(ascii) && !isIPv4(ascii) ? ascii : undefined;
}

function isDomain(domain: string): boolean {
  return domain.length <= DOMAIN_LENGTH && DOMAIN.test(domain);
}

/**
 * `address-literal` of RFC 5321 section 4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`. The General-address-literal is
 * refused: no tag for it was ever registered.
 */
export function isAddressLiteral(domain: string): boolean {
  const content = /^\[(.*)\]$/.exec(domain)?.[1];
  if (content === undefined) return false;
  return /^IPv6:/i.test(content) ? isIPv6Address(content.slice(5)) : isIPv4(content);
}

/** Without a zone; `::` stands for two groups at least (RFC 5321 section 4.1.3), so beside it there are six at most. */
function isIPv6Address(address: string): boolean {
  if (!isIPv6(address) || address.includes("%")) return false;
  const groups = address.split(":").filter((group) => group !== "");
  const count = groups.length + (groups.at(-1)?.includes(".") === true ? 1 : 0);
  return !address.includes("::") || count <= 6;
}
