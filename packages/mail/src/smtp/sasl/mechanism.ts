import { SmtpError } from "../../errors.ts";
import { login } from "./login.ts";
import { plain } from "./plain.ts";

/** What a session authenticates with. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/**
 * One exchange of a SASL mechanism (RFC 4422): challenge in, response out. It is first called without a challenge, and
 * answers undefined where the mechanism lets the server speak first, or has nothing more to say.
 */
export type Exchange = (challenge: Uint8Array | undefined) => Uint8Array | undefined;

const MECHANISMS: Readonly<Record<string, (credentials: Credentials) => Exchange>> = { PLAIN: plain, LOGIN: login };

/** The names of the mechanisms, in the order of preference. */
export const MECHANISM_NAMES: readonly string[] = Object.keys(MECHANISMS);

/** A new exchange. */
export function startExchange(mechanism: string, credentials: Credentials): Exchange {
  const start = Object.hasOwn(MECHANISMS, mechanism) ? MECHANISMS[mechanism] : undefined;
  if (start === undefined) throw new SmtpError("auth-missing", `the SASL mechanism ${mechanism} is not known`);
  return start(credentials);
}
