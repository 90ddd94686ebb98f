import { lastResponse, type Steps } from "./exchange.ts";
import type { PasswordCredentials } from "./mechanism.ts";

/** RFC 4616: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`, at once and once. */
export async function* plain({ user, password }: PasswordCredentials): Steps {
  yield lastResponse(`\0${user}\0${password}`);
}
