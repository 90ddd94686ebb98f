/** What the client says next in an exchange, and what may follow it. */
export interface Step {
  /** Undefined: nothing. At the start the server speaks first then; after a challenge the exchange is to be cancelled. */
  readonly response: Uint8Array | undefined;
  /**
   * Whether the mechanism is satisfied with the server, so that its success may be believed. A 235 after any other step
   * comes from a server that has not shown that it knows the password, or that has just reported a failure.
   */
  readonly isComplete: boolean;
}

/** A mechanism as it goes: it yields what the client says and is given the challenge that answers it. */
export type Steps = AsyncGenerator<Step, void, Uint8Array>;

/** The server speaks first. */
export const SERVER_FIRST: Step = { response: undefined, isComplete: false };

/** A response that the server has to answer with another challenge. */
export function response(text: string): Step {
  return { response: new TextEncoder().encode(text), isComplete: false };
}

/** A response after which the server may report success. */
export function lastResponse(text: string): Step {
  return { ...response(text), isComplete: true };
}
