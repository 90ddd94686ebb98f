import { randomUUID } from "node:crypto";
import PostalMime, { decodeWords } from "postal-mime";
import type { Address, Attachment, Email } from "postal-mime";
import { extractLinks } from "./links.ts";
import type { HeaderField, InboxAttachment, InboxMessage, InboxMailbox, ReceivedMessage } from "./message.ts";

/**
 * What is decoded at all; a message beyond it is kept and shown by its source.
 * Lines: 25 MiB of base64 are 345,000 lines. postal-mime keeps a Blob part for each line of a body that is not base64,
 * which costs about 15 µs and 3 kB a line (Node 24.21): 400,000 take 6 s and 1.3 GB, 3 million 46 s and 4.4 GB.
 * Delimiters: lines that begin with `--`, since each may open a body part; 10,000 parts take 0.3 s, 200,000 take 8 s.
 */
const MAX_LINES = 400_000;
const MAX_DELIMITERS = 10_000;

const PARSER_OPTIONS = {
  // An attached message is an attachment. Inlined, as postal-mime does by default, its parts would pass for parts of
  // this message, and one in base64 would slip past the count of delimiters.
  forceRfc822Attachments: true,
  maxNestingDepth: 100,
  // Room for a To field with 1,000 recipients ten times over.
  maxHeadersSize: 1024 * 1024,
};

/** Decodes what was received. Never rejects: what cannot be decoded says so in `undecodable`. */
export async function decodeMessage(received: ReceivedMessage): Promise<InboxMessage> {
  const known = { ...received, id: randomUUID(), receivedAt: new Date() };
  const excess = findExcess(received.raw);
  if (excess !== undefined) return { ...known, ...NOTHING_DECODED, undecodable: excess };
  try {
    return { ...known, ...decoded(await PostalMime.parse(received.raw, PARSER_OPTIONS)) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : "it is not a message";
    return { ...known, ...NOTHING_DECODED, undecodable: reason };
  }
}

type Decoded = Omit<InboxMessage, "id" | "session" | "envelope" | "receivedAt" | "raw" | "undecodable">;

const NOTHING_DECODED: Decoded = {
  messageId: "",
  from: null,
  to: [],
  cc: [],
  subject: "",
  date: null,
  headers: [],
  text: "",
  html: "",
  links: [],
  attachments: [],
};

function decoded(email: Email): Decoded {
  const text = email.text ?? "";
  const html = email.html ?? "";
  return {
    messageId: email.messageId ?? "",
    from: mailboxes(email.from === undefined ? [] : [email.from])[0] ?? null,
    to: mailboxes(email.to ?? []),
    cc: mailboxes(email.cc ?? []),
    subject: email.subject ?? "",
    date: parseDate(email.date),
    headers: email.headers.map(({ originalKey, value }): HeaderField => ({
      name: originalKey,
      body: decodeWords(value),
    })),
    text,
    html,
    links: extractLinks(text, html),
    attachments: email.attachments.map(attachment),
  };
}

function mailboxes(addresses: readonly Address[]): InboxMailbox[] {
  return addresses
    .flatMap((address) => address.group ?? [address])
    .map(({ name, address }) => ({ name, address: address ?? "" }));
}

function parseDate(text: string | undefined): Date | null {
  const date = new Date(text ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}

function attachment({ filename, mimeType, disposition, contentId, content }: Attachment): InboxAttachment {
  return {
    filename,
    contentType: mimeType,
    disposition,
    contentId: contentId?.replace(/^<|>$/g, "") ?? null,
    content: typeof content === "string" ? Buffer.from(content) : new Uint8Array(content),
  };
}

const LF = 0x0a;
const HYPHEN = 0x2d;

/** Why the message is not given to the parser, or undefined. */
function findExcess(raw: Uint8Array): string | undefined {
  let lines = 1;
  let delimiters = 0;
  for (let at = raw.indexOf(LF); at !== -1; at = raw.indexOf(LF, at + 1)) {
    lines += 1;
    if (raw[at + 1] === HYPHEN && raw[at + 2] === HYPHEN) delimiters += 1;
  }
  if (lines > MAX_LINES) return `it has more than ${MAX_LINES} lines`;
  if (delimiters > MAX_DELIMITERS) return `it has more than ${MAX_DELIMITERS} lines that begin with "--"`;
  return undefined;
}
