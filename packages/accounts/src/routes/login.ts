import type { Hono } from "hono";
import { sql } from "kysely";
import { secretHash, type AccountsContext } from "../context.ts";
import { readCookie, writeCookie } from "../cookie.ts";
import { databaseNow } from "../database.ts";
import { LOGIN, LOGOUT } from "../field.ts";
import { catalogueOf } from "../locale.ts";
import { loginPage, mePage } from "../pages/account.ts";
import { ownPath } from "../public-url.ts";
import { RequestError } from "../request-error.ts";
import { beginSession, endSession, sessionUser, type SessionUser } from "../session.ts";
import {
  limit,
  networkOfClient,
  post,
  refuse,
  representation,
  showing,
  type Exchange,
  type ExchangeEnv,
} from "./exchange.ts";

/** Log in, log out, and who is logged in. */
export function loginRoutes(app: Hono<ExchangeEnv>, context: AccountsContext): void {
  const { publicUrl } = context;
  app.get("/users/login", (c) => c.html(loginPage(showing(c), ownPath(publicUrl, c.req.query("next")))));
  app.post("/users/login", (c) =>
    post(c, LOGIN, loginPage, async (fields, as) => {
      const network = networkOfClient(c);
      await limit(context, "loginPerNetwork", network);
      await limit(context, "login", `${network}|${fields.email.key}`);
      const user = await authenticate(c, context, fields.email.key, fields.password);
      const token = await beginSession(context, { userId: user.id, previous: presentedSession(c, context), network });
      if (token === undefined) throw refuse("invalid_credentials");
      writeCookie(c, publicUrl, "session", token);
      if (as === "html") return c.redirect(ownPath(publicUrl, fields.next) ?? "/users/me", 303);
      return c.json({ message: catalogueOf(c.get("locale")).answers.loggedIn, token, user: publicFields(user) });
    }),
  );
  app.post("/users/logout", (c) =>
    post(c, LOGOUT, loginPage, async (_fields, as) => {
      const secret = presentedSession(c, context);
      if (secret !== undefined) await endSession(context, secret);
      writeCookie(c, publicUrl, "session", null);
      return as === "html" ? c.redirect("/users/login", 303) : c.body(null, 204);
    }),
  );
  app.get("/users/me", async (c) => {
    const secret = presentedSession(c, context);
    const user = secret === undefined ? undefined : await sessionUser(context, secret);
    const html = representation(c, "json") === "html";
    if (user !== undefined)
      return html ? c.html(mePage(showing(c), user)) : c.json({ ...publicFields(user), is_active: true });
    if (html) return c.redirect("/users/login?next=/users/me", 303);
    throw new RequestError("not_authenticated", { headers: { "WWW-Authenticate": "Bearer" } });
  });
}

/** The session's token: a program's bearer (RFC 6750 section 2.1), else the browser's cookie. */
function presentedSession(c: Exchange, context: AccountsContext): string | undefined {
  const bearer = /^Bearer ([A-Za-z0-9_-]{43})$/i.exec(c.req.header("authorization") ?? "")?.[1];
  return bearer ?? readCookie(c, context.publicUrl, "session");
}

function publicFields({ email, name, locale }: SessionUser): Omit<SessionUser, "id"> {
  return { email, name, locale };
}

/**
 * The user, if the password is right. Unknown, inactive and active addresses cost one argon2 alike.
 *
 * `not_verified` is for the browser that signed up, after the password of that sign-up, which costs a second one. The
 * same is said after a sign-up with an address that was active already; were it only said of inactive ones, a stranger
 * could sign up with any address, log in, and learn from the answer whether it has an account.
 */
async function authenticate(
  c: Exchange,
  context: AccountsContext,
  emailKey: string,
  password: string,
): Promise<SessionUser> {
  const user = await context.db
    .selectFrom("posthaste_user")
    .where("email_key", "=", emailKey)
    .select(["id", "email", "name", "locale", "is_active", "password_hash"])
    .executeTakeFirst();
  const attempt = await context.db
    .selectFrom("posthaste_token as token")
    .innerJoin("posthaste_user as user", "user.id", "token.user_id")
    .where("user.email_key", "=", emailKey)
    .where("token.browser_hash", "=", secretHash(readCookie(c, context.publicUrl, "attempt") ?? ""))
    .where("token.password_hash", "is not", null)
    .where(sql<boolean>`coalesce(token.expires_at > ${databaseNow}, 1)`)
    .select("token.password_hash")
    .executeTakeFirst();
  const right = await context.hasher.verify(user?.is_active === 1 ? user.password_hash : null, password);
  if (right && user !== undefined) return user;
  const waiting = attempt !== undefined && (await context.hasher.verify(attempt.password_hash, password));
  throw refuse(waiting ? "not_verified" : "invalid_credentials");
}
