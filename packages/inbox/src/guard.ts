import { SettingsError } from "posthaste";

/** Why a request is refused: a stable code and a sentence for whoever sent it. */
export interface Refusal {
  readonly code: "host-not-allowed" | "cross-site";
  readonly message: string;
}

/**
 * Judges whether a request may be answered. The pages show every activation link, so no site but the inbox itself may
 * make a browser read them or empty them.
 */
export function createGuard(allowedHosts: readonly string[]): (request: Request) => Refusal | undefined {
  const allowed = new Set(allowedHosts.map(checkedHost));
  return (request) => {
    const url = new URL(request.url);
    const header = request.headers.get("host");
    const hosts = header === null ? [url.hostname] : [url.hostname, hostnameOf(header)];
    if (!hosts.every((host) => isLoopbackName(host) || allowed.has(host))) return HOST_NOT_ALLOWED;
    return isSafe(request.method) || isSameOrigin(request, url) ? undefined : CROSS_SITE;
  };
}

const HOST_NOT_ALLOWED: Refusal = {
  code: "host-not-allowed",
  message: "the inbox answers only under localhost, 127.0.0.1, [::1] and the names in its option allowedHosts",
};

const CROSS_SITE: Refusal = {
  code: "cross-site",
  message: "the inbox takes changes only from its own pages, and from programs that are not browsers",
};

function isLoopbackName(hostname: string): boolean {
  return hostname === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(hostname) || /^(?:[^.]+\.)*localhost$/.test(hostname);
}

/** The host of a Host field (RFC 9110 section 7.2) as URLs spell it; empty when it is none. */
function hostnameOf(host: string): string {
  return /[/?#@\\\s]/.test(host) || !URL.canParse(`http://${host}`) ? "" : new URL(`http://${host}`).hostname;
}

function checkedHost(host: string): string {
  const hostname = hostnameOf(host);
  if (hostname !== "" && hostname === host.toLowerCase()) return hostname;
  const fix = "give the name alone, without scheme and port";
  throw new SettingsError("bad-setting", `allowedHosts holds an entry that is no host name; ${fix}`, {
    field: "allowedHosts",
  });
}

function isSafe(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/**
 * Browsers send Sec-Fetch-Site to loopback and https (Fetch Metadata section 2.1), Origin with every unsafe method.
 * Neither comes from curl or a test, which no site can steer.
 */
function isSameOrigin(request: Request, url: URL): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin" || site === "none";
  const origin = request.headers.get("origin");
  return origin === null || origin === url.origin;
}
