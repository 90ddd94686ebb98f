import { parseMailbox } from "../address/mailbox.ts";
import type { Envelope } from "../delivery.ts";
import { MessageError } from "../errors.ts";
import { readMessage } from "./reading.ts";

/** A message as the fields of nodemailer's data. */
export interface NodemailerFields {
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly headers: readonly { readonly key: string; readonly value: string }[];
  readonly attachments: readonly object[];
}

/** What has a field of its own, or what whoever composes the message anew writes. */
const OWN = new Set([
  ...["from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id"],
  ...["mime-version", "content-type", "content-transfer-encoding"],
]);

/**
 * The fields of a message that somebody else composes anew. He sends it to To, Cc and Bcc, so these are made to be the
 * envelope: who is in neither To nor Cc becomes Bcc.
 *
 * @throws {MessageError} when To or Cc names somebody to whom the message is not to go.
 */
export function fieldsOf(octets: Uint8Array, { forwardPaths }: Envelope): NodemailerFields {
  const { fields, from, to, cc, replyTo, subject, text, html, attachments } = readMessage(octets);
  const named = new Set([...specsOf(to, "to"), ...specsOf(cc, "cc")]);
  const left = [...named].some((path) => !forwardPaths.includes(path));
  if (left) {
    const message =
      "to: To or Cc names somebody whom the envelope leaves out, and who would get the message all the same";
    throw new MessageError("bad-value", message, { field: "to" });
  }
  const others = fields.filter(([name]) => !OWN.has(name.toLowerCase()));
  return {
    ...{ from, to, cc, replyTo, subject },
    bcc: forwardPaths.filter((path) => !named.has(path)),
    ...(text !== "" && { text }),
    ...(html !== "" && { html }),
    headers: others.map(([key, value]) => ({ key, value })),
    attachments: attachments.map(({ filename, contentType, cid, content }) => ({
      filename: filename ?? false,
      contentType,
      content: Buffer.from(content.buffer, content.byteOffset, content.length),
      ...(cid !== undefined && { cid }),
    })),
  };
}

function specsOf(mailboxes: readonly string[], field: string): string[] {
  return mailboxes.map((mailbox) => parseMailbox(mailbox, field).addrSpec);
}
