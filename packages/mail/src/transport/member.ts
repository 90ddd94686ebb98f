import type { Receipt, Transport } from "../delivery.ts";
import { MessageError, PosthasteError, SettingsError } from "../errors.ts";

/** Options of {@link failover} and {@link roundRobin}. */
export interface FailoverOptions {
  /** How long a transport that failed is passed over while there is another, in milliseconds. Default: 60,000. */
  readonly retryAfter?: number | undefined;
}

/** A transport among others. */
export interface Member {
  readonly transport: Transport;
  /** By `performance.now()`; 0 of one that is well. */
  restsUntil: number;
}

/** What {@link failover} and {@link roundRobin} are given: transports, and options behind them. */
export type MembersAndOptions = readonly [...transports: Transport[], options: FailoverOptions] | readonly Transport[];

const DAY = 86_400_000;

/** @throws {SettingsError} when there is no transport, or something else. */
export function membersOf(given: MembersAndOptions): { members: readonly Member[]; retryAfter: number } {
  const last = given.at(-1);
  const options: FailoverOptions = last === undefined || isTransport(last) ? {} : last;
  const transports = last === undefined || isTransport(last) ? given : given.slice(0, -1);
  const { retryAfter = 60_000, ...others } = options;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw bad(unknown, "there is no such option");
  if (!(retryAfter >= 0 && retryAfter <= DAY)) throw bad("retryAfter", `must be 0 to ${DAY} milliseconds`);
  if (transports.length === 0 || !areTransports(transports)) throw bad("transports", "one at least must be given");
  if (new Set(transports).size < transports.length) throw bad("transports", "each must be another");
  return { members: transports.map((transport) => ({ transport, restsUntil: 0 })), retryAfter };
}

function areTransports(given: readonly (Transport | FailoverOptions)[]): given is readonly Transport[] {
  return given.every(isTransport);
}

function isTransport(given: Transport | FailoverOptions): given is Transport {
  return typeof given === "object" && "deliver" in given && typeof given.deliver === "function";
}

function bad(setting: string, reason: string): SettingsError {
  return new SettingsError("bad-setting", `${setting}: ${reason}`, { setting });
}

/** Those that are well, in their order; then those that rest, the one that has rested longest first. */
export function preferred(members: readonly Member[]): Member[] {
  const now = performance.now();
  const restOf = ({ restsUntil }: Member): number => (restsUntil <= now ? 0 : restsUntil);
  return [...members].sort((one, other) => restOf(one) - restOf(other));
}

/**
 * Whether the receipt says that the transport failed, and not that a server gave a verdict: nothing of the message left,
 * so another may have it. Nor is it the transport's fault when the content cannot be read, or the caller gave up. 421 is the server's word for going away (RFC 5321 section 3.8).
 */
export function hasFailed({ status, reply, recipients, error }: Receipt): boolean {
  if (status !== "deferred" || error instanceof MessageError) return false;
  if (error instanceof PosthasteError && error.code === "aborted") return false;
  const replies = [reply, ...recipients.map((recipient) => recipient.reply)].filter((each) => each !== undefined);
  return replies.every(({ code }) => code === 421);
}

/** Closes all, and then says what failed. */
export async function closeAll(members: readonly Member[]): Promise<void> {
  const results = await Promise.allSettled(members.map(({ transport }) => transport.close()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
