import { randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
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
  /** Two workers in one process differ by it. */
  readonly nonce: string;
}

/** The identity of a worker in this process. */
export function ownIdentity(): WorkerIdentity {
  return {
    host: hostname(),
    pid: process.pid,
    start: processStatus(process.pid)?.start ?? "",
    boot: bootId(),
    pidNamespace: pidNamespace(),
    nonce: randomUUID(),
  };
}

/**
 * Whether the worker is proved dead: the machine was booted since, no such process is there, it has ended and merely not
 * been waited for, or its number belongs to a process that started at another time. What cannot be proved is false.
 */
export function isDead(worker: string): boolean {
  const identity = parseIdentity(worker);
  if (identity?.host !== hostname()) return false;
  const boot = bootId();
  if (identity.boot !== "" && boot !== "" && identity.boot !== boot) return true;
  if (identity.pidNamespace !== pidNamespace()) return false;
  if (!processExists(identity.pid)) return true;
  const status = processStatus(identity.pid);
  if (status === undefined || identity.start === "") return false;
  return status.ended || status.start !== identity.start;
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

/** Fields 3 and 22 of /proc/PID/stat; field 2, the name, may itself hold spaces and parentheses. */
function processStatus(pid: number): { readonly ended: boolean; readonly start: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`);
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
