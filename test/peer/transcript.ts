/**
 * Transcripts of both sides of the wire, played to the machine of `smtp/protocol`.
 *
 *     S: 250 ok           the server says; lines that follow each other arrive together
 *     > deliver a@x b@x   the driver calls (see `call`)
 *     C: DATA             the client must write then
 *     = need-content      the machine must put out then
 *
 * What is not there must not happen. A recipient's outcome stands with the reply that decided it, such as
 * `b@x:refused(550 RCPT)`, and what else is known of the message in brackets behind it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeliveryStatusRequest } from "../../packages/mail/src/delivery.ts";
import { LocalProtocolError } from "../../packages/mail/src/smtp/protocol/command.ts";
import { ClientConnection } from "../../packages/mail/src/smtp/protocol/connection.ts";
import type { Output } from "../../packages/mail/src/smtp/protocol/output.ts";
import type { ConnectionOptions } from "../../packages/mail/src/smtp/protocol/session-initiation.ts";
import type { TransactionOutcome, TransactionRequest } from "../../packages/mail/src/smtp/protocol/transaction.ts";
import { isAscii } from "../../packages/mail/src/text.ts";

export interface Transcript {
  /** A sentence. */
  readonly name: string;
  readonly options?: Partial<ConnectionOptions>;
  /** Of every `deliver`. */
  readonly dsn?: DeliveryStatusRequest;
  /** Cut elsewhere, the server's octets tell another story. */
  readonly uncut?: boolean;
  readonly text: string;
}

export const OPTIONS: ConnectionOptions = {
  clientName: "client.example",
  protocol: "smtp",
  schedule: "across",
  tls: "none",
  mechanisms: [],
  clearAuth: false,
};

export const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
export const decode = (octets: Uint8Array): string => new TextDecoder().decode(octets);

/** Greeting and EHLO, with the keywords that the server offers. */
export function hello(...keywords: readonly string[]): string {
  const said = ["server.example", ...keywords];
  const reply = said.map((line, index) => `S: 250${index === said.length - 1 ? " " : "-"}${line}`);
  return ["S: 220 server.example", "C: EHLO client.example", ...reply, "= ready"].join("\n");
}

type Step = { readonly kind: "S" | ">"; text: string; readonly expected: string[] };

function stepsOf(transcript: string): Step[] {
  const found: Step[] = [];
  let serverSpoke = false;
  for (const line of transcript.trim().split("\n")) {
    const last = found.at(-1);
    if (line.startsWith("S: ") && serverSpoke && last !== undefined) last.text += `${line.slice(3)}\r\n`;
    else if (line.startsWith("S: ")) found.push({ kind: "S", text: `${line.slice(3)}\r\n`, expected: [] });
    else if (line.startsWith("> ")) found.push({ kind: ">", text: line.slice(2), expected: [] });
    else if (/^(?:C:|=) /.test(line)) last?.expected.push(line);
    else throw new Error(`a transcript has a line that is none: ${line}`);
    serverSpoke = line.startsWith("S: ");
  }
  return found;
}

export function requestOf(
  reversePath: string,
  forwardPaths: readonly string[],
  dsn?: DeliveryStatusRequest,
): TransactionRequest {
  const smtpUtf8 = ![reversePath, ...forwardPaths].every(isAscii);
  return { envelope: { reversePath, forwardPaths, dsn }, size: 7, eightBit: false, smtpUtf8 };
}

const lines = (words: readonly string[]): Uint8Array => encode(words.join(" ").replaceAll("\\n", "\r\n"));

/** The requests that a call makes; `\n` in its text is a line end. */
function delivery(verb: string, words: readonly string[], dsn?: DeliveryStatusRequest): TransactionRequest | undefined {
  const [first = "", ...others] = words;
  const plain = requestOf(first, others, dsn);
  const behind = requestOf(others[0] ?? "", others.slice(1), dsn);
  if (verb === "deliver") return plain;
  if (verb === "deliver-octets") return { ...behind, size: Number(first) };
  if (verb === "deliver-chunk") return { ...behind, chunk: lines([`${first}\\n`]) };
  if (verb === "deliver-8bit") return { ...plain, eightBit: true };
  return verb === "deliver-stream" ? { ...plain, size: undefined } : undefined;
}

function call(connection: ClientConnection, text: string, dsn?: DeliveryStatusRequest): Output[] | string {
  const [verb = "", ...words] = text.split(" ");
  const request = delivery(verb, words, dsn);
  if (request !== undefined) return connection.deliver(request);
  switch (verb) {
    case "content":
      return [...connection.content(lines(words)), ...connection.endOfContent()];
    case "piece":
      return connection.content(lines(words));
    case "end":
      return connection.endOfContent();
    case "sasl":
      return connection.sasl(words.length === 0 ? undefined : lines(words), true);
    case "sasl-unproved":
      return connection.sasl(lines(words), false);
    case "tls":
      return connection.tlsEstablished();
    case "bytes":
      return connection.receive(lines(words));
    case "eof":
      return connection.receiveEof();
    case "noop":
      return connection.noop();
    case "quit":
      return connection.quit();
    case "room":
      return connection.hasRoom ? "= yes" : "= no";
    case "chunks":
      return connection.takesChunks ? "= yes" : "= no";
    case "doubt":
      return connection.isInDoubt ? "= yes" : "= no";
    case "awaiting":
      return `= ${connection.awaiting ?? "nothing"}`;
    default:
      throw new Error(`a transcript calls what there is not: ${verb}`);
  }
}

/** The outputs as transcript lines; what is written counts as one stream. */
export function outputLines(outputs: readonly Output[]): string[] {
  const found: string[] = [];
  let written = "";
  for (const output of outputs) {
    if (output.type === "write") written += decode(output.octets);
    else {
      found.push(...writtenLines(written), describe(output));
      written = "";
    }
  }
  return [...found, ...writtenLines(written)];
}

function writtenLines(written: string): string[] {
  if (written === "") return [];
  const whole = written.endsWith("\r\n") ? written.slice(0, -2) : `${written} (no line end)`;
  return whole.split("\r\n").map((line) => `C: ${line}`);
}

function describe(output: Exclude<Output, { type: "write" }>): string {
  if (output.type === "done") return `= done ${describeOutcome(output.outcome)}`;
  if (output.type === "failed") return `= failed ${output.error.code}`;
  if (output.type === "need-sasl")
    return ["= need-sasl", output.mechanism, ...(output.challenge ? [decode(output.challenge)] : [])].join(" ");
  return `= ${output.type}`;
}

export function describeOutcome({ recipients, reply, undecided, tooMany, error }: TransactionOutcome): string {
  const verdicts = recipients.map(({ address, status, reply: own, phase }) => {
    const decision = own === undefined ? "" : `(${own.code} ${phase ?? "?"})`;
    return `${address}:${status}${decision}`;
  });
  // A message that was accepted for nobody.
  if (reply !== undefined && reply.code < 300 && !recipients.some((each) => each.reply === reply))
    verdicts.push(`[${reply.code} for nobody]`);
  if (undecided !== undefined) verdicts.push(`[${undecided}]`);
  if (tooMany !== undefined) verdicts.push(`[too many: ${tooMany.join(" ")}]`);
  if (error !== undefined) verdicts.push(`[${error.code}]`);
  return verdicts.join(" ");
}

function perform(connection: ClientConnection, { kind, text }: Step, { dsn }: Transcript, cut: Cut): string[] {
  try {
    if (kind === "S") return outputLines(cut(encode(text)).flatMap((part) => connection.receive(part)));
    const called = call(connection, text, dsn);
    return typeof called === "string" ? [called] : outputLines(called);
  } catch (error) {
    if (error instanceof LocalProtocolError) return ["= misuse"];
    throw error;
  }
}

type Cut = (octets: Uint8Array) => Uint8Array[];

function play(transcript: Transcript, steps: readonly Step[], cut: Cut): void {
  const connection = new ClientConnection({ ...OPTIONS, ...transcript.options });
  for (const step of steps)
    assert.deepEqual(
      perform(connection, step, transcript, cut),
      step.expected,
      `${transcript.name}: after ${step.kind} ${step.text}`,
    );
}

/** A test for each transcript, and one that cuts the server's octets everywhere. */
export function testTranscripts(transcripts: readonly Transcript[]): void {
  for (const transcript of transcripts)
    void test(transcript.name, () => play(transcript, stepsOf(transcript.text), (octets) => [octets]));
  void test("every transcript ends alike when the server's octets come one by one, or cut in two anywhere", () => {
    for (const transcript of transcripts) if (transcript.uncut !== true) playCut(transcript);
  });
}

function playCut(transcript: Transcript): void {
  const steps = stepsOf(transcript.text);
  play(transcript, steps, (octets) => Array.from(octets, (octet) => Uint8Array.of(octet)));
  const longest = Math.max(...steps.map(({ kind, text }) => (kind === "S" ? encode(text).length : 0)));
  for (let at = 1; at < longest; at++)
    play(transcript, steps, (octets) => [octets.subarray(0, at), octets.subarray(at)]);
}
