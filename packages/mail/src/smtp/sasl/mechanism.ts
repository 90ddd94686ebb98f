/**
 * The SASL mechanisms (RFC 4422) as SMTP uses them (RFC 4954): one file each, challenge in, response out.
 */
import { AuthError } from "../../errors.ts";
import { cramMd5 } from "./cram-md5.ts";
import { badCredential, checkCredentials, isToken } from "./credentials.ts";
import type { Step, Steps } from "./exchange.ts";
import { login } from "./login.ts";
import { oauthBearer } from "./oauthbearer.ts";
import { plain } from "./plain.ts";
import { saslPrep } from "./saslprep.ts";
import { scram } from "./scram.ts";
import { xoauth2 } from "./xoauth2.ts";

/** What a session authenticates with. */
export type Credentials = PasswordCredentials | TokenCredentials;

/** A user and a password, for SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN or LOGIN: the first that the server offers. */
export interface PasswordCredentials {
  /** Not empty, without control characters. */
  readonly user: string;
  /** Not empty, without NUL. */
  readonly password: string;
}

/** A user and an OAuth 2.0 access token, for OAUTHBEARER (RFC 7628) or XOAUTH2: the first that the server offers. */
export interface TokenCredentials {
  /** Not empty, without control characters. */
  readonly user: string;
  /** Visible ASCII; or a function that gives it, called for each exchange anew, so that the token may expire. */
  readonly accessToken: string | (() => string | Promise<string>);
}

/** Whom the session talks to, as the client named it: OAUTHBEARER presents it to the server. */
export interface Peer {
  readonly host: string;
  readonly port: number;
}

/**
 * One exchange: challenge in, response out. It is first called without a challenge. One call at a time.
 *
 * @throws {AuthError} `bad-setting` when the credentials cannot be presented, `protocol` when the server broke the
 * mechanism's rules, `auth-refused` when it refused, `server-unproved` when it did not prove itself. The exchange is over
 * then, and no other mechanism is to be tried: a weaker one would give the password to whoever poses as the server.
 */
export type Exchange = (challenge: Uint8Array | undefined) => Promise<Step>;

/** In the order of preference. */
const PASSWORD_MECHANISMS: Readonly<Record<string, (credentials: PasswordCredentials) => Steps>> = {
  "SCRAM-SHA-256": (credentials) => scram("sha256", credentials),
  "SCRAM-SHA-1": (credentials) => scram("sha1", credentials),
  "CRAM-MD5": cramMd5,
  PLAIN: plain,
  LOGIN: login,
};
const TOKEN_MECHANISMS: Readonly<Record<string, (credentials: TokenCredentials, peer: Peer) => Steps>> = {
  OAUTHBEARER: oauthBearer,
  XOAUTH2: xoauth2,
};

/** RFC 4954 section 4 counts on 12288 octets of base64, which stand for so many. */
const LIMIT = 9_216;
const CANCEL: Step = { response: undefined, isComplete: false };

/**
 * The names of the mechanisms that can present the credentials, the strongest first. SCRAM is not among them for a user
 * or password that SASLprep prohibits (RFC 5802 section 5.1).
 */
export function mechanismNames(credentials: Credentials): readonly string[] {
  if (isToken(credentials)) return Object.keys(TOKEN_MECHANISMS);
  const isPreparable = [credentials.user, credentials.password].every((text) => saslPrep(text) !== undefined);
  return Object.keys(PASSWORD_MECHANISMS).filter((name) => isPreparable || !name.startsWith("SCRAM-"));
}

/**
 * A new exchange.
 *
 * @param mechanism one of {@link mechanismNames}.
 */
export function startExchange(mechanism: string, credentials: Credentials, peer: Peer): Exchange {
  const steps = stepsOf(mechanism, credentials, peer);
  return async (challenge) => {
    if (challenge === undefined) checkCredentials(credentials);
    const { value } = await (challenge === undefined ? steps.next() : advance(steps, challenge));
    const step = value ?? CANCEL;
    if ((step.response?.length ?? 0) > LIMIT)
      throw badCredential("auth", `short enough for ${LIMIT} octets in all, which RFC 4954 section 4 allows`);
    return step;
  };
}

function advance(steps: Steps, challenge: Uint8Array): ReturnType<Steps["next"]> {
  if (challenge.length <= LIMIT) return steps.next(challenge);
  return steps.throw(new AuthError("protocol", `a challenge has more than ${LIMIT} octets`, { verb: "AUTH" }));
}

function stepsOf(mechanism: string, credentials: Credentials, peer: Peer): Steps {
  const steps = isToken(credentials)
    ? own(TOKEN_MECHANISMS, mechanism)?.(credentials, peer)
    : own(PASSWORD_MECHANISMS, mechanism)?.(credentials);
  if (steps !== undefined) return steps;
  throw new AuthError("auth-missing", `the SASL mechanism ${mechanism} is not known for these credentials`);
}

function own<Mechanism>(mechanisms: Readonly<Record<string, Mechanism>>, name: string): Mechanism | undefined {
  return Object.hasOwn(mechanisms, name) ? mechanisms[name] : undefined;
}
