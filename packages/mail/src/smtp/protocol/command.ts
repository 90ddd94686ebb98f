import { hasControl } from "../../text.ts";
import type { Verb } from "./timeout.ts";

/** The fault is the caller's: the machine was called out of order, or with what can be no command. */
export class LocalProtocolError extends Error {}

/** A command and what is awaited for it. */
export interface Command {
  readonly verb: Verb;
  /** Without CRLF. */
  readonly line: string;
  /** Of RCPT: which recipient of the envelope. */
  readonly recipient?: number;
}

/** RFC 2920 section 3.1: these may stand only last in a command group. */
const ENDS_GROUP: ReadonlySet<Verb> = new Set(["EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "end-of-data", "QUIT"]);

/** A command with an argument, which was validated before: what has a control in it never gets here. */
export function command(verb: Verb, line: string, recipient?: number): Command {
  if (hasControl(line) || line.includes("\t"))
    throw new LocalProtocolError(`${verb}: an argument contains a control character`);
  return recipient === undefined ? { verb, line } : { verb, line, recipient };
}

/** Quoted or not, what could end a path or begin a parameter stands inside quotes only. */
const PATH = /^(?:"(?:[^"\\]|\\.)*"|[^\s<>"])*$/;

function path(verb: Verb, address: string): string {
  if (!PATH.test(address)) throw new LocalProtocolError(`${verb}: not an addr-spec`);
  return `<${address}>`;
}

export function mailCommand(reversePath: string, parameters: readonly string[]): Command {
  return command("MAIL", [`MAIL FROM:${path("MAIL", reversePath)}`, ...parameters].join(" "));
}

export function rcptCommand(forwardPath: string, recipient: number): Command {
  return command("RCPT", `RCPT TO:${path("RCPT", forwardPath)}`, recipient);
}

/** How many of the commands may leave in one flight. */
export function groupLength(commands: readonly Command[]): number {
  const last = commands.findIndex(({ verb }) => ENDS_GROUP.has(verb));
  return last === -1 ? commands.length : last + 1;
}
