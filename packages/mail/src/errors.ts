import type { Receipt, Reply } from "./delivery.ts";

/**
 * The error classes of Posthaste and the register of their codes.
 *
 * A code is stable: programs compare it, people look it up. The title says what happened, the fix what to do about it.
 * An error names the setting or field that it is about; it never carries a secret, nor the value of a setting.
 */
export const ERROR_CODES = {
  "bad-setting": {
    title: "a setting has a value that is not allowed",
    fix: "set it to one of the values that the message lists",
  },
  "missing-setting": { title: "a setting that is needed is not set", fix: "set it" },
  "conflicting-settings": { title: "two settings or options contradict each other", fix: "keep one of them" },
  "unknown-setting": {
    title: "there is no setting or option of this name",
    fix: "correct the name, or leave it out",
  },
  "unknown-mailer": {
    title: "no mailer of this name is in the settings",
    fix: "name one that MAILERS has, or add it there",
  },
  "address-syntax": { title: "an address is not what RFC 5321 and RFC 5322 allow", fix: "correct the address" },
  "address-control": {
    title: "an address contains a line break or control character",
    fix: "remove it; it is often an attempt to inject headers",
  },
  "address-length": {
    title: "an address is longer than RFC 5321 section 4.5.3.1 allows",
    fix: "use at most 64 octets before the @ and 254 in all",
  },
  "header-control": {
    title: "a header field contains a line break or control character",
    fix: "remove it; it is often an attempt to inject headers",
  },
  "header-name": { title: "a header field name is not printable ASCII without a colon", fix: "correct the name" },
  "header-reserved": {
    title: "a header field that the message writes itself was given in headers",
    fix: "use the field of the message that is meant for it",
  },
  "not-text": {
    title: "a text holds a lone surrogate, so it is not Unicode text",
    fix: "repair the string where it was made",
  },
  "bad-value": {
    title: "a field has a value of the wrong type or out of range",
    fix: "pass what the field's documentation names",
  },
  "no-recipients": { title: "the message has no recipient", fix: "fill to, cc or bcc" },
  streamed: {
    title: "the message has streamed content, so there are no bytes to have at once",
    fix: "use toStream(), or attach the content itself",
  },
  unreadable: {
    title: "a file cannot be attached, or changed after it was",
    fix: "check the path, and attach the file when it is complete",
  },
  frozen: { title: "the message was rendered, and its bytes do not change any more", fix: "make a new message" },
  refused: {
    title: "the server refused the message, or all of its recipients, for good",
    fix: "read the reply in the receipt",
  },
  suppressed: {
    title: "recipients stand on the suppression list, so the message was not sent to them",
    fix: "leave them out, or take them off the list if they want mail again",
  },
  deferred: {
    title: "the message was not accepted now; a later attempt may succeed",
    fix: "try again later, or use the outbox, which does",
  },
  unknown: {
    title: "the connection died between the end of data and its reply, so the message may have been accepted",
    fix: "look into the server's log before sending again",
  },
  incomplete: { title: "some messages were not accepted", fix: "read the receipts of the error" },
  aborted: { title: "the caller aborted", fix: "none" },
  connect: {
    title: "no connection to the server could be made",
    fix: "check EMAIL_HOST and EMAIL_PORT, and that the server runs",
  },
  "connection-lost": { title: "the connection died before the server replied", fix: "try again" },
  "unexpected-reply": { title: "the server refused a command that the session needs", fix: "read the reply" },
  protocol: {
    title: "the server broke the SMTP protocol",
    fix: "check that EMAIL_HOST and EMAIL_PORT name an SMTP server, and that EMAIL_USE_SSL fits its port",
  },
  "extension-missing": {
    title: "the message needs an extension that the server does not offer",
    fix: "change the message or the server",
  },
  "too-large": { title: "the message is larger than the server accepts", fix: "make it smaller" },
  "starttls-missing": {
    title: "the server offers no STARTTLS, but it is required",
    fix: "use EMAIL_USE_SSL with the implicit-TLS port (465), or a server that offers STARTTLS",
  },
  "starttls-refused": {
    title: "the server refused STARTTLS",
    fix: "try again, or use EMAIL_USE_SSL with the implicit-TLS port (465)",
  },
  "starttls-injection": {
    title: "bytes followed the reply to STARTTLS in clear; somebody may be tampering with the connection",
    fix: "do not use this network or server",
  },
  handshake: { title: "the TLS handshake failed", fix: "check the port, the certificate and its authority" },
  "auth-refused": { title: "the server refused the credentials", fix: "check EMAIL_HOST_USER and EMAIL_HOST_PASSWORD" },
  "auth-missing": {
    title: "the server offers no authentication mechanism that this client has",
    fix: "check the port, and that TLS is on",
  },
  "token-unavailable": {
    title: "the function that gives the access token failed",
    fix: "read the cause of the error",
  },
  "server-unproved": {
    title: "the server took the credentials without proving that it knows them (SCRAM)",
    fix: "check the host and its certificate; somebody may stand between",
  },
  "auth-in-clear": { title: "credentials would travel in clear to another host", fix: "use TLS" },
  timeout: {
    title: "what was waited for did not come in time",
    fix: "try again, or allow more time; for SMTP raise EMAIL_TIMEOUT",
  },
} as const satisfies Record<string, { title: string; fix: string }>;

/** A code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What every error of Posthaste may carry. */
export interface ErrorDetails {
  /** The field of the message, envelope or options that the error is about, such as `subject` or `headers["X-Id"]`. */
  readonly field?: string | undefined;
  /** The name of the setting that the error is about, such as `EMAIL_PORT`. */
  readonly setting?: string | undefined;
  /** What was caught, such as the system's error. Default: none. */
  readonly cause?: unknown;
}

/** The base of every error that Posthaste makes. */
export abstract class PosthasteError extends Error {
  /** Stable; the meaning and the remedy stand in {@link ERROR_CODES}. */
  readonly code: ErrorCode;
  /** The field of the message, envelope or options that the error is about, such as `subject` or `headers["X-Id"]`. */
  readonly field?: string;
  /** The name of the setting that the error is about, such as `EMAIL_PORT`; its value never appears. */
  readonly setting?: string;
  /** Where an error ended a series of messages: the index of the first message that was not tried. */
  nextIndex?: number;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    if (details.field !== undefined) this.field = details.field;
    if (details.setting !== undefined) this.setting = details.setting;
  }
}

/** A setting is missing, contradicts another or has a value that is not allowed. Names the setting, never its value. */
export class SettingsError extends PosthasteError {}

/** An address that RFC 5321 or RFC 5322 does not allow, or that could mean two things. */
export class AddressError extends PosthasteError {}

/** A header field whose name or body is not allowed. */
export class HeaderError extends PosthasteError {}

/** A message that cannot be built, or was used after it was frozen. */
export class MessageError extends PosthasteError {}

/** What an SmtpError knows of the conversation. */
export interface SmtpErrorDetails extends ErrorDetails {
  /** The verb that was being answered, such as `MAIL`, or `greeting`, `end-of-data`. */
  readonly verb?: string | undefined;
  /** What the server said, where it said anything. */
  readonly reply?: Reply | undefined;
}

/** The SMTP session failed, or the server refused a command that the session cannot do without. */
export class SmtpError extends PosthasteError {
  /** The verb that was being answered, such as `MAIL`, or `greeting`, `end-of-data`; absent outside a session. */
  readonly verb?: string;
  /** What the server said, where it said anything. */
  readonly reply?: Reply;

  constructor(code: ErrorCode, message: string, details: SmtpErrorDetails = {}) {
    super(code, message, details);
    if (details.verb !== undefined) this.verb = details.verb;
    if (details.reply !== undefined) this.reply = details.reply;
  }
}

/** TLS is required and cannot be had: not offered, refused, tampered with, or the certificate does not hold. */
export class TlsError extends SmtpError {}

/** The credentials were refused, or cannot be presented safely. */
export class AuthError extends SmtpError {}

/** The peer did not answer in time. */
export class TimeoutError extends SmtpError {}

/** What a DeliveryError knows of the messages. */
export interface DeliveryErrorDetails extends ErrorDetails {
  /** Of one message: its receipt. */
  readonly receipt?: Receipt | undefined;
  /** Of many: the receipts of those that were not accepted, in the order of the messages. */
  readonly receipts?: readonly Receipt[] | undefined;
  /** Of many: how many messages at least one recipient's server accepted. */
  readonly count?: number | undefined;
}

/** A message was accepted for no recipient, or a mass mailing not in full. */
export class DeliveryError extends PosthasteError {
  /** Of one message: its receipt, with each recipient's verdict. */
  readonly receipt?: Receipt;
  /** Of many: the receipts of those that were not accepted, in the order of the messages. */
  readonly receipts?: readonly Receipt[];
  /** Of many: how many messages at least one recipient's server accepted. */
  readonly count?: number;

  constructor(code: ErrorCode, message: string, details: DeliveryErrorDetails = {}) {
    super(code, message, details);
    if (details.receipt !== undefined) this.receipt = details.receipt;
    if (details.receipts !== undefined) this.receipts = details.receipts;
    if (details.count !== undefined) this.count = details.count;
  }
}
