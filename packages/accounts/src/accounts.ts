import type { DatabaseSync } from "node:sqlite";
import { sqliteDialect } from "@posthaste/outbox/kysely";
import { Hono } from "hono";
import { Kysely } from "kysely";
import { parseMailbox, SettingsError } from "posthaste";
import type { AccountsContext, ActivationPolicy } from "./context.ts";
import type { AccountsDatabase } from "./database.ts";
import type { KeyRing } from "./key-ring.ts";
import { acceptedLocale, catalogueOf } from "./locale.ts";
import { startPage } from "./pages/account.ts";
import { messagePage } from "./pages/page.ts";
import { CONTENT_SECURITY_POLICY } from "./pages/style.ts";
import { createPasswordHasher } from "./password.ts";
import { parsePublicUrl } from "./public-url.ts";
import { DEFAULT_LIMITS, type Limits } from "./rate-limit.ts";
import { isCrossSite } from "./representation.ts";
import { RequestError } from "./request-error.ts";
import { activationRoutes } from "./routes/activation.ts";
import {
  refusal,
  refusalPage,
  refuse,
  representation,
  requestErrorOf,
  showing,
  type Client,
  type Exchange,
  type ExchangeEnv,
} from "./routes/exchange.ts";
import { loginRoutes } from "./routes/login.ts";
import { signupRoutes } from "./routes/signup.ts";

/** Options of {@link createAccounts}. */
export interface AccountsOptions {
  /**
   * A connection of the accounts' own, on which `migrateOutbox` and `migrateAccounts` have run. Nothing else may use it
   * in the meantime: a statement from elsewhere would join a transaction that is open. The caller closes it.
   */
  readonly database: DatabaseSync;
  /** From {@link parseKeyRing}. */
  readonly keys: KeyRing;
  /** Under which people reach the service, such as `https://example.com`. Links are built from it alone. */
  readonly publicUrl: string | URL;
  /** The mails' From field; its address is also where bounces go. */
  readonly from: string;
  /** Who may activate by opening the link. Default `same-browser`. */
  readonly activation?: ActivationPolicy;
  /** Called after a mail was committed to the outbox, to wake its worker. */
  readonly onEnqueued?: () => void;
  /** Called with what was answered as 500, or thrown by onEnqueued; it holds no request. Default: `console.error`. */
  readonly onError?: (error: unknown) => void;
  /** Limits other than the default ones. */
  readonly limits?: Partial<Limits>;
  /** More links on the start page. */
  readonly links?: readonly { readonly href: string; readonly label: string }[];
}

/** The accounts service. */
export interface Accounts {
  /**
   * Answers a request: everything under /users, `GET /` and `GET /healthz`; 404 to anything else. Never rejects.
   *
   * @param client who asks; its address is what limits count by. Behind a proxy, the caller finds it out.
   */
  fetch(request: Request, client?: Client): Promise<Response>;
}

const POLICIES: readonly ActivationPolicy[] = ["same-browser", "click", "button"];

/**
 * Makes the accounts service.
 *
 * @throws {SettingsError} naming PUBLIC_URL, activation or limits. @throws {AddressError} naming from.
 */
export function createAccounts(options: AccountsOptions): Accounts {
  const activation = options.activation ?? "same-browser";
  if (!POLICIES.includes(activation)) {
    throw new SettingsError("bad-setting", `activation must be one of ${POLICIES.join(", ")}`, {
      setting: "activation",
    });
  }
  const onError = options.onError ?? ((error) => console.error(error));
  const context: AccountsContext = {
    db: new Kysely<AccountsDatabase>({ dialect: sqliteDialect(options.database) }),
    keys: options.keys,
    publicUrl: parsePublicUrl(options.publicUrl),
    reversePath: parseMailbox(options.from, "from").addrSpec,
    activation,
    hasher: createPasswordHasher(),
    limits: checkLimits({ ...DEFAULT_LIMITS, ...options.limits }),
    links: options.links ?? [],
    onEnqueued: () => {
      try {
        options.onEnqueued?.();
      } catch (error) {
        // The sign-up is committed; the worker's next poll finds its mail.
        onError(error);
      }
    },
    onError,
  };
  const app = createApp(context);
  return { fetch: async (request, client) => app.fetch(request, { client }) };
}

function checkLimits(limits: Limits): Limits {
  for (const [name, { requests, seconds }] of Object.entries(limits) as [string, Limits[keyof Limits]][]) {
    if (Number.isSafeInteger(requests) && requests > 0 && seconds > 0 && requests <= seconds * 1000) continue;
    const message = `limits.${name} needs a whole number of requests from 1 on and seconds, at most one request a millisecond`;
    throw new SettingsError("bad-setting", message, { setting: `limits.${name}` });
  }
  return limits;
}

function createApp(context: AccountsContext): Hono<ExchangeEnv> {
  const app = new Hono<ExchangeEnv>({ strict: false });
  app.use(async (c, next) => {
    c.set("locale", acceptedLocale(c.req.header("accept-language")) ?? "en");
    await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
  });
  app.use(async (c, next) => {
    const safe = ["GET", "HEAD", "OPTIONS"].includes(c.req.method);
    if (!safe && isCrossSite(c.req.raw.headers, context.publicUrl)) throw refuse("cross_site");
    await next();
  });
  app.get("/", (c) => c.html(startPage(showing(c), context.links)));
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  signupRoutes(app, context);
  activationRoutes(app, context);
  loginRoutes(app, context);
  refuseOtherMethods(app);
  app.notFound((c) => answerError(c, refuse("not_found")));
  app.onError((thrown, c) => {
    const error = requestErrorOf(thrown);
    if (error === undefined) context.onError(thrown);
    return answerError(c, error ?? refuse("internal"));
  });
  return app;
}

/**
 * Of every answer: pages may carry a token, and answers a session. `same-origin` rather than `no-referrer`, with which
 * browsers send `Origin: null` and the page's own button would be refused as cross-site.
 */
const HEADERS = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": CONTENT_SECURITY_POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
} as const;

function refuseOtherMethods(app: Hono<ExchangeEnv>): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    const known = methods.get(path) ?? new Set(["OPTIONS"]);
    methods.set(path, known.add(method));
    if (method === "GET") known.add("HEAD");
  }
  for (const [path, known] of methods) {
    const headers = { Allow: [...known].sort().join(", ") };
    app.all(path, (c) => {
      if (c.req.method === "OPTIONS") return c.body(null, 204, headers);
      throw new RequestError("method_not_allowed", { headers });
    });
  }
}

function answerError(c: Exchange, error: RequestError): Response | Promise<Response> {
  if (representation(c, "json") !== "html") return refusal(c, error);
  const title = catalogueOf(c.get("locale")).pages.refused;
  return refusalPage(c, error, messagePage(showing(c, { error }), title, ""));
}
