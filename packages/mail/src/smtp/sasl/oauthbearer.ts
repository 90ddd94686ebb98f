import { bearerToken } from "./credentials.ts";
import { lastResponse, response, type Steps } from "./exchange.ts";
import { saslName } from "./gs2.ts";
import type { Peer, TokenCredentials } from "./mechanism.ts";

/**
 * OAUTHBEARER (RFC 7628 section 3.1): a GS2 header, then `key=value` pairs that U+0001 ends, and U+0001 once more.
 *
 * A refusal comes as a challenge with JSON in it; the server says 535 once it has the dummy response, U+0001 alone
 * (section 3.2.3).
 */
export async function* oauthBearer(credentials: TokenCredentials, { host, port }: Peer): Steps {
  const token = await bearerToken(credentials);
  const header = `n,a=${saslName(credentials.user)},`;
  yield lastResponse(`${header}\x01host=${host}\x01port=${port}\x01auth=Bearer ${token}\x01\x01`);
  yield response("\x01");
}
