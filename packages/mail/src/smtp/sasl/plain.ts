import type { Credentials, Exchange } from "./mechanism.ts";

/** RFC 4616: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`, at once and once. */
export function plain({ user, password }: Credentials): Exchange {
  const responses = [new TextEncoder().encode(`\0${user}\0${password}`)];
  return () => responses.shift();
}
