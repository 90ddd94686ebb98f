import { html } from "hono/html";
import { MAIL_HTML_SANDBOX } from "./html-document.ts";
import { textLinks } from "./links.ts";
import type { InboxAttachment, InboxMailbox, InboxMessage } from "./message.ts";
import { cut, layout, time } from "./pages.ts";
import type { Html, Site } from "./pages.ts";

const VIEWS = ["html", "text", "source"] as const;
type View = (typeof VIEWS)[number];

/** What a page shows of a text or source, in characters, of a list of addresses, links or fields in items. */
const SHOWN_TEXT = 128 * 1024;
const SHOWN_ITEMS = 200;
/** So many links are shown at once; more are folded away. */
const LINKS_OPEN = 8;

/** One message: its fields, links, attachments, and one view of its content. */
export function messagePage(site: Site, message: InboxMessage, wanted: string | undefined): Html {
  const { wording, base } = site;
  const view = VIEWS.find((name) => name === wanted) ?? firstView(message);
  const subject = cut(message.subject) || wording.noSubject;
  const body = html`<header class="message">
      <nav><a class="button" href="${base}/">← ${wording.back}</a></nav>
      <h1 dir="auto">${subject}</h1>
      ${fields(site, message)}
    </header>
    <main>
      ${message.undecodable === undefined ? "" : html`<p class="warning">${wording.undecodable} ${cut(message.undecodable)}</p>`}
      ${links(site, message)} ${attachments(site, message)}
      <nav class="tabs" aria-label="${wording.view}">
        ${VIEWS.map((name) => tab(site, message, name, name === view))}
      </nav>
      <section class="content">${content(site, message, view)}</section>
      ${headerFields(site, message)}
    </main>`;
  return layout(site, `${subject} – ${wording.inbox}`, body);
}

function firstView({ html: markup, text }: InboxMessage): View {
  if (markup !== "") return "html";
  return text === "" ? "source" : "text";
}

function fields({ wording, language }: Site, message: InboxMessage): Html {
  const { from, to, cc, date, envelope, receivedAt, session, messageId } = message;
  const reversePath = envelope.reversePath === "" ? wording.nullReversePath : cut(envelope.reversePath);
  return html`<dl>
    <dt>${wording.from}</dt>
    <dd>${from === null ? wording.noSender : mailbox(from)}</dd>
    <dt>${wording.to}</dt>
    <dd>${mailboxes(to)}</dd>
    ${
      cc.length === 0
        ? ""
        : html`<dt>${wording.cc}</dt>
            <dd>${mailboxes(cc)}</dd>`
    }
    <dt>${wording.date}</dt>
    <dd>${date === null ? "–" : time(date, language)}</dd>
    <dt>${wording.received}</dt>
    <dd>${time(receivedAt, language)}</dd>
    <dt>${wording.envelope}</dt>
    <dd><code>${reversePath}</code> → ${several(envelope.forwardPaths, (path) => html`<code>${cut(path)}</code>`)}</dd>
    <dt>${wording.messageId}</dt>
    <dd><code>${cut(messageId) || "–"}</code></dd>
    <dt>${wording.session}</dt>
    <dd><code>${session}</code></dd>
  </dl>`;
}

function mailbox({ name, address }: InboxMailbox): Html {
  return html`${name === "" ? "" : html`<bdi>${cut(name)}</bdi> `}<code>${cut(address)}</code>`;
}

function mailboxes(list: readonly InboxMailbox[]): Html {
  return list.length === 0 ? html`–` : html`${several(list, mailbox)}`;
}

function several<T>(items: readonly T[], show: (item: T) => Html): Html {
  const shown = items.slice(0, SHOWN_ITEMS).map((item, index) => html`${index === 0 ? "" : ", "}${show(item)}`);
  return html`${shown}${items.length > SHOWN_ITEMS ? ` … (${items.length})` : ""}`;
}

function links({ wording }: Site, { links }: InboxMessage): Html | "" {
  if (links.length === 0) return "";
  const items = links.slice(0, SHOWN_ITEMS).map((link) => html`<li>${anchor(link)}</li>`);
  return html`<details class="links" ${links.length <= LINKS_OPEN ? html` open` : ""}>
    <summary>${wording.links} (${links.length})</summary>
    <ul>
      ${items}
    </ul>
  </details>`;
}

/** Links come from {@link textLinks} or the message's `links`, so their scheme is http or https. */
function anchor(link: string): Html {
  return html`<a href="${link}" target="_blank" rel="noopener noreferrer">${link}</a>`;
}

function attachments(site: Site, { id, attachments: list }: InboxMessage): Html | "" {
  if (list.length === 0) return "";
  const items = list.slice(0, SHOWN_ITEMS).map((attachment, index) => attachmentItem(site, id, attachment, index));
  return html`<details class="attachments" open>
    <summary>${site.wording.attachments} (${list.length})</summary>
    <ul>
      ${items}
    </ul>
  </details>`;
}

function attachmentItem({ wording, base }: Site, id: string, attachment: InboxAttachment, index: number): Html {
  const { filename, contentType, content } = attachment;
  const name = cut(filename ?? "") || wording.unnamed(index + 1);
  return html`<li>
    <a href="${base}/api/messages/${id}/attachments/${index}" download><bdi>${name}</bdi></a>
    <span class="note">${cut(contentType)}, ${size(content.byteLength)}</span>
  </li>`;
}

function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function tab({ wording, base }: Site, { id }: InboxMessage, view: View, current: boolean): Html {
  return html`<a href="${base}/messages/${id}?view=${view}" ${current ? html` aria-current="page"` : ""}
    >${wording[view]}</a
  >`;
}

function content(site: Site, message: InboxMessage, view: View): Html {
  switch (view) {
    case "html":
      return htmlView(site, message);
    case "text":
      return message.text === "" ? html`<p class="blank">${site.wording.noText}</p>` : textView(site, message.text);
    case "source":
      return sourceView(site, message);
  }
}

function htmlView({ wording, base }: Site, { id, html: markup }: InboxMessage): Html {
  if (markup === "") return html`<p class="blank">${wording.noHtml}</p>`;
  return html`<iframe
    src="${base}/messages/${id}/html"
    title="${wording.html}"
    sandbox="${MAIL_HTML_SANDBOX}"
    referrerpolicy="no-referrer"
  ></iframe>`;
}

function textView({ wording }: Site, whole: string): Html {
  const text = whole.slice(0, SHOWN_TEXT);
  const pieces: (Html | string)[] = [];
  let shown = 0;
  for (const { link, start, end } of textLinks(text)) {
    pieces.push(text.slice(shown, start), anchor(link));
    shown = end;
  }
  pieces.push(text.slice(shown));
  return html`<pre class="text" dir="auto">${pieces}</pre>
    ${whole.length > SHOWN_TEXT ? html`<p class="note">${wording.cut}</p>` : ""}`;
}

/** Octets that are not UTF-8 show as U+FFFD; the download has them as they came. */
function sourceView({ wording, base }: Site, { id, raw }: InboxMessage): Html {
  const source = new TextDecoder().decode(raw.subarray(0, SHOWN_TEXT));
  return html`<p>
      <a href="${base}/api/messages/${id}/raw" download>${wording.download}</a>
      <span class="note">${size(raw.byteLength)}</span>
    </p>
    <pre class="source">${source}</pre>
    ${raw.byteLength > SHOWN_TEXT ? html`<p class="note">${wording.cut}</p>` : ""}`;
}

function headerFields({ wording }: Site, { headers }: InboxMessage): Html | "" {
  if (headers.length === 0) return "";
  const shown = headers.slice(0, SHOWN_ITEMS);
  const items = shown.map(
    ({ name, body }) =>
      html`<dt>${cut(name)}</dt>
        <dd dir="auto">${cut(body)}</dd>`,
  );
  return html`<details>
    <summary>${wording.allHeaders} (${headers.length})</summary>
    <dl class="fields">${items}</dl>
  </details>`;
}
