import type { Envelope } from "posthaste";

/** A mailbox in RFC 5322's sense (section 3.4): what stands in From, To and Cc. */
export interface InboxMailbox {
  /** The display-name, decoded; empty when there is none. */
  readonly name: string;
  /** The addr-spec as the header field spells it; may be empty or no address at all in a broken message. */
  readonly address: string;
}

/** One header field, in the order of the message. */
export interface HeaderField {
  /** The field name as the message spells it. */
  readonly name: string;
  /** The field body: unfolded, encoded-words decoded (RFC 2047). */
  readonly body: string;
}

/** A body part that is neither the text nor the HTML of the message. An attached message stays whole. */
export interface InboxAttachment {
  /** The decoded file name as the sender gave it, which may hold a path or controls; null when there is none. */
  readonly filename: string | null;
  /** The media type, in lower case, without parameters. */
  readonly contentType: string;
  /** `attachment`, `inline` or what else Content-Disposition says; null when there is none. */
  readonly disposition: string | null;
  /** The Content-ID without its angle brackets; null when there is none. */
  readonly contentId: string | null;
  /** The decoded content. */
  readonly content: Uint8Array;
}

/** One message in the inbox, as it was received over SMTP and decoded. */
export interface InboxMessage {
  /** Names the message in this inbox; made by the inbox, unique over restarts. */
  readonly id: string;
  /** Unique per SMTP connection: two messages with the same value came over one session. */
  readonly session: string;
  /** What the client said in MAIL and RCPT. */
  readonly envelope: Envelope;
  /** When the end of data came. */
  readonly receivedAt: Date;
  /** The Message-ID with its angle brackets; empty when there is none. */
  readonly messageId: string;
  /** The first mailbox of From; null when there is none. */
  readonly from: InboxMailbox | null;
  /** The mailboxes of To, groups resolved into their members. */
  readonly to: readonly InboxMailbox[];
  /** The mailboxes of Cc, groups resolved into their members. */
  readonly cc: readonly InboxMailbox[];
  /** The decoded subject; empty when there is none. */
  readonly subject: string;
  /** The Date field; null when there is none or it is no date. */
  readonly date: Date | null;
  /** Every header field, in the order of the message, repeated ones as often as they came. */
  readonly headers: readonly HeaderField[];
  /** The plain text, lines ended by LF; empty when there is none. */
  readonly text: string;
  /** The HTML as sent, scripts and all: never put it into a page. Empty when there is none. */
  readonly html: string;
  /** The absolute http and https links of text and HTML, each once, in order; at most 1000. */
  readonly links: readonly string[];
  /** In the order of the message, inline images among them; empty when there is none. */
  readonly attachments: readonly InboxAttachment[];
  /** The content exactly as received, transparency (RFC 5321 section 4.5.2) undone. */
  readonly raw: Uint8Array;
  /** Why the message could not be decoded; then only id, session, envelope, receivedAt and raw say anything. */
  readonly undecodable?: string;
}

/** What SMTP alone knows of a message. */
export interface ReceivedMessage {
  readonly session: string;
  readonly envelope: Envelope;
  readonly raw: Uint8Array;
}
