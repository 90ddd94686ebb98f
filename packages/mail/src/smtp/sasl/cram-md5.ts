import { createHmac } from "node:crypto";
import { AuthError } from "../../errors.ts";
import { lastResponse, SERVER_FIRST, type Steps } from "./exchange.ts";
import type { PasswordCredentials } from "./mechanism.ts";

/**
 * RFC 2195: the user's name and, in hexadecimal, the HMAC-MD5 of the challenge under the password.
 *
 * The challenge should look like a msg-id; servers differ, and nothing depends on it. An empty one would make the
 * response the same for ever, good for whoever has seen it once.
 */
export async function* cramMd5({ user, password }: PasswordCredentials): Steps {
  const challenge = yield SERVER_FIRST;
  if (challenge.length === 0)
    throw new AuthError("protocol", "the server's CRAM-MD5 challenge is empty", { verb: "AUTH" });
  yield lastResponse(`${user} ${createHmac("md5", password).update(challenge).digest("hex")}`);
}
