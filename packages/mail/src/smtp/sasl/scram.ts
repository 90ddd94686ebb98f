/**
 * SCRAM (RFC 5802; with SHA-256 RFC 7677): both sides prove that they know the password, and neither shows it.
 *
 *     client-first   n,,n=user,r=ours
 *     server-first   r=ours+theirs,s=salt,i=iteration count
 *     client-final   c=biws,r=ours+theirs,p=proof
 *     server-final   v=signature, or e=error
 *
 * SMTP has no place for data beside its 235, so the server-final message comes as a challenge that is answered with an
 * empty response (RFC 4954 section 4). A 235 before it is that of a server that has proved nothing: no step but the
 * last is complete. There is no channel binding: the GS2 header `n,,` says so, and `biws` is its base64.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { AuthError } from "../../errors.ts";
import { base64, fromBase64 } from "../../mime/base64.ts";
import { badCredential } from "./credentials.ts";
import { lastResponse, response, type Steps } from "./exchange.ts";
import { saslName } from "./gs2.ts";
import type { PasswordCredentials } from "./mechanism.ts";
import { saslPrep } from "./saslprep.ts";

/**
 * RFC 5802 section 5.1 and RFC 7677 section 4 want at least 4096, which is also what servers use by default. With 1
 * whoever poses as the server could try every password that a dictionary has against the proof.
 */
const LEAST_ITERATIONS = 4_096;
/** 0.2 s of one core off the event loop (Node 24); the largest figure that is recommended anywhere is 600 000. */
const MOST_ITERATIONS = 1_000_000;
const NONCE_OCTETS = 18;

const GS2_HEADER = "n,,";
const EXTENSIONS = String.raw`(?:,[A-Za-z]=[^\0,]+)*`;
/** RFC 5802 section 7. `m=` in front would be an extension that must be understood, and none is. */
const SERVER_FIRST = new RegExp(
  String.raw`^r=(?<nonce>[\x21-\x2b\x2d-\x7e]+),s=(?<salt>[A-Za-z0-9+/=]+),i=(?<count>[1-9]\d*)${EXTENSIONS}$`,
);
const SERVER_FINAL = new RegExp(`^(?:v=(?<signature>[A-Za-z0-9+/=]+)|e=(?<error>[^\\0=,]+))${EXTENSIONS}$`);

export type ScramHash = "sha1" | "sha256";

const HASH_OCTETS: Readonly<Record<ScramHash, number>> = { sha1: 20, sha256: 32 };
const deriveKey = promisify(pbkdf2);

/** @param nonce is random but where the RFCs' examples are tried. */
export async function* scram(
  hash: ScramHash,
  { user, password }: PasswordCredentials,
  nonce: string = base64(randomBytes(NONCE_OCTETS)),
): Steps {
  const secret = prepared("auth.password", password);
  const bare = `n=${saslName(prepared("auth.user", user))},r=${nonce}`;
  const serverFirst = text(yield response(GS2_HEADER + bare));
  const server = readServerFirst(serverFirst, nonce);
  const withoutProof = `c=${base64(Buffer.from(GS2_HEADER))},r=${server.nonce}`;
  const message = `${bare},${serverFirst},${withoutProof}`;
  const salted = await deriveKey(secret, server.salt, server.iterations, HASH_OCTETS[hash], hash);
  const serverFinal = text(yield response(`${withoutProof},p=${clientProof(hash, salted, message)}`));
  verifyServer(serverFinal, hmac(hash, hmac(hash, salted, "Server Key"), message));
  yield lastResponse("");
}

function prepared(setting: string, value: string): string {
  const result = saslPrep(value);
  if (result === undefined) throw badCredential(setting, "without the characters that RFC 4013 prohibits in SCRAM");
  return result;
}

interface ServerFirst {
  readonly nonce: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

function readServerFirst(message: string, clientNonce: string): ServerFirst {
  const { nonce = "", salt: encodedSalt = "", count = "" } = SERVER_FIRST.exec(message)?.groups ?? {};
  const salt = fromBase64(encodedSalt);
  if (nonce === "" || salt === undefined) throw fault("server-first message is not as RFC 5802 section 7 has it");
  // Otherwise the server could replay what it once saw.
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length)
    throw fault("nonce does not begin with the client's and go on");
  const iterations = Number(count);
  if (iterations < LEAST_ITERATIONS || iterations > MOST_ITERATIONS)
    throw fault(`iteration count is not from ${LEAST_ITERATIONS} to ${MOST_ITERATIONS}`);
  return { nonce, salt, iterations };
}

/** RFC 5802 section 3: `ClientProof := ClientKey XOR HMAC(H(ClientKey), AuthMessage)`. */
function clientProof(hash: ScramHash, salted: Uint8Array, message: string): string {
  const clientKey = hmac(hash, salted, "Client Key");
  const signature = hmac(hash, createHash(hash).update(clientKey).digest(), message);
  return base64(clientKey.map((octet, index) => octet ^ (signature[index] ?? 0)));
}

/** @throws {AuthError} unless the server proved that it knows the password too. */
function verifyServer(message: string, expected: Uint8Array): void {
  const { signature = "", error } = SERVER_FINAL.exec(message)?.groups ?? {};
  if (error !== undefined) throw refused(error);
  const given = fromBase64(signature);
  if (given?.length === expected.length && timingSafeEqual(given, expected)) return;
  const problem = "the server did not prove that it knows the password; somebody may be posing as the server";
  throw new AuthError("server-unproved", problem, { verb: "AUTH" });
}

/** The errors of RFC 5802 section 7 are of this form; of any other nothing is repeated. */
function refused(error: string): AuthError {
  const reason = /^[a-z-]{1,50}$/.test(error) ? `: ${error}` : "";
  return new AuthError("auth-refused", `the server refused the credentials${reason}`, { verb: "AUTH" });
}

function hmac(hash: ScramHash, key: Uint8Array, message: string): Buffer {
  return createHmac(hash, key).update(message).digest();
}

/** As it is signed: octet for octet. */
function text(challenge: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(challenge);
  } catch {
    throw fault("message is not UTF-8");
  }
}

function fault(problem: string): AuthError {
  return new AuthError("protocol", `the server's SCRAM ${problem}`, { verb: "AUTH" });
}
