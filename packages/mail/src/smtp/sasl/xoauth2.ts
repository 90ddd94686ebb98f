import { bearerToken } from "./credentials.ts";
import { lastResponse, response, type Steps } from "./exchange.ts";
import type { TokenCredentials } from "./mechanism.ts";

/**
 * XOAUTH2, Google's, which Microsoft has too (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol):
 * `user=…^Aauth=Bearer …^A^A`, where ^A is U+0001.
 *
 * A refusal comes as a challenge with JSON in it; the server says 535 once it has an empty response.
 */
export async function* xoauth2(credentials: TokenCredentials): Steps {
  const token = await bearerToken(credentials);
  yield lastResponse(`user=${credentials.user}\x01auth=Bearer ${token}\x01\x01`);
  yield response("");
}
