import type { DeliveryStatusRequest } from "../../delivery.ts";
import { isAscii } from "../../text.ts";
import type { Verb } from "./timeout.ts";

/** The fault is the caller's: the machine was called out of order, or with what can be no command. */
export class LocalProtocolError extends Error {}

/** A command and what is awaited for it. */
export interface Command {
  readonly verb: Verb;
  /** Without CRLF. */
  readonly line: string;
  /** Of RCPT, and of LMTP's replies to the end of data: which recipient of the envelope. */
  readonly recipient?: number;
}

/** Every control, TAB too, and the line breaks of Unicode. */
const CONTROL = /[\0-\x1f\x7f-\x9f\u2028\u2029]/;

/** A command with an argument, which was validated before: what has a control in it never gets here. */
export function command(verb: Verb, line: string, recipient?: number): Command {
  if (CONTROL.test(line)) throw new LocalProtocolError(`${verb}: an argument contains a control character`);
  return recipient === undefined ? { verb, line } : { verb, line, recipient };
}

/** Quoted or not, what could end a path or begin a parameter stands inside quotes only. */
const PATH = /^(?:"(?:[^"\\]|\\.)*"|[^\s<>"])*$/;

function path(verb: Verb, address: string): string {
  if (!PATH.test(address)) throw new LocalProtocolError(`${verb}: not an addr-spec`);
  return `<${address}>`;
}

/** @param parameters each with a space in front of it. */
export function mailCommand(reversePath: string, parameters: string): Command {
  return command("MAIL", `MAIL FROM:${path("MAIL", reversePath)}${parameters}`);
}

export function rcptCommand(forwardPath: string, recipient: number, dsn?: DeliveryStatusRequest): Command {
  const parameters = dsn === undefined ? "" : rcptParameters(forwardPath, dsn);
  return command("RCPT", `RCPT TO:${path("RCPT", forwardPath)}${parameters}`, recipient);
}

/** RFC 3461 sections 4.3 and 4.4: RET and ENVID. */
export function dsnMailParameters({ ret, envelopeId }: DeliveryStatusRequest): string {
  const what = ret === undefined ? "" : ret === "full" ? " RET=FULL" : " RET=HDRS";
  return envelopeId === undefined ? what : `${what} ENVID=${xtext(envelopeId)}`;
}

/** RFC 3461 sections 4.1 and 4.2: NOTIFY and ORCPT. */
function rcptParameters(forwardPath: string, { notify, originalRecipients }: DeliveryStatusRequest): string {
  const original = originalRecipients?.[forwardPath];
  const when = notify === undefined ? "" : ` NOTIFY=${[notify].flat().join(",").toUpperCase()}`;
  return original === undefined ? when : `${when} ORCPT=${originalRecipient(original)}`;
}

/** RFC 6533 section 3 gives an address that is not ASCII a type of its own, `\x{HEX}` for what is not printable ASCII. */
function originalRecipient(address: string): string {
  if (isAscii(address)) return `rfc822;${xtext(address)}`;
  const escaped = address.replace(/[^!-*,-<>-[\]-~]/gu, (character) => {
    const hexadecimal = (character.codePointAt(0) ?? 0).toString(16).toUpperCase();
    return `\\x{${hexadecimal.padStart(2, "0")}}`;
  });
  return `utf-8;${escaped}`;
}

/** RFC 3461 section 4: `+` and two capital hexadecimal digits for what xchar does not hold. */
function xtext(text: string): string {
  return text.replace(/[\0- +=\x7f]/g, (character) => {
    const hexadecimal = character.charCodeAt(0).toString(16).toUpperCase();
    return `+${hexadecimal.padStart(2, "0")}`;
  });
}
