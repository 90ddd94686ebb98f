import { AuthError, SmtpError } from "../../errors.ts";
import { hasControl } from "../../text.ts";
import type { Credentials, TokenCredentials } from "./mechanism.ts";

export function isToken(credentials: Credentials): credentials is TokenCredentials {
  return "accessToken" in credentials && credentials.accessToken !== undefined;
}

/**
 * Refuses what would end a field of a mechanism's message early: NUL in PLAIN (RFC 4616), U+0001 in OAUTHBEARER.
 *
 * @throws {AuthError} `bad-setting`, naming the option.
 */
export function checkCredentials(credentials: Credentials): void {
  const { user } = credentials;
  if (!isText(user) || hasControl(user)) throw badCredential("auth.user", "a text that is not empty, without controls");
  if (isToken(credentials)) return;
  const { password } = credentials;
  if (!isText(password) || password.includes("\0"))
    throw badCredential("auth.password", "a text that is not empty, without NUL");
}

/**
 * The access token, asked for anew where a function gives it. RFC 6750 section 2.1 has fewer characters, yet issuers
 * differ, and all of visible ASCII is safe in RFC 7628 section 3.1.
 *
 * @throws {AuthError} `bad-setting` when it is not a token; {SmtpError} `token-unavailable` when the function failed,
 * which may be the trouble of a moment; that error is the cause.
 */
export async function bearerToken({ accessToken }: TokenCredentials): Promise<string> {
  const token: unknown = typeof accessToken === "function" ? await askToken(accessToken) : accessToken;
  if (typeof token === "string" && /^[\x21-\x7e]+$/.test(token)) return token;
  throw badCredential("auth.accessToken", "a token of visible ASCII characters, or a function that gives one");
}

async function askToken(ask: () => string | Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (cause) {
    const details = { setting: "auth.accessToken", cause };
    throw new SmtpError("token-unavailable", "auth.accessToken: the function that gives the token failed", details);
  }
}

export function badCredential(setting: string, allowed: string): AuthError {
  return new AuthError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting });
}

/** TextEncoder would put U+FFFD for a lone surrogate, and so present another password. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.isWellFormed();
}
