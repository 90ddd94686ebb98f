import type { Command } from "./command.ts";
import type { Observer, Output } from "./output.ts";
import { mayFollow, type Schedule } from "./schedule.ts";
import type { Verb } from "./timeout.ts";
import type { Transaction, TransactionRequest } from "./transaction.ts";

/** A command that waits to leave or to be answered, and the transaction that it belongs to. */
export interface Step<Request extends TransactionRequest> {
  readonly command: Command;
  readonly transaction: Transaction<Request> | undefined;
}

const CRLF = "\r\n";
/** Up to so many octets copying is cheaper than another write, or a vector of writes. */
export const JOINED_OCTETS = 16 * 1024;

/** The commands on their way out and their replies on the way in, and the outputs that they make. */
export class Pipeline<Request extends TransactionRequest> {
  readonly #observer: Observer | undefined;
  #unsent: Step<Request>[] = [];
  #unanswered: Step<Request>[] = [];
  /** What was written and is not put out yet, content before text: what leaves together is one write. */
  #content: Uint8Array | undefined;
  #text = "";
  #outputs: Output<Request>[] = [];

  constructor(observer: Observer | undefined) {
    this.#observer = observer;
  }

  /** What the reply that comes next will answer. */
  get awaiting(): Verb | undefined {
    return this.#unanswered[0]?.command.verb;
  }

  get isAnswered(): boolean {
    return this.#unanswered.length === 0;
  }

  /** The step that a reply answers: the first, whatever the reply says. */
  answered(): Step<Request> | undefined {
    return this.#unanswered.shift();
  }

  /** The peer will answer although nothing leaves now: for its greeting, or for the content. */
  expect(command: Command, transaction?: Transaction<Request>): void {
    this.#unanswered.push({ command, transaction });
  }

  /** LMTP answers a last chunk once for each recipient; these are the replies behind the first. */
  expectNext(commands: readonly Command[], transaction: Transaction<Request>): void {
    this.#unanswered.unshift(...commands.map((command) => ({ command, transaction })));
  }

  /** Puts the commands at the end of those that wait to leave. */
  queue(commands: readonly Command[], transaction: Transaction<Request>): void {
    this.#unsent = this.#unsent.concat(commands.map((command) => ({ command, transaction })));
  }

  /** Writes what may leave now. */
  advance(schedule: Schedule, windowIsOpen: boolean): void {
    let last = this.#unanswered.at(-1)?.command.verb;
    let step = this.#unsent[0];
    while (step !== undefined) {
      const { verb } = step.command;
      if (last !== undefined && !(mayFollow(last, schedule) && (verb !== "BDAT" || windowIsOpen))) break;
      this.#unsent.shift();
      this.#leave(step);
      last = verb;
      step = this.#unsent[0];
    }
  }

  /** Takes back what the transaction has not sent, where that is what would leave next. */
  withdraw(transaction: Transaction<Request>): void {
    if (this.#unsent[0]?.transaction !== transaction) return;
    const kept = this.#unsent.filter((step) => step.transaction !== transaction);
    transaction.owed -= this.#unsent.length - kept.length;
    this.#unsent = kept;
  }

  /** Forgets what is not sent and not answered. */
  clear(): void {
    this.#unsent = [];
    this.#unanswered = [];
  }

  send(command: Command, transaction?: Transaction<Request>): void {
    this.#leave({ command, transaction });
  }

  #leave(step: Step<Request>): void {
    const { command, transaction } = step;
    this.#unanswered.push(step);
    this.say(command);
    const chunk = command.verb === "BDAT" ? transaction?.chunk : undefined;
    if (chunk === undefined || transaction === undefined) return;
    transaction.terminated = true;
    this.emit({ type: "write", octets: Buffer.from(chunk) });
  }

  /** Writes a command whose reply nobody waits for. */
  say({ verb, line }: Command): void {
    this.#observer?.command(verb, verb === "AUTH" ? masked(line) : line);
    this.#text += line + CRLF;
  }

  /** Writes a piece of the content, which is copied: a socket may hold it for long, and its owner may fill it anew. */
  write(octets: Uint8Array): void {
    this.#release();
    this.#content = octets;
  }

  /** Writes what ends the content. */
  terminate(text: string): void {
    this.#observer?.command("end-of-data", ".");
    this.#text += text;
  }

  emit(output: Output<Request>): void {
    this.#release();
    this.#outputs.push(output);
  }

  flush(): Output<Request>[] {
    this.#release();
    const outputs = this.#outputs;
    this.#outputs = [];
    return outputs;
  }

  #release(): void {
    const content = this.#content;
    const text = this.#text;
    if (content === undefined && text === "") return;
    this.#content = undefined;
    this.#text = "";
    if (content === undefined) this.#put(Buffer.from(text));
    else if (text !== "" && content.length <= JOINED_OCTETS) this.#put(joined(content, text));
    else {
      this.#put(Buffer.from(content));
      if (text !== "") this.#put(Buffer.from(text));
    }
  }

  #put(octets: Uint8Array): void {
    this.#outputs.push({ type: "write", octets });
  }
}

function joined(content: Uint8Array, text: string): Buffer {
  const octets = Buffer.allocUnsafe(content.length + Buffer.byteLength(text));
  octets.set(content);
  octets.write(text, content.length);
  return octets;
}

/** `AUTH PLAIN …` and what answers a challenge, without what is secret in it. */
function masked(line: string): string {
  return /^AUTH [A-Z0-9_-]+$/.test(line) || line === "*" ? line : line.replace(/^(AUTH [A-Z0-9_-]+ )?.*$/, "$1***");
}
