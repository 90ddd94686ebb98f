import type { Hono } from "hono";
import { signUp } from "../attempt.ts";
import { newSecret, secretHash, type AccountsContext } from "../context.ts";
import { readCookie, writeCookie } from "../cookie.ts";
import { RESEND, SIGNUP } from "../field.ts";
import { catalogueOf } from "../locale.ts";
import { sentPage, signupPage } from "../pages/account.ts";
import { ownPath } from "../public-url.ts";
import { limit, networkOfClient, post, showing, type Exchange, type ExchangeEnv } from "./exchange.ts";

/** Sign-up: the form, the request, and the page after it. */
export function signupRoutes(app: Hono<ExchangeEnv>, context: AccountsContext): void {
  app.get("/users/signup", (c) => c.html(signupPage(showing(c), ownPath(context.publicUrl, c.req.query("next")))));
  app.get("/users/signup/sent", (c) => c.html(sentPage(showing(c), mailedAddress(c, context))));
  app.post("/users/signup", (c) =>
    post(c, SIGNUP, signupPage, async (fields, as) => {
      const network = networkOfClient(c);
      await limit(context, "signupPerNetwork", network);
      await limit(context, "signup", `${network}|${fields.email.key}`);
      await limit(context, "signupPerAddress", fields.email.key);
      const browser = newSecret();
      await signUp(context, {
        ...fields,
        name: fields.name.trim(),
        locale: c.get("locale"),
        next: ownPath(context.publicUrl, fields.next),
        passwordHash: await context.hasher.hash(fields.password),
        browserHash: secretHash(browser),
        network,
      });
      // A new secret each time: were an older one kept, whoever used this browser before could have signed up with the
      // same address, and the owner's click on that mail would activate with the stranger's password.
      writeCookie(c, context.publicUrl, "attempt", browser);
      const { email } = fields;
      if (as === "html") {
        writeCookie(c, context.publicUrl, "mailed", Buffer.from(email.typed).toString("base64url"));
        return c.redirect("/users/signup/sent", 303);
      }
      const { answers } = catalogueOf(c.get("locale"));
      return c.json({ message: answers.signedUp, detail: answers.signedUpDetail, email: email.typed }, 201);
    }),
  );
}

/** What this browser typed last, from its own cookie; nothing else is known about it. */
function mailedAddress(c: Exchange, context: AccountsContext): string | undefined {
  const cookie = readCookie(c, context.publicUrl, "mailed");
  if (cookie === undefined) return undefined;
  const result = RESEND.safeParse({ email: Buffer.from(cookie, "base64url").toString() });
  return result.success ? result.data.email.typed : undefined;
}
