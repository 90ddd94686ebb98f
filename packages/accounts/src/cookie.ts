import type { Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";

/**
 * The cookies of accounts.
 * - `session`: the log-in.
 * - `attempt`: which browser signed up; its hash stands in the attempt.
 * - `mailed`: the address that the page "check your inbox" names, so that a typing error is seen. The browser's own
 *   input, given back to it alone; it proves nothing, and keeps the address out of the URL.
 */
export type CookieName = "session" | "attempt" | "mailed";

const MAX_AGE = { session: 14 * 86_400, attempt: 86_400, mailed: 3600 } as const satisfies Record<CookieName, number>;

/** What our cookies hold; anything else in them was not set by us. */
const VALUE = /^[A-Za-z0-9_-]{1,512}$/;

/**
 * The prefix `__Host-` (RFC 6265bis section 4.1.3.2) keeps neighbouring hosts from setting the cookie. It needs Secure,
 * which on http a browser would drop: there, on loopback only, both are left out.
 */
function fullName(name: CookieName, secure: boolean): string {
  return `${secure ? "__Host-" : ""}posthaste-${name}`;
}

/** The cookie's value, if the request brings one that could be ours. */
export function readCookie(c: Context, publicUrl: URL, name: CookieName): string | undefined {
  const value = getCookie(c, fullName(name, publicUrl.protocol === "https:"));
  return value !== undefined && VALUE.test(value) ? value : undefined;
}

/** Sets the cookie, or removes it where the value is null. SameSite=Lax: a click in a mail must bring it along. */
export function writeCookie(c: Context, publicUrl: URL, name: CookieName, value: string | null): void {
  const secure = publicUrl.protocol === "https:";
  setCookie(c, fullName(name, secure), value ?? "", {
    path: "/",
    httpOnly: true,
    sameSite: "Lax",
    secure,
    maxAge: value === null ? 0 : MAX_AGE[name],
  });
}
