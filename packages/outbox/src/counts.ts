import type { DatabaseSync } from "node:sqlite";
import { OUTBOX_STATES } from "./state.ts";
import type { OutboxState } from "./state.ts";

/** Messages per state; every state is there. */
export type OutboxCounts = Readonly<Record<OutboxState, number>>;

/** How many messages are in each state. */
export function outboxCounts(database: DatabaseSync): OutboxCounts {
  const rows = database.prepare("select state, count(*) as count from posthaste_state group by state").all();
  const found = new Map(rows.map((row) => [row.state, Number(row.count)]));
  return Object.fromEntries(OUTBOX_STATES.map((state) => [state, found.get(state) ?? 0])) as Record<
    OutboxState,
    number
  >;
}
