import type { Reply } from "../../delivery.ts";

/** What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1). */
export interface Extensions {
  /** RFC 2920. */
  readonly pipelining: boolean;
  /** RFC 3030. */
  readonly chunking: boolean;
  /** RFC 1870: the most octets a message may have; 0 is no limit; undefined where SIZE is not offered. */
  readonly size: number | undefined;
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531. */
  readonly smtpUtf8: boolean;
  /** RFC 3461. */
  readonly dsn: boolean;
  /** RFC 2034. */
  readonly enhancedStatusCodes: boolean;
  /** RFC 3207. */
  readonly startTls: boolean;
  /** RFC 4954: the SASL mechanisms, in capitals. */
  readonly auth: readonly string[];
  /** RFC 9422. */
  readonly limits: Limits;
}

/** RFC 9422: what a server says it takes; undefined where it does not say. */
export interface Limits {
  /** Transactions in one session. */
  readonly mailMax?: number;
  /** Recipients in one transaction. */
  readonly rcptMax?: number;
  /** Domains among the recipients of one session. */
  readonly rcptDomainMax?: number;
}

export const NO_EXTENSIONS: Extensions = {
  pipelining: false,
  chunking: false,
  size: undefined,
  eightBitMime: false,
  smtpUtf8: false,
  dsn: false,
  enhancedStatusCodes: false,
  startTls: false,
  auth: [],
  limits: {},
};

/** RFC 1870 section 4: 1 to 20 digits. */
const SIZE_VALUE = /^[0-9]{1,20}$/;

/** RFC 9422 section 3: `Limit-Name = Limit-Value`, of which the registered ones are numbers from 1 to 999999. */
const LIMIT = /^(MAILMAX|RCPTMAX|RCPTDOMAINMAX)=([1-9][0-9]{0,5})$/i;

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
    chunking: offered.has("CHUNKING"),
    size: size === undefined ? undefined : SIZE_VALUE.test(size[0] ?? "") ? Number(size[0]) : 0,
    eightBitMime: offered.has("8BITMIME"),
    smtpUtf8: offered.has("SMTPUTF8"),
    dsn: offered.has("DSN"),
    enhancedStatusCodes: offered.has("ENHANCEDSTATUSCODES"),
    startTls: offered.has("STARTTLS"),
    auth: (offered.get("AUTH") ?? []).map((mechanism) => mechanism.toUpperCase()),
    limits: limitsOf(offered.get("LIMITS") ?? []),
  };
}

function limitsOf(parameters: readonly string[]): Limits {
  const found: Record<string, number> = {};
  for (const parameter of parameters) {
    const [, name = "", value] = LIMIT.exec(parameter) ?? [];
    if (value !== undefined) found[name.toUpperCase()] = Number(value);
  }
  const { MAILMAX: mailMax, RCPTMAX: rcptMax, RCPTDOMAINMAX: rcptDomainMax } = found;
  return {
    ...(mailMax !== undefined && { mailMax }),
    ...(rcptMax !== undefined && { rcptMax }),
    ...(rcptDomainMax !== undefined && { rcptDomainMax }),
  };
}
