import { Hono } from "hono";
import type { Context } from "hono";
import { languageDetector } from "hono/language";
import { SettingsError } from "posthaste";
import { createApi } from "./api.ts";
import { createGuard } from "./guard.ts";
import { MAIL_HTML_POLICY, mailDocument } from "./html-document.ts";
import { messagePage } from "./message-page.ts";
import { listPage, notFoundPage } from "./pages.ts";
import type { Site } from "./pages.ts";
import { matcher } from "./search.ts";
import type { Store } from "./store.ts";
import { STYLE_HASH } from "./stylesheet.ts";
import { LANGUAGES, WORDING } from "./wording.ts";
import type { Language } from "./wording.ts";

/** What {@link createWeb} needs. */
export interface WebOptions {
  readonly store: Store;
  readonly basePath: string;
  readonly allowedHosts: readonly string[];
  /** Where mail may be sent to, for the page of an empty inbox. */
  readonly smtpAddress: () => string;
}

/** The pages load nothing but their own stylesheet and the frame of a mail, and no page can frame them. */
const PAGE_POLICY = [
  "default-src 'none'",
  `style-src '${STYLE_HASH}'`,
  "img-src data:",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** On every response, where the route says nothing else. */
const SECURITY_FIELDS = {
  "cache-control": "no-store",
  "content-security-policy": PAGE_POLICY,
  "cross-origin-resource-policy": "same-origin",
  // Not no-referrer: a form would then be posted with `Origin: null`.
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-dns-prefetch-control": "off",
} as const;

/** Makes the handler of the pages and the API. @throws {SettingsError} when an option has a value that is not allowed. */
export function createWeb(options: WebOptions): (request: Request) => Promise<Response> {
  const refuse = createGuard(options.allowedHosts);
  const app = routes(options);
  return async (request) => {
    const refusal = refuse(request);
    const response = refusal === undefined ? await app.fetch(request) : Response.json(refusal, { status: 403 });
    for (const [name, value] of Object.entries(SECURITY_FIELDS)) {
      if (!response.headers.has(name)) response.headers.set(name, value);
    }
    return response;
  };
}

type WebEnv = { Variables: { language: Language } };

function routes(options: WebOptions): { fetch(request: Request): Response | Promise<Response> } {
  const base = checkedBasePath(options.basePath);
  const app = new Hono<WebEnv>({ strict: false }).basePath(base === "" ? "/" : base);
  app.use(
    languageDetector({ order: ["header"], caches: false, supportedLanguages: [...LANGUAGES], fallbackLanguage: "en" }),
  );
  app.route("/api", createApi(options.store));
  addPages(app, base, options);
  app.notFound((c) => {
    const isApi = `${c.req.path}/`.startsWith(`${base}/api/`);
    if (isApi) return c.json({ code: "not-found", message: "there is no such message or path" }, 404);
    return c.html(notFoundPage(siteOf(c, base)), 404);
  });
  return app;
}

function addPages(app: Hono<WebEnv>, base: string, { store, smtpAddress }: WebOptions): void {
  app.get("/", (c) => {
    const query = c.req.query("query") ?? "";
    const messages = store.all().filter(matcher(query));
    return c.html(listPage(siteOf(c, base), { messages, query, smtpAddress: smtpAddress() }));
  });
  app.post("/empty", (c) => {
    store.clear();
    return c.redirect(`${base}/`, 303);
  });
  app.get("/messages/:id", (c) => {
    const message = store.get(c.req.param("id"));
    if (message === undefined) return c.notFound();
    return c.html(messagePage(siteOf(c, base), message, c.req.query("view")));
  });
  app.get("/messages/:id/html", (c) => {
    const message = store.get(c.req.param("id"));
    if (message === undefined || message.html === "") return c.notFound();
    return c.html(mailDocument(message), 200, { "content-security-policy": MAIL_HTML_POLICY });
  });
}

/** Outside the mount no language was detected. */
function siteOf(c: Context<WebEnv>, base: string): Site {
  const language = (c.get("language") as Language | undefined) ?? "en";
  return { language, wording: WORDING[language], base };
}

/** Steps of unreserved characters (RFC 3986 section 2.3), which are also plain text to the router. */
const BASE_PATH = /^(?:\/[\w.~-]+)*\/?$/;

function checkedBasePath(basePath: string): string {
  if (BASE_PATH.test(basePath)) return basePath.replace(/\/$/, "");
  throw new SettingsError(
    "bad-setting",
    'basePath must be a path such as "/" or "/inbox", of letters, digits and -._~',
    {
      field: "basePath",
    },
  );
}
