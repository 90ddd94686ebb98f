import type { WorkerEvent } from "@posthaste/outbox";
import { destination, pino } from "pino";

/** Lines of JSON on standard error; standard output is for what was asked for. */
export const log = pino({ name: "posthaste", base: null }, destination({ dest: 2, sync: true }));

/** Writes down what the outbox's worker reports. It holds no content, token or credential. */
export function logEvent(event: WorkerEvent): void {
  if (event.type === "claimed") return;
  if (event.type === "error") log.error(event, "the outbox's worker has trouble");
  else if (event.type === "paused") log.warn(event, "no mail leaves: the next hop cannot be reached");
  else if (event.type === "taken-over") log.warn(event, "mail of a worker that is gone was taken over");
  else log.info(event, `mail ${event.state}`);
}
