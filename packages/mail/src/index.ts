export type {
  DeliverableMessage,
  DeliverOptions,
  DeliveryStatusRequest,
  EndOfData,
  Envelope,
  Phase,
  Receipt,
  ReceiptStatus,
  RecipientOutcome,
  RecipientStatus,
  Reply,
  StreamedMessage,
  Transport,
} from "./delivery.ts";
export {
  AddressError,
  AuthError,
  DeliveryError,
  ERROR_CODES,
  type ErrorCode,
  HeaderError,
  MessageError,
  PosthasteError,
  SettingsError,
  SmtpError,
  TimeoutError,
  TlsError,
} from "./errors.ts";
export { type Address, type Group, type Mailbox, parseAddressList, parseMailbox } from "./address/mailbox.ts";
export type { Alternative, AttachableMessage, Attachment, Content } from "./message/attachment.ts";
export type { HeaderValue } from "./message/header-field.ts";
export { Message, type MessageFields } from "./message/message.ts";
export { makeMessageId } from "./message/message-id.ts";
export { type Backend, type Environment, type MailSettings, mailSettings } from "./settings/environment.ts";
export {
  CHANNELS,
  type CommandEvent,
  type ConnectionEvent,
  logWire,
  type ReplyEvent,
  type VerdictEvent,
} from "./smtp/client/diagnostics.ts";
export {
  type ConnectTarget,
  isLoopback,
  type SmtpOptions,
  type SmtpTimeouts,
  type TlsMode,
} from "./smtp/client/options.ts";
export type { Credentials, PasswordCredentials, TokenCredentials } from "./smtp/sasl/mechanism.ts";
export { type ConsoleOptions, consoleTransport } from "./transport/console.ts";
export { type MemoryMessage, type MemoryTransport, memoryTransport } from "./transport/memory.ts";
export { smtpTransport } from "./transport/smtp.ts";
export { getConnection } from "./mailer/connection.ts";
export { EmailMessage, type SendOptions } from "./mailer/email-message.ts";
export { createMailer, type Mailer, type MailerOptions, type SendAllOptions } from "./mailer/mailer.ts";
export {
  type MailTuple,
  sendMail,
  type SendMailOptions,
  sendMassMail,
  type SendMassMailOptions,
} from "./mailer/send-mail.ts";
