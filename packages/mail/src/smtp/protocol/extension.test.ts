import assert from "node:assert/strict";
import { test } from "node:test";
import { type Extensions, extensionsOf, type Limits, NO_EXTENSIONS } from "./extension.ts";

const offered = (...keywords: string[]): Extensions =>
  extensionsOf({ code: 250, lines: ["server.example", ...keywords] });

const CASES: readonly [keywords: string[], expected: Partial<Extensions>][] = [
  [[], {}],
  [
    ["PIPELINING", "chunking", "8BitMime", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "StartTLS"],
    {
      pipelining: true,
      chunking: true,
      eightBitMime: true,
      smtpUtf8: true,
      dsn: true,
      enhancedStatusCodes: true,
      startTls: true,
    },
  ],
  [["PIPELININGX", "X-PIPELINING", "XCHUNKING"], {}],
  [["PIPELINING "], { pipelining: true }],
  [[""], {}],
  [["SIZE"], { size: 0 }],
  [["SIZE 0"], { size: 0 }],
  [["size 52428800"], { size: 52_428_800 }],
  // RFC 1870 section 4 has up to 20 digits; what is no number limits nothing.
  [["SIZE 99999999999999999999"], { size: 1e20 }],
  [["SIZE 999999999999999999999"], { size: 0 }],
  [["SIZE -1"], { size: 0 }],
  [["SIZE 1e3"], { size: 0 }],
  [["AUTH PLAIN login", "AUTH=PLAIN XOAUTH2"], { auth: ["PLAIN", "LOGIN", "PLAIN", "XOAUTH2"] }],
  [["AUTH"], { auth: [] }],
];

for (const [keywords, expected] of CASES)
  test(`EHLO offers ${JSON.stringify(keywords)}`, () =>
    assert.deepEqual(offered(...keywords), { ...NO_EXTENSIONS, ...expected }));

test("the first line of the reply names the server, and offers nothing", () =>
  assert.deepEqual(extensionsOf({ code: 250, lines: ["PIPELINING"] }), NO_EXTENSIONS));

/** RFC 9422 section 3: numbers from 1 to 999999; a name that is not known, or a value that is none, is passed over. */
const LIMITS: readonly [keyword: string, expected: Limits][] = [
  ["LIMITS", {}],
  ["LIMITS RCPTMAX=20", { rcptMax: 20 }],
  ["LIMITS MAILMAX=5 RCPTMAX=100 RCPTDOMAINMAX=1", { mailMax: 5, rcptMax: 100, rcptDomainMax: 1 }],
  ["limits mailmax=5 RcptMax=7", { mailMax: 5, rcptMax: 7 }],
  ["LIMITS X=1 RCPTMAX=3  MAILMAX=999999", { mailMax: 999_999, rcptMax: 3 }],
  ["LIMITS RCPTMAX=0 MAILMAX=1000000 RCPTDOMAINMAX=-1", {}],
  ["LIMITS RCPTMAX=0x10 MAILMAX=1e3 RCPTDOMAINMAX=", {}],
  ["LIMITS RCPTMAX MAILMAX=007", {}],
  ["LIMITS __PROTO__=5 CONSTRUCTOR=5", {}],
];

for (const [keyword, expected] of LIMITS)
  test(`EHLO offers ${keyword}`, () => assert.deepEqual(offered(keyword).limits, expected));
