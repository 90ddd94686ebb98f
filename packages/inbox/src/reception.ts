import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { domainToASCII } from "node:url";
import { SMTPServer } from "smtp-server";
import type { SMTPServerDataStream, SMTPServerSession } from "smtp-server";
import { SettingsError } from "posthaste";
import type { Envelope } from "posthaste";
import type { ReceivedMessage } from "./message.ts";

/** What {@link startReception} needs. */
export interface ReceptionOptions {
  readonly host: string;
  readonly port: number;
  readonly maxMessageBytes: number;
  readonly maxRecipients: number;
  readonly onSession: () => void;
  /** Takes a message over; the client's 250 waits for it. Resolves with the id. */
  readonly onMessage: (received: ReceivedMessage) => Promise<string>;
}

/** The SMTP side of the inbox. */
export interface Reception {
  /** The port that it listens on. */
  readonly port: number;
  close(): Promise<void>;
}

const MAX_CLIENTS = 250;
/** Messages that are still coming in may hold this many times the largest message; more is deferred with 452. */
const MESSAGES_IN_FLIGHT = 4;
/** How long close() lets open sessions go on; a client's idle pool would else hold it for smtp-server's 30 seconds. */
const CLOSE_GRACE_MS = 100;

/** Listens. @throws {SettingsError} when the port cannot be had. */
export async function startReception(options: ReceptionOptions): Promise<Reception> {
  const collect = collector(options.maxMessageBytes * MESSAGES_IN_FLIGHT);
  const server = new SMTPServer({
    name: "localhost",
    banner: "Posthaste inbox",
    logger: false,
    disableReverseLookup: true,
    // smtp-server would offer STARTTLS with a key that everybody knows; a client that requires TLS must fail here.
    disabledCommands: ["STARTTLS"],
    authOptional: true,
    allowInsecureAuth: true,
    authMethods: ["PLAIN", "LOGIN", "XOAUTH2"],
    hideENHANCEDSTATUSCODES: false,
    size: options.maxMessageBytes,
    rejectOversized: true,
    maxRecipients: options.maxRecipients,
    maxClients: MAX_CLIENTS,
    closeTimeout: CLOSE_GRACE_MS,
    onConnect(_session, callback) {
      options.onSession();
      callback();
    },
    onAuth(auth, _session, callback) {
      callback(null, { user: auth.username ?? "anonymous" });
    },
    onData(stream, session, callback) {
      const envelope = envelopeOf(session);
      collect(stream, (raw) => options.onMessage({ session: session.id, envelope, raw })).then(
        (id) => callback(null, `OK: kept as ${id}`),
        callback,
      );
    },
  });
  // Errors of single connections; a client that breaks off is no news. The listener's own come through listen().
  server.on("error", () => undefined);
  await listen(server, options);
  return {
    port: (server.server.address() as AddressInfo).port,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

async function listen(server: SMTPServer, { port, host }: ReceptionOptions): Promise<void> {
  try {
    server.listen(port, host);
    await once(server.server, "listening");
  } catch (cause) {
    throw listenError(cause as NodeJS.ErrnoException);
  }
}

function listenError(cause: NodeJS.ErrnoException): Error {
  const setting = "INBOX_SMTP_PORT";
  if (cause.code === "EADDRINUSE") {
    const fix = "choose another, or 0 for any that is free";
    return new SettingsError("bad-setting", `${setting} names a port that is taken; ${fix}`, { setting, cause });
  }
  if (cause.code === "EACCES") {
    const fix = "choose one above 1023";
    return new SettingsError("bad-setting", `${setting} names a port that needs more rights; ${fix}`, {
      setting,
      cause,
    });
  }
  return new SettingsError("bad-setting", `the inbox cannot listen on its host (${cause.code ?? cause.message})`, {
    field: "host",
    cause,
  });
}

/** Takes contents into memory while all that are on their way take no more than `budget` bytes. */
function collector(budget: number): Collect {
  let free = budget;
  return async (stream, use) => {
    const content = createContent();
    let refused = false;
    try {
      // Read to the end even when it is refused: the reply goes out after the end of data (RFC 5321 section 4.1.1.4).
      for await (const chunk of stream as AsyncIterable<Uint8Array>) {
        refused ||= stream.sizeExceeded || chunk.length > free;
        if (refused) continue;
        content.append(chunk);
        free -= chunk.length;
      }
      if (refused) throw Object.assign(new Error("too many messages are coming in, try again"), { responseCode: 452 });
      return await use(content.bytes());
    } finally {
      free += content.length();
    }
  };
}

type Collect = (stream: SMTPServerDataStream, use: (raw: Uint8Array) => Promise<string>) => Promise<string>;

/**
 * Bytes that grow. Not a list of chunks: smtp-server makes a chunk of each line that begins with a dot, and 25 MiB of
 * such lines would be millions of objects.
 */
function createContent(): { append(chunk: Uint8Array): void; bytes(): Uint8Array; length(): number } {
  let buffer = new Uint8Array(16 * 1024);
  let length = 0;
  return {
    append(chunk) {
      if (length + chunk.length > buffer.length) {
        const larger = new Uint8Array(2 * (length + chunk.length));
        larger.set(buffer.subarray(0, length));
        buffer = larger;
      }
      buffer.set(chunk, length);
      length += chunk.length;
    },
    bytes: () => buffer.slice(0, length),
    length: () => length,
  };
}

function envelopeOf({ envelope }: SMTPServerSession): Envelope {
  const spelled = (address: string): string => (envelope.smtpUtf8 === true ? address : withAsciiDomain(address));
  return {
    reversePath: envelope.mailFrom === false ? "" : spelled(envelope.mailFrom.address),
    forwardPaths: envelope.rcptTo.map(({ address }) => spelled(address)),
  };
}

/** Undoes what smtp-server does to the A-labels of a domain: without SMTPUTF8 the client can only have sent those. */
function withAsciiDomain(address: string): string {
  const at = address.lastIndexOf("@");
  const domain = address.slice(at + 1);
  if (/^[\0-\x7f]*$/.test(domain)) return address;
  return address.slice(0, at + 1) + (domainToASCII(domain) || domain);
}
