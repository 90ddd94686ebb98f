import type { DeliverableMessage, Envelope } from "posthaste";

/** How a transport may be told to send; the words are the engine's. */
export const schedules = {
  lockstep: { pipelining: "off", connections: 1 },
  grouped: { pipelining: "grouped", connections: 1 },
  across: { pipelining: "auto", connections: 1 },
  window: { pipelining: { bdatWindow: 4 }, connections: 1 },
  pool: { pipelining: "auto", connections: 3 },
} as const;

export type ScheduleName = keyof typeof schedules;

/** A message whose sender, recipients and content no other has, so that a mix-up shows at the server. */
export interface Letter extends DeliverableMessage {
  /** The part of its sender's address before the @. */
  readonly name: string;
}

/** Lines that a careless client or server takes for something else than content. */
export const PITFALLS: readonly string[] = [
  ".",
  "..",
  ".dot",
  "",
  "MAIL FROM:<smuggled@evil.example>",
  "RCPT TO:<victim@evil.example>",
  "DATA",
  "RSET",
  "BDAT 5 LAST",
  "250 ok",
];

/**
 * @param forwardPaths default: one, of the letter's own name.
 * @param body what stands between its first and its last line, with line ends of any kind.
 */
export function letterFor(
  name: string,
  forwardPaths: readonly string[] = [`${name}@to.example`],
  body = PITFALLS.join("\r\n") + "\r\n",
): Letter {
  const content = Buffer.from(`Subject: ${name}\r\n\r\n${body}marker ${name}\r\n`);
  const envelope: Envelope = { reversePath: `${name}@from.example`, forwardPaths };
  return { name, messageId: `<${name}@from.example>`, envelope: () => envelope, toBytes: () => content };
}

/** What the server must have of a letter: every line end is CRLF (RFC 5321 section 2.3.8), and nothing else is changed. */
export function octetsOf(letter: Letter): Buffer {
  return Buffer.from(
    Buffer.from(letter.toBytes())
      .toString("latin1")
      .replace(/\r\n|\r|\n/g, "\r\n"),
    "latin1",
  );
}
