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
export { type Environment, mailSettings, mailSettingsFrom, type SettingsObject } from "./settings/environment.ts";
export type { Backend, MailerSettings, MailSettings } from "./settings/mail-settings.ts";
export type { MailerDefinition } from "./settings/mailers.ts";
export {
  CHANNELS,
  type CommandEvent,
  type ConnectionEvent,
  logWire,
  type ReplyEvent,
  type TlsDetails,
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
export { dummyTransport } from "./transport/dummy.ts";
export { failover, roundRobin } from "./transport/failover.ts";
export { type FileOptions, fileTransport } from "./transport/file.ts";
export type { FailoverOptions, MembersAndOptions } from "./transport/member.ts";
export {
  type MemoryMessage,
  type MemoryQuery,
  type MemorySearch,
  type MemoryTransport,
  memoryTransport,
  type WaitOptions,
} from "./transport/memory.ts";
export {
  fromNodemailer,
  type FromNodemailerOptions,
  type NodemailerMail,
  type NodemailerPlugin,
  type NodemailerTransporter,
} from "./transport/nodemailer.ts";
export type { ReadAttachment, ReadMessage } from "./transport/reading.ts";
export { smtpTransport } from "./transport/smtp.ts";
export type { CredentialOptions, SendOptions } from "./mailer/choice.ts";
export { type ConnectionOptions, getConnection } from "./mailer/connection.ts";
export { EmailMessage } from "./mailer/email-message.ts";
export { createMailer, type Mailer, type MailPeopleOptions, type SendAllOptions } from "./mailer/mailer.ts";
export type { Interceptor, MailerOptions, Observer, Suppression } from "./mailer/mailer-options.ts";
export { ErrorMailHandler, type ErrorMailOptions } from "./mailer/error-mail-handler.ts";
export { createMailers, type Mailers, mailers } from "./mailer/mailers.ts";
export {
  type NodemailerInfo,
  type NodemailerMailer,
  type NodemailerMessage,
  toNodemailer,
  type ToNodemailerOptions,
} from "./mailer/nodemailer.ts";
export type { BackendFactory } from "./mailer/module-transport.ts";
export type { Progress } from "./mailer/watching.ts";
export {
  mailAdmins,
  type MailAdminsOptions,
  mailManagers,
  type MailTuple,
  sendMail,
  type SendMailOptions,
  sendMassMail,
  type SendMassMailOptions,
} from "./mailer/send-mail.ts";
