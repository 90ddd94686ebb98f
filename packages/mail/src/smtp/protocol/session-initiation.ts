/**
 * From the greeting to a session that takes mail (RFC 5321 sections 3.1 and 3.2, RFC 3207, RFC 4954).
 *
 *     state        left by                                     to
 *     greeting     220                                         hello
 *     hello        250 to EHLO, else to HELO                   starttls, auth or ready
 *     starttls     220                                         handshake
 *     handshake    tlsEstablished()                            hello, with nothing remembered (RFC 3207 section 4.2)
 *     auth         235                                         ready
 *
 * Everything here is lockstep: EHLO, STARTTLS and AUTH may be followed by nothing. What the session requires and the
 * server does not give ends it: no credentials and no mail leave.
 */
import { type Reply, replyText } from "../../delivery.ts";
import { AuthError, type SmtpError, TlsError } from "../../errors.ts";
import { base64, fromBase64 } from "../../mime/base64.ts";
import { type Command, command, LocalProtocolError } from "./command.ts";
import { type Extensions, extensionsOf, NO_EXTENSIONS } from "./extension.ts";
import type { Observer, Output } from "./output.ts";
import { PresentedCredentials } from "./presented-credentials.ts";
import { isPermanent, isPositive, protocolError, refusal } from "./reply.ts";
import type { Schedule } from "./schedule.ts";

/** How a session is opened. */
export interface ConnectionOptions {
  /** LMTP (RFC 2033) greets with LHLO, and answers the end of data once for each recipient. */
  readonly protocol: "smtp" | "lmtp";
  /** The fastest that is wanted. */
  readonly schedule: Schedule;
  /** What EHLO says who is there: a domain or address literal (RFC 5321 section 4.1.1.1). */
  readonly clientName: string;
  /** `starttls`: no mail without it. `opportunistic`: where offered. `implicit`: the connection has TLS from its start. */
  readonly tls: "implicit" | "starttls" | "opportunistic" | "none";
  /** The SASL mechanisms that the client has credentials for, in the order of its preference. Empty: no AUTH. */
  readonly mechanisms: readonly string[];
  /** Whether credentials may travel in clear: to a loopback address only. */
  readonly clearAuth: boolean;
  readonly observer?: Observer | undefined;
}

/** What the connection does for the initiation. */
export interface Wire {
  send(command: Command): void;
  output(output: Extract<Output, { type: "ready" | "upgrade-tls" | "need-sasl" }>): void;
  /** Ends a session that is in step with the server, so the server is told. */
  leave(error: SmtpError): void;
}

/** RFC 4954 section 6: the mechanism, not the credentials, is what the server refuses. */
const MECHANISM_REFUSED: ReadonlySet<number> = new Set([504, 534]);

export class SessionInitiation {
  readonly #options: ConnectionOptions;
  readonly #wire: Wire;
  #state: "greeting" | "hello" | "starttls" | "handshake" | "auth" | "ready" = "greeting";
  #secure: boolean;
  #mechanisms: readonly string[] = [];
  /** The mechanism's first response is out, so what follows stands alone on its line. */
  #challenged = false;
  /** The client gave the exchange up. */
  #cancelled = false;
  /** The mechanism is satisfied with what the server has shown of itself. */
  #complete = false;
  readonly #presented = new PresentedCredentials();
  extensions: Extensions = NO_EXTENSIONS;

  constructor(options: ConnectionOptions, wire: Wire) {
    this.#options = options;
    this.#wire = wire;
    this.#secure = options.tls === "implicit";
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** The next octets belong to TLS. */
  get awaitsHandshake(): boolean {
    return this.#state === "handshake";
  }

  tlsEstablished(): void {
    if (this.#state !== "handshake") throw new LocalProtocolError("nobody asked for TLS");
    this.#secure = true;
    this.extensions = NO_EXTENSIONS;
    this.#hello();
  }

  answer(sent: Command, reply: Reply): void {
    if (sent.verb === "greeting") return this.#onGreeting(reply);
    if (sent.verb === "STARTTLS") return this.#onStartTls(reply);
    if (sent.verb === "AUTH") return this.#onAuth(reply);
    this.#onHello(sent, reply);
  }

  #onGreeting(reply: Reply): void {
    if (reply.code !== 220) throw refusal("greeting", reply);
    this.#hello();
  }

  #hello(): void {
    this.#state = "hello";
    const verb = this.#options.protocol === "lmtp" ? "LHLO" : "EHLO";
    this.#wire.send(command(verb, `${verb} ${this.#options.clientName}`));
  }

  #onHello(sent: Command, reply: Reply): void {
    if (isPositive(reply)) {
      this.extensions = sent.verb === "HELO" ? NO_EXTENSIONS : extensionsOf(reply);
      return this.#secureConnection();
    }
    // RFC 5321 section 3.2: a server that knows no EHLO is greeted with HELO.
    if (sent.verb !== "EHLO" || !isPermanent(reply)) throw refusal(sent.verb, reply);
    this.#wire.send(command("HELO", `HELO ${this.#options.clientName}`));
  }

  #secureConnection(): void {
    const { tls } = this.#options;
    if (this.#secure || tls === "none") return this.#authenticate();
    if (this.extensions.startTls) {
      this.#state = "starttls";
      return this.#wire.send(command("STARTTLS", "STARTTLS"));
    }
    if (tls === "opportunistic") return this.#authenticate();
    const message = "the server offers no STARTTLS, but it is required; nothing was sent";
    this.#wire.leave(new TlsError("starttls-missing", message, { verb: "EHLO" }));
  }

  #onStartTls(reply: Reply): void {
    if (reply.code === 220) {
      this.#state = "handshake";
      return this.#wire.output({ type: "upgrade-tls" });
    }
    if (this.#options.tls === "opportunistic") return this.#authenticate();
    const message = `the server refused STARTTLS, but it is required; nothing was sent: ${replyText(reply)}`;
    this.#wire.leave(new TlsError("starttls-refused", message, { verb: "STARTTLS", reply }));
  }

  #authenticate(): void {
    const { mechanisms, clearAuth } = this.#options;
    if (mechanisms.length === 0) return this.#ready();
    if (!this.#secure && !clearAuth) {
      const message = "credentials would travel in clear to another host; nothing was sent";
      return this.#wire.leave(new AuthError("auth-in-clear", message));
    }
    this.#mechanisms = mechanisms.filter((mechanism) => this.extensions.auth.includes(mechanism));
    if (this.#mechanisms.length === 0) {
      const message = `credentials are set, but the server offers none of ${mechanisms.join(", ")}`;
      return this.#wire.leave(new AuthError("auth-missing", message, { verb: "EHLO" }));
    }
    this.#state = "auth";
    this.#askMechanism(undefined);
  }

  #askMechanism(challenge: Uint8Array | undefined): void {
    this.#challenged = challenge !== undefined;
    this.#wire.output({ type: "need-sasl", mechanism: this.#mechanisms[0] ?? "", challenge });
  }

  /** The mechanism's response; undefined where it has none. */
  respond(response: Uint8Array | undefined, isComplete: boolean): void {
    if (this.#state !== "auth") throw new LocalProtocolError("nobody asked for SASL");
    this.#complete = isComplete;
    const mechanism = this.#mechanisms[0] ?? "";
    if (response !== undefined) this.#presented.add(mechanism, response, isComplete);
    const text = base64(response ?? new Uint8Array());
    if (this.#challenged) return this.#wire.send(command("AUTH", this.#continuation(response, text)));
    // RFC 4954 section 4: an empty initial response is written as "=".
    const initial = response === undefined ? "" : ` ${text || "="}`;
    this.#wire.send(command("AUTH", `AUTH ${mechanism}${initial}`));
  }

  /** RFC 4954 section 4: `*` cancels. A mechanism that has nothing left to say would be asked for ever. */
  #continuation(response: Uint8Array | undefined, text: string): string {
    this.#cancelled = response === undefined;
    return this.#cancelled ? "*" : text;
  }

  #onAuth(reply: Reply): void {
    if (reply.code === 334) return this.#onChallenge(reply);
    if (isPositive(reply)) return this.#complete ? this.#ready() : this.#wire.leave(unproved());
    if (MECHANISM_REFUSED.has(reply.code) && !this.#challenged && this.#mechanisms.length > 1) {
      this.#mechanisms = this.#mechanisms.slice(1);
      return this.#askMechanism(undefined);
    }
    // 454 (RFC 4954 section 6) and its like say nothing about the credentials.
    if (!isPermanent(reply)) return this.#wire.leave(refusal("AUTH", reply));
    const message = `the server refused the credentials: ${replyText(reply)}`;
    this.#wire.leave(new AuthError("auth-refused", message, { verb: "AUTH", reply }));
  }

  #onChallenge(reply: Reply): void {
    const challenge = fromBase64(reply.lines.join(""));
    if (challenge === undefined || this.#cancelled)
      throw protocolError("a challenge is not base64, or came after the exchange was cancelled", "AUTH");
    this.#askMechanism(challenge);
  }

  /** The reply as it may be shown, and kept: a server may repeat what was presented. */
  masked(verb: string, reply: Reply): Reply {
    return this.#presented.masked(verb, reply);
  }

  /** The same of a line that is no reply. */
  maskedLine(verb: string | undefined, line: string): string {
    return this.#presented.maskedText(verb, line);
  }

  #ready(): void {
    this.#state = "ready";
    this.#wire.output({ type: "ready", extensions: this.extensions });
  }
}

/** RFC 5802 section 3: a server that does not know the password may still say that it was right. */
function unproved(): AuthError {
  const message = "the server took the credentials without the proof that it knows them; it may not be the one meant";
  return new AuthError("server-unproved", message, { verb: "AUTH" });
}

/** Octets behind the 220 in clear would be read as if they came through TLS. */
export function injected(): TlsError {
  const message = "bytes followed the reply to STARTTLS in clear; somebody may be tampering with the connection";
  return new TlsError("starttls-injection", message, { verb: "STARTTLS" });
}
