import type { Context } from "hono";
import type { z } from "zod";
import { readBody, type Body } from "../body.ts";
import type { AccountsContext } from "../context.ts";
import { fieldNames, parseFields } from "../field.ts";
import { catalogueOf, localeOf, type Locale } from "../locale.ts";
import { networkOf } from "../network.ts";
import type { Html, Showing } from "../pages/page.ts";
import { OverloadedError } from "../password.ts";
import { takeFromBucket, type Limits } from "../rate-limit.ts";
import { representationOf, type Representation } from "../representation.ts";
import { RequestError, type RequestErrorCode } from "../request-error.ts";

/** Who asks, as far as the server knows. */
export interface Client {
  /** The IP address of the client, not of a proxy before this process. */
  readonly address?: string | undefined;
}

/** What Hono carries along with a request of ours. */
export interface ExchangeEnv {
  Bindings: { readonly client?: Client | undefined };
  Variables: { locale: Locale };
}

/** One request and its answer. */
export type Exchange = Context<ExchangeEnv>;

export function representation(c: Exchange, otherwise: Representation): Representation {
  return representationOf(c.req.header("accept"), otherwise);
}

export function networkOfClient(c: Exchange): string {
  // Bindings are absent where a caller gives none.
  return networkOf((c.env as ExchangeEnv["Bindings"] | undefined)?.client?.address);
}

/** The page's language, and the error where there is one. */
export function showing(c: Exchange, details: { values?: Body; error?: RequestError } = {}): Showing {
  return { locale: c.get("locale"), ...details };
}

/** What a thrown value means to the client; undefined where it is a fault of ours. */
export function requestErrorOf(thrown: unknown): RequestError | undefined {
  if (thrown instanceof RequestError) return thrown;
  if (thrown instanceof OverloadedError || isBusy(thrown))
    return new RequestError("overloaded", { headers: { "Retry-After": "2" } });
  return undefined;
}

/** Another process held SQLite's write lock for longer than the connection waits (SQLITE_BUSY, primary result code 5). */
function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && "errcode" in thrown && (Number(thrown.errcode) & 0xff) === 5;
}

/** The answer to a request that is refused, as JSON (RFC 9457 where it is asked for). */
export function refusal(c: Exchange, error: RequestError): Response {
  const { errors, faults } = catalogueOf(c.get("locale"));
  const { code, status } = error;
  const message = errors[code];
  const fields = Object.entries(error.faults).map(([name, list]) => [name, list.map((fault) => faults[fault])]);
  const members = { code, errors: Object.fromEntries(fields) as Record<string, string[]> };
  if (representation(c, "json") === "problem") {
    const problem = { type: "about:blank", title: message, status, detail: message, ...members };
    return c.body(JSON.stringify(problem), status, { ...error.headers, "Content-Type": "application/problem+json" });
  }
  return c.json({ ...members, message }, status, error.headers);
}

/** The same as a page. */
export function refusalPage(c: Exchange, error: RequestError, html: Html): Response | Promise<Response> {
  return c.html(html, error.status, error.headers);
}

/**
 * Reads a POST's body and runs the route. What refuses it is shown on the form that it came from, if it came from one.
 *
 * @param form the page to show a refusal on.
 */
export async function post<Schema extends z.ZodObject>(
  c: Exchange,
  schema: Schema,
  form: (refused: Showing) => Html,
  run: (fields: z.output<Schema>, as: Representation) => Promise<Response>,
): Promise<Response> {
  const body = await readBody(c.req.raw, fieldNames(schema));
  const locale = localeOf(body.locale);
  if (locale !== undefined) c.set("locale", locale);
  const as = representation(c, "json");
  try {
    return await run(parseFields(schema, body), as);
  } catch (thrown) {
    const error = requestErrorOf(thrown);
    if (error === undefined || as !== "html") throw thrown;
    return refusalPage(c, error, form(showing(c, { values: body, error })));
  }
}

/** Counts the request. @throws {RequestError} too_many_requests, the same for every address. */
export async function limit(context: AccountsContext, name: keyof Limits, subject: string): Promise<void> {
  const seconds = await takeFromBucket(context.db, context.limits[name], name, subject);
  if (seconds !== undefined)
    throw new RequestError("too_many_requests", { headers: { "Retry-After": String(seconds) } });
}

/** A shorthand for an error that concerns no field. */
export function refuse(code: RequestErrorCode): RequestError {
  return new RequestError(code);
}
