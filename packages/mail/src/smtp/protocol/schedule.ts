/**
 * What may leave when: the schedules, from the slowest to the fastest.
 *
 *     schedule   on the wire                                                round trips a message
 *     lockstep   each command alone                                        recipients + 3
 *     grouped    MAIL RCPT* DATA | content .                               2
 *     across     content . RSET MAIL RCPT* DATA | content . RSET …         1
 *     window     RSET MAIL RCPT* BDAT LAST, several messages ahead         1 / window
 *
 * RFC 2920 section 3.1: RSET, MAIL and RCPT stand anywhere in a command group; DATA stands last, since the content must
 * wait for its 354; and the content may be the *first* item of a group, which is what *across* rests on.
 *
 * Behind a dot stands always `RSET MAIL RCPT* DATA`, in RFC 2920's own wording. Without the RSET, Dovecot's submission
 * service crashes there after its backend has taken the message.
 *
 * *window* bends RFC 3030, which wants the replies to RCPT collected before BDAT. A server that refuses BDAT without
 * eating the chunk would read the message as commands, so: the first chunk of a session goes out only when its
 * recipients are accepted, the window opens when that chunk was accepted, and the RSET in front of each MAIL shows, by
 * any reply but 250, that the two sides are out of step before a reply can be taken for another's.
 */
import type { Verb } from "./timeout.ts";
import type { Extensions } from "./extension.ts";

/** The most messages that a window holds: as many may be in doubt at once. */
export const WINDOW_LIMIT = 100;

export type Schedule = "lockstep" | "grouped" | "across" | { readonly window: number };

/** How many transactions may be under way at once. */
export function depth(schedule: Schedule): number {
  if (typeof schedule === "object") return schedule.window;
  return schedule === "across" ? 2 : 1;
}

/** What of the wanted schedule the server's extensions allow. */
export function allowedSchedule(wanted: Schedule, { pipelining, chunking }: Extensions): Schedule {
  if (!pipelining) return "lockstep";
  return typeof wanted === "object" && !chunking ? "across" : wanted;
}

/** The next slower schedule, for a server with which this one went wrong. */
export function slower(schedule: Schedule): Schedule {
  if (typeof schedule === "object") return "across";
  return schedule === "across" ? "grouped" : "lockstep";
}

/** Whether a command group may go on behind a dot that is not answered. */
function spansMessages(schedule: Schedule): boolean {
  return schedule === "across" || typeof schedule === "object";
}

/** RFC 2920 section 3.1: these may stand only last in a command group. */
const ENDS_GROUP: ReadonlySet<Verb> = new Set(["EHLO", "HELO", "LHLO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT"]);

/** Whether a command may leave although the reply to `last`, the one that left before it, has not come. */
export function mayFollow(last: Verb, schedule: Schedule): boolean {
  if (schedule === "lockstep") return false;
  return last === "end-of-data" ? spansMessages(schedule) : !ENDS_GROUP.has(last);
}
