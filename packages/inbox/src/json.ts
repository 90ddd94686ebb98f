import type { InboxAttachment, InboxMessage } from "./message.ts";

/** What the list says of a message. */
export function summaryJson({ id, messageId, from, to, subject, date, envelope, session }: InboxMessage): object {
  return { id, messageId, from, to, subject, date: date?.toISOString() ?? null, envelope, session };
}

/** All that is known of a message but the bytes of its attachments and of itself. */
export function messageJson(message: InboxMessage): object {
  const { cc, receivedAt, headers, text, html, links, attachments, raw, undecodable } = message;
  return {
    ...summaryJson(message),
    cc,
    receivedAt: receivedAt.toISOString(),
    size: raw.byteLength,
    headers,
    text,
    html,
    links,
    attachments: attachments.map(attachmentJson),
    ...(undecodable === undefined ? {} : { undecodable }),
  };
}

/** `index` is what stands for `:n` in the path of the attachment's content. */
function attachmentJson(
  { filename, contentType, disposition, contentId, content }: InboxAttachment,
  index: number,
): object {
  return { index, filename, contentType, disposition, contentId, size: content.byteLength };
}
