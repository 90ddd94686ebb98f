/** What nodemailer's transports say, as outcomes: its `info` where they took the message, its errors where not. */
import { type Envelope, type Receipt, type RecipientOutcome, receiptStatus, type Reply } from "../delivery.ts";
import { AuthError, SmtpError } from "../errors.ts";

type Outcome = Pick<Receipt, "status" | "recipients" | "reply" | "error">;

/** Of `info` and of errors, as far as they are alike among transports. */
interface Said {
  readonly accepted?: unknown;
  readonly rejected?: unknown;
  readonly pending?: unknown;
  readonly rejectedErrors?: unknown;
  readonly response?: unknown;
  readonly responseCode?: unknown;
  readonly recipient?: unknown;
  readonly code?: unknown;
  readonly command?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
}

/** The system's and nodemailer's codes for a connection that was never made. */
const NO_CONNECTION = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EDNS",
  "EPROXY",
]);
/** Nodemailer's `command` of an error: after these no content has left. */
const BEFORE_DATA = /^(?:EHLO|HELO|LHLO|STARTTLS|AUTH|MAIL FROM|RCPT TO|API)/;
/** Its codes for a message that it does not send at all. */
const OF_MESSAGE = new Set<unknown>(["EENVELOPE", "EMESSAGE", "EMAXRECIPIENTS"]);

/** What a transport says of a message that it took. */
export function outcomesOf({ forwardPaths }: Envelope, info: unknown): Outcome {
  const said = saidOf(info);
  const rejected = new Set(addressesOf(said.rejected));
  const pending = new Set(addressesOf(said.pending));
  const errors = new Map(listOf(said.rejectedErrors).map((error) => [saidOf(error).recipient, saidOf(error)]));
  const reply = replyOf(said);
  const recipients = forwardPaths.map((address): RecipientOutcome => {
    if (pending.has(address)) return { address, status: "deferred" };
    if (!rejected.has(address)) return { address, status: "accepted", ...(reply && { reply }) };
    const own = replyOf(errors.get(address) ?? {});
    return {
      address,
      status: own !== undefined && own.code < 500 ? "deferred" : "refused",
      ...(own && { reply: own }),
    };
  });
  return { status: receiptStatus(recipients), recipients, ...(reply && { reply }) };
}

/**
 * What its error says of a message that it did not take.
 *
 * @param isUnopened whether it is sure that nobody asked for the content, so that nothing left.
 */
export function failureOf(envelope: Envelope, cause: unknown, isUnopened: boolean): Outcome {
  const said = saidOf(cause);
  const reply = replyOf(said);
  if (said.code === "EAUTH")
    return failed(envelope, "deferred", new AuthError("auth-refused", text(cause), { cause, reply }));
  // Nobody was accepted: each may have a reply of its own.
  if (listOf(said.rejectedErrors).length > 0) return outcomesOf(envelope, cause);
  if (reply !== undefined) return failed(envelope, reply.code < 500 ? "deferred" : "refused", undefined, reply);
  // With a response that is no reply it is the server that is broken.
  if (OF_MESSAGE.has(said.code) && said.response === undefined)
    return failed(envelope, "refused", new SmtpError("unexpected-reply", text(cause), { cause }));
  const isBefore = NO_CONNECTION.has(String(said.code)) || BEFORE_DATA.test(String(said.command));
  if (isUnopened || isBefore) return failed(envelope, "deferred", new SmtpError("connect", text(cause), { cause }));
  return byHttp(envelope, said, cause);
}

/** RFC 9110: 4xx is about the request, but for those that ask to come back; behind other 5xx it may have been taken. */
function byHttp(envelope: Envelope, said: Said, cause: unknown): Outcome {
  const given = said.$metadata?.httpStatusCode ?? said.statusCode ?? said.status;
  const status = typeof given === "number" ? given : 0;
  if (status === 401) return failed(envelope, "deferred", new AuthError("auth-refused", text(cause), { cause }));
  const error = new SmtpError(status >= 400 ? "unexpected-reply" : "connection-lost", text(cause), { cause });
  if (status === 408 || status === 429 || status === 503) return failed(envelope, "deferred", error);
  return failed(envelope, status >= 400 && status < 500 ? "refused" : "unknown", error);
}

function failed(
  { forwardPaths }: Envelope,
  status: "refused" | "deferred" | "unknown",
  error: Error | undefined,
  reply?: Reply,
): Outcome {
  const recipients = forwardPaths.map((address) => ({ address, status, ...(reply && { reply }) }));
  return { status, recipients, ...(reply && { reply }), ...(error && { error }) };
}

/** The reply, where `response` is one. */
function replyOf({ response, responseCode }: Said): Reply | undefined {
  if (typeof response !== "string") return undefined;
  const lines = response.slice(0, 4_000).split(/\r?\n/).slice(0, 20);
  const [, digits] = /^([2-5][0-9]{2})(?:[ -]|$)/.exec(lines[0] ?? "") ?? [];
  const code = typeof responseCode === "number" ? responseCode : Number(digits);
  if (!(code >= 200 && code <= 599)) return undefined;
  const texts = lines.map((line) => line.replace(/^[2-5][0-9]{2}[ -]?/, ""));
  const [, enhanced] = /^([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)/.exec(texts[0] ?? "") ?? [];
  return { code, ...(enhanced !== undefined && { enhanced }), lines: texts };
}

function saidOf(value: unknown): Said {
  return typeof value === "object" && value !== null ? value : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function addressesOf(value: unknown): string[] {
  return listOf(value).map((each) =>
    typeof each === "string" ? each : String((each as { address?: unknown } | null)?.address),
  );
}

function text(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).slice(0, 500);
}
