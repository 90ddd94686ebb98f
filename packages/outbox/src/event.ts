import type { Reply } from "posthaste";
import type { OutboxState, RecipientState } from "./state.ts";

/** An error as it is stored and reported: never with a cause or a stack, which may hold more than is meant to be read. */
export interface ErrorNote {
  /** An error's stable code, or its name where it has none. */
  readonly code: string;
  readonly message: string;
}

/** What a worker reports. No event holds content, data or credentials; verdicts are reported once they are durable. */
export type WorkerEvent =
  | { readonly type: "claimed"; readonly count: number }
  /** Rows of a worker that is dead, or whose lease lapsed, were taken over. */
  | { readonly type: "taken-over"; readonly worker: string; readonly count: number }
  | {
      readonly type: "verdict";
      readonly id: string;
      readonly messageId: string;
      readonly attempt: number;
      /** The message's state from now on. */
      readonly state: OutboxState;
      /** When the next attempt is due; only where there is one. */
      readonly due?: Date;
      readonly recipients: readonly {
        readonly address: string;
        readonly state: RecipientState;
        readonly reply?: Reply;
      }[];
      readonly error?: ErrorNote;
    }
  /** The next hop cannot be reached: nothing is claimed for so many milliseconds. */
  | { readonly type: "paused"; readonly milliseconds: number; readonly error: ErrorNote }
  /** The worker itself had trouble, such as a database that cannot be written to. It goes on. */
  | { readonly type: "error"; readonly error: ErrorNote };

/** Keeps a foreign error from filling the database. */
const MAX_MESSAGE_LENGTH = 500;

/** The error's code, or name, and message. */
export function errorNote(error: unknown): ErrorNote {
  if (!(error instanceof Error)) return { code: "Error", message: "something that is no Error was thrown" };
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return { code: code.slice(0, 100), message: error.message.slice(0, MAX_MESSAGE_LENGTH) };
}
