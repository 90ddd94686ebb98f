import { qualityValues } from "./locale.ts";

/** How an answer is written: a page for people, JSON, or RFC 9457's JSON for errors. */
export type Representation = "html" | "json" | "problem";

/** What the Accept header asks for; `otherwise` where it names neither HTML nor JSON (`*` + `/*`, or nothing at all). */
export function representationOf(accept: string | undefined, otherwise: Representation): Representation {
  const quality = new Map(qualityValues(accept).map(({ value, quality }) => [value, quality]));
  const html = quality.get("text/html") ?? 0;
  const json = quality.get("application/json") ?? 0;
  const problem = quality.get("application/problem+json") ?? 0;
  if (html > 0 && html >= json && html >= problem) return "html";
  if (problem > 0) return "problem";
  return json > 0 ? "json" : otherwise;
}

/** Whether somebody's program asks: the Accept header names JSON, and not HTML. No scanner of mails does that. */
export function isApiClient(accept: string | undefined): boolean {
  const named = qualityValues(accept).filter(({ quality }) => quality > 0);
  return named.some(({ value }) => value === "application/json") && !named.some(({ value }) => value === "text/html");
}

/** Whether nobody looks at the answer yet: prefetch, prerender or preview. */
export function isSpeculative(headers: Headers): boolean {
  return ["sec-purpose", "purpose", "x-purpose", "x-moz"].some((name) => headers.has(name));
}

/**
 * Whether another site's page sent the request. Fetch metadata decides where the browser sends it; `same-site` is a
 * neighbour under the same domain, and no friend. Else Origin must be ours. A client that sends neither is no browser.
 */
export function isCrossSite(headers: Headers, publicUrl: URL): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = headers.get("origin");
  return origin !== null && origin !== publicUrl.origin;
}
