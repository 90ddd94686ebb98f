import { html, raw } from "hono/html";
import type { InboxMailbox, InboxMessage } from "./message.ts";
import { STYLE_ELEMENT } from "./stylesheet.ts";
import type { Language, Wording } from "./wording.ts";

/** What every page needs: its language, and the path that its links begin with, empty at the root. */
export interface Site {
  readonly language: Language;
  readonly wording: Wording;
  readonly base: string;
}

/** A page or a piece of one, escaped. */
export type Html = ReturnType<typeof html>;

/** A longer subject, name or address is cut in the pages; the API and the source have it whole. */
const SHOWN_CHARACTERS = 300;
const SHOWN_IN_LIST = 3;

/** The frame of every page. `title` is plain text. */
export function layout({ language }: Site, title: string, body: Html): Html {
  return html`<!doctype html>
    <html lang="${language}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        ${raw(STYLE_ELEMENT)}
      </head>
      <body>
        ${body}
      </body>
    </html>`;
}

/** What the list shows. */
export interface List {
  /** Those that match the query, newest first. */
  readonly messages: readonly InboxMessage[];
  readonly query: string;
  /** Where mail may be sent to, `host:port`. */
  readonly smtpAddress: string;
}

/** The list of messages, with the search form and the button that empties the inbox. */
export function listPage(site: Site, { messages, query, smtpAddress }: List): Html {
  const { wording, base } = site;
  const searching = query.trim() !== "";
  const shownQuery = cut(query.trim());
  const summary = searching ? wording.matches(messages.length, shownQuery) : wording.messages(messages.length);
  const body = html`<header>
      <h1>${wording.inbox}</h1>
      <form role="search" action="${base}/" method="get">
        <input
          type="search"
          name="query"
          value="${query}"
          aria-label="${wording.searchLabel}"
          placeholder="${wording.searchLabel}"
        />
        <button>${wording.search}</button>
      </form>
      <nav>
        <a
          class="button"
          href="${searching ? `${base}/?query=${encodeURIComponent(query.toWellFormed())}` : `${base}/`}"
          >${wording.refresh}</a
        >
        ${searching ? html`<a class="button" href="${base}/">${wording.all}</a>` : ""}
        <form action="${base}/empty" method="post"><button class="danger">${wording.empty}</button></form>
      </nav>
    </header>
    <main>
      <p class="note" role="status">${summary}</p>
      ${
        messages.length > 0
          ? html`<ol class="list">
              ${messages.map((message) => row(site, message))}
            </ol>`
          : nothing(site, searching, smtpAddress)
      }
    </main>`;
  return layout(site, searching ? `${shownQuery} – ${wording.inbox}` : `${wording.inbox} (${messages.length})`, body);
}

function nothing({ wording }: Site, searching: boolean, smtpAddress: string): Html {
  if (searching) return html`<p class="blank">${wording.noMatches}</p>`;
  return html`<div class="blank">
    <p>${wording.noMessages}</p>
    <p>${wording.sendTo} <code>${smtpAddress}</code></p>
  </div>`;
}

function row({ wording, base, language }: Site, { id, from, to, envelope, subject, receivedAt }: InboxMessage): Html {
  const recipients = to.length > 0 ? to.map(mailboxName) : envelope.forwardPaths;
  const surplus = recipients.length - SHOWN_IN_LIST;
  const shown = recipients.slice(0, SHOWN_IN_LIST).map(cut).join(", ");
  return html`<li>
    <a class="subject" dir="auto" href="${base}/messages/${id}">${cut(subject) || wording.noSubject}</a>
    <span class="from"><bdi>${from === null ? wording.noSender : cut(mailboxName(from))}</bdi></span>
    <span class="to"
      ><span aria-hidden="true">→ </span><span class="unseen">${wording.to}: </span
      ><bdi>${shown}</bdi>${surplus > 0 ? ` ${wording.more(surplus)}` : ""}</span
    >
    ${time(receivedAt, language)}
  </li>`;
}

/** Says that there is no such page. */
export function notFoundPage(site: Site): Html {
  const { wording, base } = site;
  const body = html`<main class="blank">
    <h1>${wording.notFound}</h1>
    <p>${wording.notFoundText}</p>
    <p><a href="${base}/">${wording.back}</a></p>
  </main>`;
  return layout(site, wording.notFound, body);
}

/** A point in time, in the language of the page and the time zone of the machine. */
export function time(date: Date, language: Language): Html {
  const shown = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(date);
  return html`<time datetime="${date.toISOString()}">${shown}</time>`;
}

/** The beginning of a text that somebody else made. */
export function cut(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

function mailboxName({ name, address }: InboxMailbox): string {
  return name === "" ? address : name;
}
