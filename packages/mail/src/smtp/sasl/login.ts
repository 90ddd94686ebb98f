import { lastResponse, response, SERVER_FIRST, type Steps } from "./exchange.ts";
import type { PasswordCredentials } from "./mechanism.ts";

/**
 * LOGIN, which no RFC defines (draft-murchison-sasl-login): the server asks for the user, then for the password. What
 * it asks with differs from server to server, so only the order counts.
 */
export async function* login({ user, password }: PasswordCredentials): Steps {
  yield SERVER_FIRST;
  yield response(user);
  yield lastResponse(password);
}
