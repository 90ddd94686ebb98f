import { html, raw } from "hono/html";
import type { Catalogue } from "../catalogue/en.ts";
import type { Body } from "../body.ts";
import { catalogueOf, type Locale } from "../locale.ts";
import type { RequestError } from "../request-error.ts";
import { STYLE_ELEMENT } from "./style.ts";

/** Escaped HTML. */
export type Html = ReturnType<typeof html>;

/** What a page is shown with: the language, and after a refused form its fields and what was wrong with them. */
export interface Showing {
  readonly locale: Locale;
  readonly values?: Body;
  readonly error?: RequestError;
}

/** A whole page. */
export function page(showing: Showing, title: string, content: unknown): Html {
  const { pages, errors } = catalogueOf(showing.locale);
  const { error } = showing;
  return html`<!doctype html>
    <html lang="${showing.locale}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>${error === undefined ? "" : pages.errorPrefix}${title}</title>
        ${raw(STYLE_ELEMENT)}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${error === undefined ? "" : html`<p class="alert" role="alert">${errors[error.code]}</p>`} ${content}
        </main>
      </body>
    </html> `;
}

/** A field of a form. None has a maxlength: a browser would cut a pasted password there, and say nothing. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: "email" | "password" | "text";
  readonly autocomplete: string;
  readonly hint?: string;
  readonly optional?: boolean;
  readonly minLength?: number;
  readonly value?: string;
}

/** A labelled input, with its hint and its faults beside it. What was typed is kept, unless it is a password. */
export function field(showing: Showing, options: Field): Html {
  const { name, label, type, autocomplete, hint, optional, minLength } = options;
  const faults = (showing.error?.faults[name] ?? []).map((fault) => catalogueOf(showing.locale).faults[fault]);
  const typed = showing.values?.[name];
  const value = type === "password" ? undefined : typeof typed === "string" ? typed : options.value;
  const describedBy = [
    ...(hint === undefined ? [] : [`${name}-hint`]),
    ...(faults.length === 0 ? [] : [`${name}-fault`]),
  ];
  const firstFault = faults.length > 0 && Object.keys(showing.error?.faults ?? {})[0] === name;
  return html`<div class="field">
    <label for="${name}">${label}</label>
    <input
      id="${name}"
      name="${name}"
      type="${type}"
      autocomplete="${autocomplete}"
      ${attribute("minlength", minLength)}${attribute("value", value)}${attribute("aria-describedby", describedBy.join(" "))}${optional === true ? "" : raw(" required")}${faults.length === 0 ? "" : raw(' aria-invalid="true"')}${firstFault ? raw(" autofocus") : ""}
    />
    ${hint === undefined ? "" : html`<p class="hint" id="${name}-hint">${hint}</p>`}
    ${faults.length === 0 ? "" : html`<p class="fault" id="${name}-fault">${faults.join(" ")}</p>`}
  </div>`;
}

function attribute(name: string, value: string | number | undefined): Html | "" {
  return value === undefined || value === "" ? "" : html` ${raw(name)}="${value}"`;
}

/** The address field, the same on every page. */
export function emailField(showing: Showing, value?: string): Html {
  const { email } = catalogueOf(showing.locale).pages;
  const options: Field = { name: "email", label: email, type: "email", autocomplete: "email" };
  return field(showing, value === undefined ? options : { ...options, value });
}

/** The field for a password that there is already. */
export function passwordField(showing: Showing): Html {
  const { password } = catalogueOf(showing.locale).pages;
  return field(showing, { name: "password", label: password, type: "password", autocomplete: "current-password" });
}

/** A form that posts to one of the routes. Its submit button has no name: it would be a field that no route knows. */
export function form(action: string, content: unknown, button: string, quiet = false): Html {
  return html`<form method="post" action="${action}">
${content}
<button${quiet ? raw(' class="quiet"') : ""}>${button}</button>
</form>`;
}

export function hidden(name: string, value: unknown): Html | "" {
  return typeof value === "string" && value !== "" ? html`<input type="hidden" name="${name}" value="${value}" />` : "";
}

/** A page that only says something. */
export function messagePage(showing: Showing, title: string, detail: unknown): Html {
  return page(showing, title, html`${detail}${backLink(catalogueOf(showing.locale))}`);
}

export function backLink({ pages }: Catalogue): Html {
  return html`<footer>
    <p><a href="/">${pages.back}</a></p>
  </footer>`;
}
