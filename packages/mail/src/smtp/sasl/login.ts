import type { Credentials, Exchange } from "./mechanism.ts";

/**
 * LOGIN, which no RFC defines (draft-murchison-sasl-login): the server asks for the user, then for the password. What
 * it asks with differs from server to server, so only the order counts.
 */
export function login({ user, password }: Credentials): Exchange {
  const responses = [undefined, user, password];
  return () => {
    const response = responses.shift();
    return response === undefined ? undefined : new TextEncoder().encode(response);
  };
}
