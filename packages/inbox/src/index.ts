export { createInbox } from "./inbox.ts";
export type { Inbox, InboxOptions } from "./inbox.ts";
export type { HeaderField, InboxAttachment, InboxMessage, InboxMailbox } from "./message.ts";
export type { WaitOptions } from "./waiting.ts";
