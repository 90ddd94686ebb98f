import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AddressError } from "../errors.ts";
import { parseAddressList, parseMailbox } from "./mailbox.ts";

const MAILBOXES: readonly [text: string, displayName: string, addrSpec: string][] = [
  ["kim@example.com", "", "kim@example.com"],
  ["<kim@example.com>", "", "kim@example.com"],
  ["김철수 <kim@example.com>", "김철수", "kim@example.com"],
  ['"Smith, John" <john@example.com>', "Smith, John", "john@example.com"],
  ['"a \\"b\\" \\\\c" <x@example.com>', 'a "b" \\c', "x@example.com"],
  ["J. R. Smith <jr@example.com>", "J. R. Smith", "jr@example.com"],
  ["St.Nick <x@example.com>", "St.Nick", "x@example.com"],
  ["  Kim   Lee  < kim@example.com > ", "Kim Lee", "kim@example.com"],
  ["Kim (the boss) <kim@example.com> (work)", "Kim", "kim@example.com"],
  ["kim@example.com (a (nested \\) comment))", "", "kim@example.com"],
  ["=?utf-8?q?typed?= <x@example.com>", "=?utf-8?q?typed?=", "x@example.com"],
  ["user+tag@example.com", "", "user+tag@example.com"],
  ['"with space"@example.com', "", '"with space"@example.com'],
  ['"plain"@example.com', "", "plain@example.com"],
  ['"a@b"@example.com', "", '"a@b"@example.com'],
  ["a . b @ example . com", "", "a.b@example.com"],
  ["x@[192.0.2.1]", "", "x@[192.0.2.1]"],
  ["x@[IPv6:2001:db8::1]", "", "x@[IPv6:2001:db8::1]"],
  ["x@faß.de", "", "x@xn--fa-hia.de"],
  ["x@한국.kr", "", "x@xn--3e0b707e.kr"],
  ["x@한국。kr", "", "x@xn--3e0b707e.kr"],
  ["사용자@example.com", "", "사용자@example.com"],
  ["root@localhost", "", "root@localhost"],
  ["X@Example.COM", "", "X@example.com"],
];

test("a mailbox is read as RFC 5322 means it", () => {
  for (const [text, displayName, addrSpec] of MAILBOXES) {
    assert.deepEqual(parseMailbox(text, "to"), { displayName, addrSpec }, text);
  }
});

test("the short way means the same as the scanner", () => {
  const unit = fc.constantFrom(
    "a",
    "김",
    "@",
    ".",
    " ",
    "<",
    ">",
    "x.com",
    '"',
    "(",
    ")",
    ",",
    "é",
    "\u2028",
    "-",
    "=?",
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 16 }), (text) => {
      const short = attempt(() => parseMailbox(text, "to"));
      const scanned = attempt(() => parseAddressList(text, "to"));
      if (short !== undefined) assert.deepEqual(scanned, [short]);
      else assert.ok(scanned?.length !== 1 || !("addrSpec" in scanned[0]!));
    }),
    { numRuns: 5000 },
  );
});

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}

const REFUSED: readonly string[] = [
  "",
  " ",
  "kim",
  "@",
  "@example.com",
  "kim@",
  "a@b@c",
  "<>",
  "kim <>",
  "kim@example.com>",
  "<kim@example.com",
  "a@x, b@y",
  "a@x; b@y",
  "team: a@x, b@y;",
  "(only a comment)",
  "Smith, John <john@example.com>",
  "kim lee@example.com",
  ".kim@example.com",
  "kim.@example.com",
  "kim..lee@example.com",
  '"unclosed@example.com',
  "kim (unclosed@example.com",
  "kim@exa mple.com",
  "kim@-example.com",
  "kim@example-.com",
  "kim@example..com",
  "kim@.example.com",
  "kim@example.com.",
  "kim@exa_mple.com",
  `kim@${"a".repeat(64)}.com`,
  `${"a".repeat(65)}@example.com`,
  `kim@${"abcdefgh.".repeat(30)}com`,
  "<@relay:kim@example.com>",
  "<@a,@b:kim@example.com>",
  "kim@[300.1.1.1]",
  "kim@[IPv6:xyz]",
  "kim@[]",
  "kim@[IPv6:fe80::1%eth0]",
  "kim@[192.0.2.1",
  "John [x] <a@b>",
  '"a\tb"@example.com',
  "<kim@example.com> extra",
  "a@x b@y",
  // One address must not mean two things: what the URL standard's host parser would make of these is another domain.
  "kim@ex/ample.com",
  "kim@한국/evil.com",
  "kim@한국%2eevil.com",
  "kim@한국?.com",
  "kim@한국#.com",
  "kim@한국:25",
  "kim@１２７.1",
  "kim@한국\\evil.com",
];

test("what is not one mailbox, or could mean two things, is refused and names the field", () => {
  for (const text of REFUSED) {
    assert.throws(
      () => parseMailbox(text, "to[3]"),
      (error) => error instanceof AddressError && error.field === "to[3]",
      text,
    );
  }
});

test("a line break, control or lone surrogate is refused as such", () => {
  for (const text of [
    "a@x\n",
    "a@x\r\nBcc: evil@x",
    "Kim\u0000 <a@x>",
    "Kim\u2028 <a@x>",
    "Kim\u0085 <a@x>",
    "\ud800 <a@x>",
  ]) {
    assert.throws(() => parseMailbox(text, "from"), { code: "address-control" }, JSON.stringify(text));
  }
});

test("what is no string is refused, not thrown at", () => {
  for (const value of [undefined, null, 7, {}, ["a@x"]])
    assert.throws(() => parseMailbox(value as string, "to"), AddressError);
});

test("two spellings of one mailbox compare equal", () => {
  const spellings = [
    ["x@EXAMPLE.com", '"x"@example.com', "x @ Example . COM", "X <x@example.com>"],
    ["x@[IPv6:2001:DB8::1]", "x@[ipv6:2001:db8::1]"],
    ["x@B\u00dcCHER.example", "x@xn--bcher-kva.example"],
  ];
  for (const [first = "", ...others] of spellings) {
    for (const other of others)
      assert.equal(parseMailbox(other, "to").addrSpec, parseMailbox(first, "to").addrSpec, other);
  }
});

test("an address has at most 254 octets", () => {
  const domain = `${"abcdefg.".repeat(24)}com`;
  assert.equal(parseMailbox(`${"x".repeat(254 - domain.length - 1)}@${domain}`, "to").addrSpec.length, 254);
  assert.throws(() => parseMailbox(`${"x".repeat(255 - domain.length - 1)}@${domain}`, "to"), {
    code: "address-length",
  });
});

test("an address list may have groups and empty elements", () => {
  assert.deepEqual(parseAddressList("a@x, , Team: b@y, Kim <c@z>;, undisclosed-recipients:;", "to"), [
    { displayName: "", addrSpec: "a@x" },
    {
      displayName: "Team",
      mailboxes: [
        { displayName: "", addrSpec: "b@y" },
        { displayName: "Kim", addrSpec: "c@z" },
      ],
    },
    { displayName: "undisclosed-recipients", mailboxes: [] },
  ]);
  for (const text of ["Team: a@x", "Team: Inner: a@x;;", ": a@x;", "Team: a@x; b@y"])
    assert.throws(() => parseAddressList(text, "to"), AddressError, text);
});

test("deep nesting and length cost linear time and no stack", () => {
  const depth = 200_000;
  assert.equal(parseAddressList(`${"(".repeat(depth)}${")".repeat(depth)} a@x`, "to").length, 1);
  assert.throws(() => parseAddressList("(".repeat(depth), "to"), AddressError);
  assert.throws(() => parseAddressList("a:".repeat(depth), "to"), AddressError);
  assert.throws(() => parseAddressList('"":'.repeat(depth), "to"), AddressError);
  assert.equal(parseAddressList(`"${"a\\\\".repeat(5_000_000)}" <a@x>`, "to").length, 1);
  assert.throws(() => parseAddressList('"'.repeat(depth) + "<", "to"), AddressError);
  assert.equal(parseAddressList("a@x,".repeat(depth), "to").length, depth);
});
