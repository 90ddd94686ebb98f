import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync, statSync } from "node:fs";
import { hostname } from "node:os";

/** Who holds a row, so that another worker can prove that it is dead. A start time that cannot be had is empty. */
export interface WorkerIdentity {
  readonly host: string;
  readonly pid: number;
  /** On Linux when the process started, in clock ticks since the boot. */
  readonly start: string;
  /** On Linux the running kernel's boot id. */
  readonly boot: string;
  /** On Linux the namespace in which the process id counts; containers on one host may share the host's name. */
  readonly pidNamespace: string;
  /** On Linux the system's number of the worker's thread, which may end before its process; else 0. */
  readonly thread: number;
  /** On Linux when the thread started, in clock ticks since the boot. */
  readonly threadStart: string;
  /** Two workers in one thread differ by it. */
  readonly nonce: string;
}

/** The identity of a worker in this thread. */
export function ownIdentity(): WorkerIdentity {
  const thread = ownThread();
  return {
    host: hostname(),
    pid: process.pid,
    start: status(String(process.pid))?.start ?? "",
    boot: bootId(),
    pidNamespace: pidNamespace(),
    thread,
    threadStart: status(`${process.pid}/task/${thread}`)?.start ?? "",
    nonce: randomUUID(),
  };
}

/**
 * Whether the worker is proved dead: the machine was booted since, no such process is there, it has ended and merely not
 * been waited for, or its number belongs to a process that started at another time; or all that is true of its thread.
 * What cannot be proved is false.
 */
export function isDead(worker: string): boolean {
  const identity = parseIdentity(worker);
  if (identity?.host !== hostname()) return false;
  const boot = bootId();
  if (identity.boot !== "" && boot !== "" && identity.boot !== boot) return true;
  if (identity.pidNamespace !== pidNamespace()) return false;
  if (!processExists(identity.pid)) return true;
  const owner = status(String(identity.pid));
  if (owner === undefined || identity.start === "") return false;
  return owner.ended || owner.start !== identity.start || isThreadDead(identity);
}

function isThreadDead({ pid, thread, threadStart }: WorkerIdentity): boolean {
  if (threadStart === "") return false;
  const path = `${pid}/task/${thread}`;
  if (!threadExists(path)) return true;
  const found = status(path);
  return found !== undefined && (found.ended || found.start !== threadStart);
}

function threadExists(path: string): boolean {
  try {
    statSync(`/proc/${path}`);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** `PID/task/TID`; Node's own thread ids say nothing to other threads. */
function ownThread(): number {
  try {
    return Number(readlinkSync("/proc/thread-self").split("/")[2]);
  } catch {
    return 0;
  }
}

function parseIdentity(text: string): WorkerIdentity | undefined {
  try {
    return JSON.parse(text) as WorkerIdentity;
  } catch {
    return undefined;
  }
}

/** Not by /proc: where it is mounted with `hidepid`, the processes of other users seem not to exist. */
function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Fields 3 and 22 of the process's or the thread's stat; field 2, the name, may itself hold spaces and parentheses. */
function status(path: string): { readonly ended: boolean; readonly start: string } | undefined {
  const stat = readText(`/proc/${path}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, start] = [fields[0], fields[19]];
  if (state === undefined || start === undefined) return undefined;
  return { ended: state === "Z" || state === "X", start };
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
