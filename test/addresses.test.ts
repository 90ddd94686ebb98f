import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Address, type Mailbox, parseAddressList } from "posthaste";
import { parsePath } from "../packages/mail/src/address/addr-spec.ts";

function lines<T>(file: string): T[] {
  const text = readFileSync(join(import.meta.dirname, "vectors/addresses", file), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);
}

interface IsEmail {
  readonly id: string;
  readonly address: string;
  /** Null: the suite calls it valid, and RFC 5321 is silent. */
  readonly valid_envelope: boolean | null;
  readonly valid_header: boolean;
}

const ISEMAIL = lines<IsEmail>("isemail.jsonl");

const accepts = (parse: () => unknown): boolean => {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
};

test("no address that RFC 5321 refuses is accepted for an envelope, and every plain valid one is", () => {
  assert.equal(ISEMAIL.length, 164);
  for (const { id, address, valid_envelope: valid } of ISEMAIL) {
    const accepted = accepts(() => parsePath(address, "forwardPaths[0]"));
    if (valid === false) assert.equal(accepted, false, `${id}: ${address}`);
    // An empty quoted local-part is legal, and nobody's.
    if (valid === true && !address.startsWith('""@')) assert.equal(accepted, true, `${id}: ${address}`);
  }
});

test("what is read of a header field is written so that it is an envelope's address", () => {
  for (const { id, address } of ISEMAIL) {
    if (!accepts(() => parseAddressList(address, "to"))) continue;
    for (const mailbox of parseAddressList(address, "to")) {
      assert.ok("addrSpec" in mailbox && parsePath(mailbox.addrSpec, "to") === mailbox.addrSpec, `${id}: ${address}`);
    }
  }
});

interface ExampleMailbox {
  readonly name: string;
  readonly address: string;
}

interface Example {
  readonly id: string;
  readonly input: string;
  readonly expected: readonly (
    ExampleMailbox | { readonly group: string; readonly members: readonly ExampleMailbox[] }
  )[];
}

/** Its source route is obsolete, and every server may take it for another address (RFC 5321 section 3.3). */
const SOURCE_ROUTE = "rfc5322-A.6.1-10";

test("the examples of RFC 5322 appendix A mean what it says", () => {
  for (const { id, input, expected } of lines<Example>("rfc5322_appendix_a.jsonl")) {
    const unfolded = input.replace(/\r?\n/g, "");
    if (id === SOURCE_ROUTE) assert.throws(() => parseAddressList(unfolded, "to"));
    else assert.deepEqual(parseAddressList(unfolded, "to"), expected.map(meaning), id);
  }
});

function meaning(example: Example["expected"][number]): Address {
  if ("address" in example) return { displayName: example.name, addrSpec: example.address };
  return { displayName: example.group, mailboxes: example.members.map(meaning) as Mailbox[] };
}
