import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type AcceptedMessage, ServerSession, type ServerTraits, type Step } from "./server-session.ts";

/** What goes wrong at a step. `done`: whether the server does what was asked all the same, before it goes wrong. */
export type Fault =
  /** Another reply than the honest one. `closes`: the connection ends behind it. */
  | { readonly kind: "reply"; readonly text: string; readonly done?: boolean; readonly closes?: boolean }
  /** The server closes its side, in order (FIN). */
  | { readonly kind: "close"; readonly done: boolean }
  | { readonly kind: "close behind the reply" }
  /** The connection breaks (RST); replies that the client has not read yet may be lost with it. */
  | { readonly kind: "reset"; readonly done: boolean }
  /** Neither this nor anything behind it is ever answered. */
  | { readonly kind: "stall"; readonly done: boolean }
  | { readonly kind: "garbage"; readonly done: boolean }
  /** A reply of more and more lines, until the client goes. */
  | { readonly kind: "endless"; readonly done: boolean }
  /** The honest reply, and in the same piece another that nobody asked for. */
  | { readonly kind: "unasked" }
  /** The honest reply, each octet in a piece of its own. */
  | { readonly kind: "octets" }
  /** The honest reply, held back to be one piece with those to all that has come already. */
  | { readonly kind: "glue" };

/** A step of a connection, as whoever plans faults sees it. */
export interface ServerStep extends Step {
  /** From 1. */
  readonly connection: number;
  /** From 0, the greeting. */
  readonly number: number;
}

/** What goes wrong when; undefined: nothing. */
export type FaultPlan = (step: ServerStep) => Fault | undefined;

export interface Recorded extends AcceptedMessage {
  readonly connection: number;
}

/** A real SMTP server on a loopback port that goes wrong as planned, and what it really did. */
export interface FaultServer extends AsyncDisposable {
  readonly port: number;
  /** What it took responsibility for, in the order in which it did, whether it came to say so or not. */
  readonly accepted: readonly Recorded[];
  readonly steps: readonly ServerStep[];
  readonly connections: number;
  /** From here on nothing goes wrong. */
  heal(): void;
}

export interface FaultServerOptions extends ServerTraits {
  readonly plan?: FaultPlan;
  /** Called when a message is accepted, before the reply. */
  readonly onAccepted?: (message: AcceptedMessage) => void;
}

export async function startFaultServer(options: FaultServerOptions = {}): Promise<FaultServer> {
  const accepted: Recorded[] = [];
  const steps: ServerStep[] = [];
  const sockets = new Set<Socket>();
  let plan: FaultPlan = options.plan ?? (() => undefined);
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = ++connections;
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    const session = new ServerSession(options, (message) => {
      options.onAccepted?.(message);
      accepted.push({ ...message, connection });
    });
    const planned = (step: Step, number: number): Fault | undefined => {
      const seen = { ...step, connection, number };
      steps.push(seen);
      return plan(seen);
    };
    serve(socket, session, planned);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    accepted,
    steps,
    get connections() {
      return connections;
    },
    heal: () => (plan = () => undefined),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function serve(
  socket: Socket,
  session: ServerSession,
  planned: (step: Step, number: number) => Fault | undefined,
): void {
  const conversation = new Conversation(socket);
  let number = 0;
  let turn = Promise.resolve();
  const answerAll = async (): Promise<void> => {
    for (let step = nextStep(); step !== undefined; step = nextStep())
      await conversation.answer(step, planned(step, number++));
    conversation.flush();
  };
  const nextStep = (): Step | undefined => (conversation.isOver ? undefined : session.next());
  const receive = (octets: Buffer): void => {
    // In turn: octets that come while a reply is being written wait for it.
    turn = turn.then(async () => {
      session.push(octets);
      await answerAll();
    });
  };
  socket.on("data", receive);
  receive(Buffer.alloc(0));
}

/** The server's side of a connection: writes replies, well or badly. */
class Conversation {
  readonly #socket: Socket;
  #held: string | undefined;
  /** Whether it heeds the client no more. What still comes is read, so that the client's end is noticed. */
  isOver = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  async answer(step: Step, fault: Fault | undefined): Promise<void> {
    if (fault === undefined) return this.#say(step.perform(), step.verb === "QUIT");
    switch (fault.kind) {
      case "reply":
        if (fault.done === true) step.perform();
        else step.refuse();
        return this.#say(fault.text, fault.closes);
      case "close behind the reply":
        return this.#say(step.perform(), true);
      case "unasked":
        return this.#say(`${step.perform()}\r\n250 2.0.0 nobody asked`);
      case "octets":
        return await this.#sayOctets(step.perform());
      case "glue":
        this.#held ??= "";
        return this.#say(step.perform());
      default:
        if (fault.done) step.perform();
        this.flush();
        this.isOver = true;
        return await this.#breakOff(fault.kind);
    }
  }

  /** What the client gets in place of a reply. */
  async #breakOff(kind: "close" | "reset" | "stall" | "garbage" | "endless"): Promise<void> {
    if (kind === "close") this.#socket.end();
    else if (kind === "reset") this.#socket.resetAndDestroy();
    else if (kind === "garbage") this.#socket.write("\u0000what? \u00ff\r\nHTTP/1.1 400 Bad Request\r\n\r\n");
    else if (kind === "endless") await this.#sayEndlessly();
  }

  #say(reply: string, closes = false): void {
    const text = `${reply}\r\n`;
    if (this.#held === undefined) this.#write(text);
    else this.#held += text;
    if (!closes) return;
    this.flush();
    this.isOver = true;
    this.#socket.end();
  }

  flush(): void {
    if (this.#held !== undefined) this.#write(this.#held);
    this.#held = undefined;
  }

  #write(text: string): void {
    if (this.#socket.writable) this.#socket.write(text, "latin1");
  }

  async #sayOctets(reply: string): Promise<void> {
    this.flush();
    for (const octet of `${reply}\r\n`)
      await new Promise<void>((resolve) => this.#socket.write(octet, () => setImmediate(resolve)));
  }

  async #sayEndlessly(): Promise<void> {
    const block = "250-and another thing\r\n".repeat(100);
    while (this.#socket.writable)
      if (!this.#socket.write(block))
        await once(this.#socket, "drain", { signal: gone(this.#socket) }).catch(() => undefined);
  }
}

/** Aborts when the socket is closed. */
function gone(socket: Socket): AbortSignal {
  const controller = new AbortController();
  socket.once("close", () => controller.abort());
  if (socket.destroyed) controller.abort();
  return controller.signal;
}

/**
 * Haraka's way: it offers PIPELINING, and answers 503 to all that stands behind a dot in the same piece.
 */
export const refusesBehindDot: FaultPlan = ({ behindDot, line }) =>
  behindDot ? { kind: "reply", text: `503 5.5.1 not now: ${line}` } : undefined;

/** The same of a server that obeys RSET there. */
export const refusesMailBehindDot: FaultPlan = (step) => (step.verb === "RSET" ? undefined : refusesBehindDot(step));

/** It offers PIPELINING, and takes no command that comes in one piece with another. */
export const refusesGroups: FaultPlan = ({ inGroup, verb, line, reversePath }) =>
  inGroup && verb !== "end-of-data" && verb !== "greeting"
    ? { kind: "reply", text: `500 5.5.2 one at a time: ${line} <${reversePath ?? ""}>` }
    : undefined;

/** It offers CHUNKING and refuses BDAT, though it eats the chunk. */
export const refusesChunks: FaultPlan = ({ verb, reversePath }) =>
  verb === "BDAT" ? { kind: "reply", text: `502 5.5.1 <${reversePath ?? ""}> BDAT is not implemented` } : undefined;

/** After so many messages of a connection the verb gets this reply. */
export function limitsMessages(limit: number, verb: "MAIL" | "RSET", text: string, closes: boolean): FaultPlan {
  return (step) => (step.messages >= limit && step.verb === verb ? { kind: "reply", text, closes } : undefined);
}

/** A transaction has so many recipients at most (RFC 5321 section 4.5.3.1.10). */
export function limitsRecipients(limit: number): FaultPlan {
  return ({ verb, recipients, line }) =>
    verb === "RCPT" && recipients >= limit
      ? { kind: "reply", text: `452 4.5.3 too many recipients: ${line}` }
      : undefined;
}
