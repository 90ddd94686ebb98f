import type { Reply } from "../../delivery.ts";

/** What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1). */
export interface Extensions {
  /** RFC 2920. */
  readonly pipelining: boolean;
  /** RFC 1870: the most octets a message may have; 0 is no limit; undefined where SIZE is not offered. */
  readonly size: number | undefined;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtpUtf8: boolean;
  /** RFC 3207. */
  readonly startTls: boolean;
  /** RFC 4954: the SASL mechanisms, in capitals. */
  readonly auth: readonly string[];
}

export const NO_EXTENSIONS: Extensions = {
  pipelining: false,
  size: undefined,
  eightBitMime: false,
  smtpUtf8: false,
  startTls: false,
  auth: [],
};

/** RFC 1870 section 4: 1 to 20 digits. */
const SIZE_VALUE = /^[0-9]{1,20}$/;

/** Reads the EHLO reply's lines after the first: `ehlo-keyword *( SP ehlo-param )`, keywords in any case. */
export function extensionsOf(reply: Reply): Extensions {
  const offered = new Map<string, string[]>();
  for (const line of reply.lines.slice(1)) {
    // `AUTH=PLAIN LOGIN` is what servers wrote before RFC 4954, and some still write it beside the other.
    const [keyword = "", ...parameters] = line
      .replace(/^AUTH=/i, "AUTH ")
      .trim()
      .split(/ +/);
    const known = offered.get(keyword.toUpperCase()) ?? [];
    offered.set(keyword.toUpperCase(), [...known, ...parameters]);
  }
  const size = offered.get("SIZE");
  return {
    pipelining: offered.has("PIPELINING"),
    size: size === undefined ? undefined : SIZE_VALUE.test(size[0] ?? "") ? Number(size[0]) : 0,
    eightBitMime: offered.has("8BITMIME"),
    smtpUtf8: offered.has("SMTPUTF8"),
    startTls: offered.has("STARTTLS"),
    auth: (offered.get("AUTH") ?? []).map((mechanism) => mechanism.toUpperCase()),
  };
}
