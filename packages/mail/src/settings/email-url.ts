import { SettingsError } from "../errors.ts";

const FORM = "smtp://user:password@host:587, or smtps: for implicit TLS; what is special in user and password as %XX";

/** What `EMAIL_URL` says. */
export interface EmailUrl {
  readonly host: string;
  readonly port: number;
  readonly auth: { readonly user: string; readonly password: string } | undefined;
  readonly tls: "implicit" | undefined;
}

/** @throws {SettingsError} naming EMAIL_URL, never its value: the password is in it. */
export function parseEmailUrl(text: string): EmailUrl {
  // The URL parser would remove line breaks in silence.
  const url = !/[\0-\x20\x7f]/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^smtps?:$/.test(url.protocol) || url.hostname === "" || url.port === "0")
    throw malformed(FORM);
  if (!/^\/?$/.test(url.pathname) || url.search !== "" || url.hash !== "")
    throw malformed(`${FORM}; nothing may follow the port`);
  const implicit = url.protocol === "smtps:" || url.port === "465";
  return {
    host: decoded(url.hostname).replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? (implicit ? 465 : 587) : Number(url.port),
    auth: authOf(url),
    tls: implicit ? "implicit" : undefined,
  };
}

function authOf({ username, password }: URL): EmailUrl["auth"] {
  if (username === "" && password === "") return undefined;
  if (username === "" || password === "") throw malformed("both a user and a password, or neither");
  return { user: decoded(username), password: decoded(password) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed(FORM);
  }
}

function malformed(allowed: string): SettingsError {
  return new SettingsError("bad-setting", `EMAIL_URL: not allowed; it must be ${allowed}`, { setting: "EMAIL_URL" });
}
