import { html } from "hono/html";
import { catalogueOf } from "../locale.ts";
import type { SessionUser } from "../session.ts";
import {
  backLink,
  emailField,
  field,
  form,
  hidden,
  page,
  passwordField,
  type Field,
  type Html,
  type Showing,
} from "./page.ts";

/** GET /: where to begin. */
export function startPage(showing: Showing, links: readonly { readonly href: string; readonly label: string }[]): Html {
  const { pages } = catalogueOf(showing.locale);
  return page(
    showing,
    pages.start,
    html`<p>${pages.startText}</p>
      <p class="row">
        <a class="button" href="/users/signup">${pages.signup}</a
        ><a class="button quiet" href="/users/login">${pages.login}</a>
      </p>
      <footer>
        <ul>
          <li><a href="/users/me">${pages.me}</a></li>
          ${links.map(({ href, label }) => html`<li><a href="${href}">${label}</a></li>`)}
        </ul>
      </footer>`,
  );
}

/** GET /users/signup */
export function signupPage(showing: Showing, next?: unknown): Html {
  const { pages } = catalogueOf(showing.locale);
  const passwords: Omit<Field, "name" | "label"> = { type: "password", autocomplete: "new-password", minLength: 8 };
  const content = html`${hidden("next", showing.values?.next ?? next)} ${emailField(showing)}
  ${field(showing, { name: "name", label: pages.name, type: "text", autocomplete: "name", optional: true })}
  ${field(showing, { ...passwords, name: "password", label: pages.password, hint: pages.passwordHint })}
  ${field(showing, { ...passwords, name: "password2", label: pages.password2 })}`;
  return page(
    showing,
    pages.signup,
    html`${form("/users/signup", content, pages.signup)}
      <footer>
        <p>${pages.haveAccount} <a href="/users/login">${pages.login}</a></p>
      </footer>`,
  );
}

/** GET /users/signup/sent: after a sign-up. @param email what this browser typed, if it still knows. */
export function sentPage(showing: Showing, email: string | undefined): Html {
  const { pages } = catalogueOf(showing.locale);
  const resend = html`${hidden("email", email)}`;
  return page(
    showing,
    pages.sent,
    html`${email === undefined ? "" : html`<p><strong>${pages.sentTo(email)}</strong></p>`}
      <p>${pages.sentText}</p>
      <p>${pages.sentHelp}</p>
      ${email === undefined ? html`<p><a class="button quiet" href="/users/activate/resend">${pages.resend}</a></p>` : form("/users/activate/resend", resend, pages.resend, true)}
      ${backLink(catalogueOf(showing.locale))}`,
  );
}

/** GET /users/login */
export function loginPage(showing: Showing, next?: unknown): Html {
  const { pages } = catalogueOf(showing.locale);
  const content = html`${hidden("next", showing.values?.next ?? next)} ${emailField(showing)} ${passwordField(showing)}`;
  return page(
    showing,
    pages.login,
    html`${form("/users/login", content, pages.login)}
      <footer>
        <p>${pages.noAccount} <a href="/users/signup">${pages.signup}</a></p>
        <p><a href="/users/activate/resend">${pages.resend}</a></p>
      </footer>`,
  );
}

/** GET /users/me */
export function mePage(showing: Showing, user: SessionUser): Html {
  const { pages } = catalogueOf(showing.locale);
  return page(
    showing,
    pages.me,
    html`<dl>
        <dt>${pages.signedUpAs}</dt>
        <dd>${user.email}</dd>
        ${
          user.name === ""
            ? ""
            : html`<dt>${pages.nameLabel}</dt>
                <dd>${user.name}</dd>`
        }
      </dl>
      ${form("/users/logout", "", pages.logout, true)} ${backLink(catalogueOf(showing.locale))}`,
  );
}
