import { availableParallelism } from "node:os";
import { hash, verify } from "@node-rs/argon2";
import { COMMON_PASSWORDS } from "./common-password.ts";

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. The algorithm itself is the library's default. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/**
 * What a password is compared with where there is none: the hash of 32 random bytes that nobody kept, made with
 * {@link ARGON2}, so that an unknown address costs what a known one does.
 */
export const NOBODYS_HASH =
  "$argon2id$v=19$m=19456,t=2,p=1$udjHzI/UJ0ieFMfrYpS3qQ$6Mbo4EWEov8xAfJsGCMpH100t5SWhCE/OIINHhktY2w";

const MIN_LENGTH = 8;
const MAX_LENGTH = 256;

/** Why a password is refused; a key of the catalogue. */
export type PasswordFault = "passwordShort" | "passwordLong" | "passwordCommon";

/**
 * What is wrong with a new password, if anything. No rules of composition (NIST SP 800-63B section 3.1.1.2). The length
 * is looked at first: normalising is quadratic, and 200 000 combining marks take half a minute.
 */
export function passwordFault(password: string): PasswordFault | undefined {
  if (password.length > 2 * MAX_LENGTH) return "passwordLong";
  const length = Array.from(password).length;
  if (length < MIN_LENGTH) return "passwordShort";
  if (length > MAX_LENGTH) return "passwordLong";
  return COMMON_PASSWORDS.has(password.normalize("NFC").toLowerCase()) ? "passwordCommon" : undefined;
}

/** More passwords are waiting than the machine can hash in a reasonable time. */
export class OverloadedError extends Error {
  override name = "OverloadedError";
}

/** Hashes and verifies passwords, few at a time. */
export interface PasswordHasher {
  /** @throws {OverloadedError} when the queue is full. */
  hash(password: string): Promise<string>;
  /** Whether the password is the hash's; `null` stands for no password at all, takes as long, and is always false. @throws {OverloadedError} */
  verify(passwordHash: string | null, password: string): Promise<boolean>;
}

/** Options of {@link createPasswordHasher}. */
export interface PasswordHasherOptions {
  /** How many are hashed at once. Default: the number of cores; more would only take each other's time and 19 MiB each. */
  readonly concurrency?: number;
  /** How many may wait. Default 32 for each at once: a second or two of work. */
  readonly queueLength?: number;
}

/** A queue before argon2, so that a flood of log-ins takes neither all memory nor all time. */
export function createPasswordHasher(options: PasswordHasherOptions = {}): PasswordHasher {
  const concurrency = options.concurrency ?? availableParallelism();
  const queueLength = options.queueLength ?? 32 * concurrency;
  const waiting: (() => void)[] = [];
  let running = 0;

  async function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (running < concurrency) running++;
    else if (waiting.length >= queueLength) throw new OverloadedError("too many passwords are waiting to be hashed");
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  }

  return {
    hash: (password) => inTurn(() => hash(password.normalize("NFC"), ARGON2)),
    verify: (passwordHash, password) =>
      inTurn(async () => {
        const right = await verify(passwordHash ?? NOBODYS_HASH, password.normalize("NFC"));
        return right && passwordHash !== null;
      }),
  };
}
