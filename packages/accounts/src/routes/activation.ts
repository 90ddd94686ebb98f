import { setTimeout } from "node:timers/promises";
import type { Hono } from "hono";
import { activate, decline, findAttempt, resend, type Attempt } from "../attempt.ts";
import { sameHash, secretHash, type AccountsContext } from "../context.ts";
import { readCookie } from "../cookie.ts";
import { ACTIVATE, DECLINE, RESEND } from "../field.ts";
import { acceptedLocale, catalogueOf, localeOf } from "../locale.ts";
import {
  activatedPage,
  activatePage,
  deadLinkPage,
  declinedPage,
  resendPage,
  resentPage,
} from "../pages/activation.ts";
import type { Html, Showing } from "../pages/page.ts";
import { isApiClient, isSpeculative, type Representation } from "../representation.ts";
import { RequestError } from "../request-error.ts";
import { verifyToken } from "../token.ts";
import {
  limit,
  networkOfClient,
  post,
  refusal,
  refusalPage,
  refuse,
  representation,
  requestErrorOf,
  showing,
  type Exchange,
  type ExchangeEnv,
} from "./exchange.ts";

/**
 * Every resend takes this long, in milliseconds: queuing a mail takes 3 to 5, finding that there is none to send takes 1
 * to 2 less, and no password hash hides the difference, as it does at sign-up.
 */
const RESEND_TIME = 50;

/** What the mail's link leads to. */
export function activationRoutes(app: Hono<ExchangeEnv>, context: AccountsContext): void {
  app.get("/users/activate", (c) => openLink(c, context));
  app.post("/users/activate", (c) => postToken(c, context));
  app.post("/users/activate/decline", (c) =>
    post(c, DECLINE, deadLinkPage, async (fields, as) => {
      const attempt = await lookUp(context, fields.token);
      if (attempt === undefined) throw refuse("invalid_token");
      if (attempt.state === "active") return answerActive(c, as, "alreadyActive", attempt);
      await decline(context, attempt.id, networkOfClient(c));
      if (as === "html") return c.html(declinedPage(showing(c)));
      return c.json({ message: catalogueOf(c.get("locale")).answers.declined, is_active: false });
    }),
  );
  app.get("/users/activate/resend", (c) => c.html(resendPage(showing(c))));
  app.post("/users/activate/resend", (c) =>
    post(c, RESEND, resendPage, async ({ email }, as) => {
      const network = networkOfClient(c);
      await limit(context, "resendPerNetwork", network);
      await limit(context, "resendPerAddress", email.key);
      const work = resend(context, { email, browserHash: browserHash(c, context), network });
      await Promise.all([work, setTimeout(RESEND_TIME)]);
      if (as === "html") return c.html(resentPage(showing(c)), 202);
      return c.json({ message: catalogueOf(c.get("locale")).answers.resent }, 202);
    }),
  );
}

/** The attempt behind a token, if the token is genuine. */
async function lookUp(context: AccountsContext, token: string): Promise<Attempt | undefined> {
  const id = verifyToken(context.keys, "activation", token);
  return id === undefined ? undefined : findAttempt(context, id);
}

/** Why the attempt cannot be activated, if it cannot. */
function deadLink(attempt: Attempt | undefined): RequestError | undefined {
  if (attempt === undefined || attempt.state === "void") return refuse("invalid_token");
  return attempt.state === "expired" ? refuse("expired_token") : undefined;
}

/** The hash of the cookie that this browser got when it signed up. */
function browserHash(c: Exchange, context: AccountsContext): string {
  return secretHash(readCookie(c, context.publicUrl, "attempt") ?? "");
}

function isSameBrowser(c: Exchange, context: AccountsContext, attempt: Attempt): boolean {
  return sameHash(browserHash(c, context), attempt.browser_hash);
}

/** Hono runs this for HEAD too, which never activates; nor does a prefetch, whatever it carries. */
function activatesByGet(c: Exchange, context: AccountsContext, attempt: Attempt): boolean {
  if (c.req.raw.method !== "GET" || isSpeculative(c.req.raw.headers)) return false;
  if (context.activation !== "same-browser") return context.activation === "click";
  return isSameBrowser(c, context, attempt) || isApiClient(c.req.header("accept"));
}

async function openLink(c: Exchange, context: AccountsContext): Promise<Response> {
  const as = representation(c, "html");
  const tokens = new URL(c.req.url).searchParams.getAll("token");
  const token = tokens.length === 1 ? (tokens[0] ?? "") : "";
  let attempt = await lookUp(context, token);
  c.set("locale", acceptedLocale(c.req.header("accept-language")) ?? localeOf(attempt?.locale) ?? "en");
  try {
    if (attempt?.state === "open") {
      if (activatesByGet(c, context, attempt)) return await activateNow(c, context, as, attempt);
      if (as !== "html")
        return c.json({ message: catalogueOf(c.get("locale")).answers.notActivatedYet, is_active: false });
      return await c.html(activatePage(showing(c), offer(c, context, attempt, token)));
    }
    return answerClosed(c, as, attempt);
  } catch (thrown) {
    const error = requestErrorOf(thrown);
    if (error === undefined) throw thrown;
    if (as !== "html") return refusal(c, error);
    attempt = attempt === undefined ? undefined : await findAttempt(context, attempt.id);
    return refusalPage(c, error, deadLinkPage(showing(c, { error }), attempt?.email));
  }
}

function postToken(c: Exchange, context: AccountsContext): Promise<Response> {
  let attempt: Attempt | undefined;
  const form = (refused: Showing): Html => {
    const token = refused.values?.token;
    if (attempt?.state !== "open" || typeof token !== "string") return deadLinkPage(refused, attempt?.email);
    return activatePage(refused, offer(c, context, attempt, token));
  };
  return post(c, ACTIVATE, form, async (fields, as) => {
    attempt = await lookUp(context, fields.token);
    if (attempt?.state !== "open") return answerClosed(c, as, attempt);
    if (asksPassword(c, context, attempt)) await checkPassword(context, attempt, fields.password ?? "");
    return activateNow(c, context, as, attempt);
  });
}

function asksPassword(c: Exchange, context: AccountsContext, attempt: Attempt): boolean {
  return context.activation === "same-browser" && !isSameBrowser(c, context, attempt);
}

function offer(
  c: Exchange,
  context: AccountsContext,
  attempt: Attempt,
  token: string,
): { token: string; email: string; asksPassword: boolean } {
  return { token, email: attempt.email, asksPassword: asksPassword(c, context, attempt) };
}

async function checkPassword(context: AccountsContext, attempt: Attempt, password: string): Promise<void> {
  if (password === "") throw new RequestError("password_required", { faults: { password: ["passwordNeeded"] } });
  await limit(context, "activationPassword", attempt.id);
  if (await context.hasher.verify(attempt.password_hash, password)) return;
  throw new RequestError("wrong_password", { faults: { password: ["passwordWrong"] } });
}

async function activateNow(
  c: Exchange,
  context: AccountsContext,
  as: Representation,
  attempt: Attempt,
): Promise<Response> {
  if (await activate(context, attempt.id, networkOfClient(c))) return answerActive(c, as, "activated", attempt);
  // Somebody was quicker, or the time ran out between the look and the UPDATE.
  return answerClosed(c, as, await findAttempt(context, attempt.id));
}

/** @throws {RequestError} invalid_token or expired_token, unless the user is active already. */
function answerClosed(c: Exchange, as: Representation, attempt: Attempt | undefined): Response | Promise<Response> {
  if (attempt?.state === "active") return answerActive(c, as, "alreadyActive", attempt);
  throw deadLink(attempt) ?? new Error("an attempt that could not be activated is still open");
}

function answerActive(
  c: Exchange,
  as: Representation,
  answer: "activated" | "alreadyActive",
  attempt: Attempt,
): Response | Promise<Response> {
  const message = catalogueOf(c.get("locale")).answers[answer];
  if (as === "html") return c.html(activatedPage(showing(c), message, attempt.next));
  return c.json({ message, is_active: true });
}
