import { html } from "hono/html";
import { catalogueOf } from "../locale.ts";
import {
  backLink,
  emailField,
  form,
  hidden,
  messagePage,
  page,
  passwordField,
  type Html,
  type Showing,
} from "./page.ts";

/** What the page with the button needs to know. */
export interface ActivationOffer {
  readonly token: string;
  readonly email: string;
  /** Whether the password is asked for: this is not the browser that signed up. */
  readonly asksPassword: boolean;
}

/** GET /users/activate for whoever may not activate by opening the link. */
export function activatePage(showing: Showing, { token, email, asksPassword }: ActivationOffer): Html {
  const { pages } = catalogueOf(showing.locale);
  const content = html`${hidden("token", token)}${
    asksPassword
      ? html`<p>${pages.activatePassword}</p>
          ${passwordField(showing)}`
      : ""
  }`;
  return page(
    showing,
    pages.activate,
    html`<p>${pages.activateText(email)}</p>
      ${form("/users/activate", content, pages.activateButton)}
      <hr />
      ${form(
        "/users/activate/decline",
        html`${hidden("token", token)}
          <p class="hint">${pages.declineText}</p>`,
        pages.decline,
        true,
      )}`,
  );
}

/** The account is active, by this click or an earlier one. */
export function activatedPage(showing: Showing, message: string, next: string | null): Html {
  const { pages } = catalogueOf(showing.locale);
  const login = next === null ? "/users/login" : `/users/login?next=${encodeURIComponent(next)}`;
  return page(
    showing,
    pages.activate,
    html`<p class="status" role="status">${message}</p>
      <p><a class="button" href="${login}">${pages.login}</a></p>
      ${backLink(catalogueOf(showing.locale))}`,
  );
}

/** "This was not me" was heard. */
export function declinedPage(showing: Showing): Html {
  const { answers, pages } = catalogueOf(showing.locale);
  return messagePage(showing, pages.activate, html`<p class="status" role="status">${answers.declined}</p>`);
}

/** The link has expired or is not valid; another mail may help. @param email the attempt's, where the link is genuine. */
export function deadLinkPage(showing: Showing, email?: string): Html {
  const { pages } = catalogueOf(showing.locale);
  const expired = showing.error?.code === "expired_token";
  return page(
    showing,
    pages.activate,
    html`<p>${expired ? pages.expiredText : pages.invalidText}</p>
      ${expired ? form("/users/activate/resend", emailField(showing, email), pages.resend) : html`<p><a class="button quiet" href="/users/activate/resend">${pages.resend}</a></p>`}
      ${backLink(catalogueOf(showing.locale))}`,
  );
}

/** GET /users/activate/resend */
export function resendPage(showing: Showing): Html {
  const { pages } = catalogueOf(showing.locale);
  return page(
    showing,
    pages.resend,
    html`<p>${pages.resendText}</p>
      ${form("/users/activate/resend", emailField(showing), pages.resend)} ${backLink(catalogueOf(showing.locale))}`,
  );
}

/** After POST /users/activate/resend. */
export function resentPage(showing: Showing): Html {
  const { answers, pages } = catalogueOf(showing.locale);
  return messagePage(
    showing,
    pages.sent,
    html`<p class="status" role="status">${answers.resent}</p>
      <p>${pages.sentHelp}</p>`,
  );
}
