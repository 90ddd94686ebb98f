import { SettingsError } from "posthaste";

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Reads the URL under which people reach the service. Links are built from it alone, never from a request's Host.
 *
 * @throws {SettingsError} naming PUBLIC_URL: it must be an origin without path, https, or http on loopback only.
 */
export function parsePublicUrl(value: string | URL): URL {
  const url = URL.parse(String(value));
  if (url === null || !/^https?:$/.test(url.protocol)) throw settingsError("must be an http or https URL");
  if (url.username !== "" || url.password !== "") throw settingsError("must hold no user name or password");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "")
    throw settingsError("must hold no path, query or fragment");
  if (url.protocol === "http:" && !LOOPBACK.test(url.hostname)) {
    throw settingsError("must be https unless its host is loopback, since cookies and passwords would travel in clear");
  }
  return url;
}

/**
 * Where to go on afterwards, if that is a path of our own; else null. Judged by what a browser would make of it:
 * `//evil.example`, `/\evil.example` and `/.//evil.example` all lead elsewhere.
 */
export function ownPath(publicUrl: URL, next: string | undefined): string | null {
  if (next === undefined || !next.startsWith("/") || next.includes("\\")) return null;
  const url = URL.parse(next, publicUrl.href);
  if (url?.origin !== publicUrl.origin || url.pathname.startsWith("//")) return null;
  return `${url.pathname}${url.search}${url.hash}`;
}

function settingsError(reason: string): SettingsError {
  return new SettingsError("bad-setting", `PUBLIC_URL ${reason}`, { setting: "PUBLIC_URL" });
}
