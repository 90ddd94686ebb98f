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
  | {
      readonly type: "claimed";
      /** How many messages it took to send them now. */
      readonly count: number;
    }
  /** Rows of a worker that is dead, or whose lease lapsed, were taken over. */
  | {
      readonly type: "taken-over";
      /** Whose they were: the JSON of its host, process and thread. */
      readonly worker: string;
      /** How many messages. */
      readonly count: number;
    }
  | {
      readonly type: "verdict";
      /** The message in the outbox, as {@link enqueue} named it. */
      readonly id: string;
      /** With its angle brackets. */
      readonly messageId: string;
      /** Counts how often the message was claimed, from 1. */
      readonly attempt: number;
      /** The message's state from now on. */
      readonly state: OutboxState;
      /** When the next attempt is due; only where there is one. */
      readonly due?: Date;
      /** Those of this attempt, each with its state from now on and the reply that decided it. */
      readonly recipients: readonly {
        readonly address: string;
        readonly state: RecipientState;
        readonly reply?: Reply;
      }[];
      /** Why there was no reply, or why the message cannot be sent. */
      readonly error?: ErrorNote;
    }
  /** The next hop cannot be reached: nothing is claimed for so many milliseconds. */
  | {
      readonly type: "paused";
      /** 1,000, doubling to 60,000. */
      readonly milliseconds: number;
      /** Why it cannot. */
      readonly error: ErrorNote;
    }
  /** The worker itself had trouble, such as a database that cannot be written to. It goes on. */
  | {
      readonly type: "error";
      /** What it was. */
      readonly error: ErrorNote;
    };

/** Keeps a foreign error from filling the database. */
const MAX_MESSAGE_LENGTH = 500;

/** The error's code, or name, and message. */
export function errorNote(error: unknown): ErrorNote {
  if (!(error instanceof Error)) return { code: "Error", message: "something that is no Error was thrown" };
  const code = "code" in error && typeof error.code === "string" ? error.code : error.name;
  return { code: code.slice(0, 100), message: error.message.slice(0, MAX_MESSAGE_LENGTH) };
}
