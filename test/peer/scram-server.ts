/**
 * The server's half of SCRAM (RFC 5802 sections 3 and 5; RFC 7677 with SHA-256), written from the RFC and not from the
 * client: it keeps no password, but what section 3 has a server store.
 */
import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from "node:crypto";

export type ScramHash = "sha1" | "sha256";

/** What a server stores of a password. */
export interface ScramSecret {
  readonly hash: ScramHash;
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** An exchange, from the server's side. */
export interface ScramServer {
  /** The user that the client named. */
  readonly user: string;
  readonly serverFirst: string;
  /** The signature where the client's proof holds, else an error. */
  serverFinal(clientFinal: string): string;
}

const hmac = (hash: ScramHash, key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
const digest = (hash: ScramHash, octets: Buffer): Buffer => createHash(hash).update(octets).digest();

export function scramSecret(hash: ScramHash, password: string, salt: Buffer, iterations: number): ScramSecret {
  const salted = pbkdf2Sync(password, salt, iterations, hash === "sha1" ? 20 : 32, hash);
  const storedKey = digest(hash, hmac(hash, salted, "Client Key"));
  return { hash, salt, iterations, storedKey, serverKey: hmac(hash, salted, "Server Key") };
}

/**
 * @param nonce the server's part of it.
 * @param extension is said behind the iteration count; it begins with a comma.
 */
export function scramServer(secret: ScramSecret, clientFirst: string, nonce: string, extension = ""): ScramServer {
  const {
    bare = "",
    name = "",
    clientNonce = "",
  } = /^n,,(?<bare>n=(?<name>[^,]+),r=(?<clientNonce>[!-+\--~]+))$/.exec(clientFirst)?.groups ?? {};
  const { hash, salt, iterations, storedKey, serverKey } = secret;
  const wholeNonce = clientNonce + nonce;
  const serverFirst = `r=${wholeNonce},s=${salt.toString("base64")},i=${iterations}${extension}`;
  return {
    user: name.replaceAll("=2C", ",").replaceAll("=3D", "="),
    serverFirst,
    serverFinal(clientFinal) {
      const { withoutProof = "", proof = "" } =
        /^(?<withoutProof>.*),p=(?<proof>[^,]+)$/.exec(clientFinal)?.groups ?? {};
      if (clientNonce === "" || withoutProof !== `c=biws,r=${wholeNonce}`) return "e=other-error";
      const authMessage = `${bare},${serverFirst},${withoutProof}`;
      const signature = hmac(hash, storedKey, authMessage);
      const given = Buffer.from(proof, "base64");
      if (given.length !== signature.length) return "e=invalid-encoding";
      const clientKey = Buffer.from(given.map((octet, index) => octet ^ (signature[index] ?? 0)));
      if (!timingSafeEqual(digest(hash, clientKey), storedKey)) return "e=invalid-proof";
      return `v=${hmac(hash, serverKey, authMessage).toString("base64")}`;
    },
  };
}
