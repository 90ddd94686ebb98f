import type { DatabaseSync } from "node:sqlite";
import type { Composer } from "@posthaste/outbox";
import { sqliteDialect } from "@posthaste/outbox/kysely";
import { html } from "hono/html";
import { Kysely, sql, type Selectable, type SqlBool } from "kysely";
import { parseMailbox, type MessageFields } from "posthaste";
import { ACTIVATION_COMPOSER, isOpen, TOKEN_LIFETIME } from "./attempt.ts";
import { databaseNow, type AccountsDatabase, type TokenTable } from "./database.ts";
import type { KeyRing } from "./key-ring.ts";
import { catalogueOf, localeOf, type Locale } from "./locale.ts";
import { parsePublicUrl } from "./public-url.ts";
import { signToken } from "./token.ts";

/** Options of {@link accountsComposers}. */
export interface AccountsComposersOptions {
  /** A connection to the accounts' database, of the worker's own. The caller closes it. */
  readonly database: DatabaseSync;
  /** The same keys as the service's. */
  readonly keys: KeyRing;
  /** The same URL as the service's: links are built from it. */
  readonly publicUrl: string | URL;
  /** The From field, such as `Posthaste <accounts@example.com>`. */
  readonly from: string;
}

type MailedAttempt = Pick<Selectable<TokenTable>, "id" | "purpose" | "email" | "name" | "locale">;

/**
 * The composers that the outbox's worker needs for the mails of accounts. The outbox holds an attempt's id; the link is
 * made here, when the mail is about to leave, and is the same at every retry. An attempt that is used, voided, expired
 * or deleted by then gets no mail.
 *
 * @throws {SettingsError} naming PUBLIC_URL. @throws {AddressError} naming from.
 */
export function accountsComposers(options: AccountsComposersOptions): Readonly<Record<string, Composer>> {
  const db = new Kysely<AccountsDatabase>({ dialect: sqliteDialect(options.database) });
  const publicUrl = parsePublicUrl(options.publicUrl);
  parseMailbox(options.from, "from");
  const compose: Composer = async (data, { tries }) => {
    const attempt = await startClock(db, (data as { attempt: string }).attempt, tries);
    if (attempt === undefined) return null;
    return { ...fieldsOf(attempt, publicUrl, options.keys), from: options.from, to: [attempt.email] };
  };
  return { [ACTIVATION_COMPOSER]: compose };
}

/**
 * The attempt, if it is still open; its 24 hours begin with the first call, and anew while nobody can have its only mail:
 * the mail is composed before anybody knows whether the server can be reached.
 */
function startClock(db: Kysely<AccountsDatabase>, id: string, tries: number): Promise<MailedAttempt | undefined> {
  const unseen = sql<SqlBool>`(${tries} = 0 and mails = 1 and used_at is null and voided_at is null)`;
  const expiry = sql<number>`${databaseNow} + ${TOKEN_LIFETIME}`;
  return db
    .updateTable("posthaste_token")
    .set({ expires_at: sql<number>`case when ${unseen} then ${expiry} else coalesce(expires_at, ${expiry}) end` })
    .where("id", "=", id)
    .where((where) => where.or([unseen, isOpen]))
    .returning(["id", "purpose", "email", "name", "locale"])
    .executeTakeFirst();
}

function fieldsOf(attempt: MailedAttempt, publicUrl: URL, keys: KeyRing): MessageFields {
  const locale = localeOf(attempt.locale) ?? "en";
  const { mail } = catalogueOf(locale);
  if (attempt.purpose === "notice") {
    const link = new URL("/users/login", publicUrl).href;
    return letter(locale, mail.noticeSubject, {
      greeting: mail.greeting(""),
      before: [mail.noticeIntro(attempt.email, publicUrl.host), mail.noticeAction],
      button: mail.noticeButton,
      link,
      after: [mail.noticeIgnore],
    });
  }
  const url = new URL("/users/activate", publicUrl);
  url.searchParams.set("token", signToken(keys, "activation", attempt.id));
  return letter(locale, mail.subject, {
    greeting: mail.greeting(nameForMail(attempt.name)),
    before: [mail.intro(attempt.email, publicUrl.host), mail.action],
    button: mail.button,
    link: url.href,
    after: [mail.expiry, mail.ignore],
  });
}

/**
 * A stranger chooses the name, and the mail goes to whom they please: a name that a mail program would make a link of,
 * or that hides or turns characters round, is left out altogether.
 */
export function nameForMail(name: string): string {
  const trimmed = name.trim();
  const suspicious = /[:/\\@<>\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|www|[\p{L}\p{N}-][.．。｡][\p{L}\p{N}]{2,}/iu;
  return Array.from(trimmed).length > 64 || suspicious.test(trimmed.normalize("NFKC")) ? "" : trimmed;
}

interface Letter {
  readonly greeting: string;
  readonly before: readonly string[];
  readonly button: string;
  readonly link: string;
  readonly after: readonly string[];
}

function letter(locale: Locale, subject: string, content: Letter): MessageFields {
  const { greeting, before, link, after } = content;
  return {
    subject,
    text: `${[greeting, ...before, link, ...after].join("\n\n")}\n`,
    html: String(letterHtml(locale, subject, content)),
    // RFC 3834 section 5: holiday replies stay away.
    headers: { "Auto-Submitted": "auto-generated" },
  };
}

const TEXT = "margin:0 0 16px;font:16px/1.5 system-ui,sans-serif;word-break:keep-all;overflow-wrap:anywhere";
const BUTTON =
  "display:inline-block;padding:12px 20px;border-radius:6px;background:#1a56c4;color:#fff;font-weight:600;text-decoration:none";

function letterHtml(locale: Locale, subject: string, { greeting, before, button, link, after }: Letter): unknown {
  const paragraph = (text: string): unknown => html`<p style="${TEXT}">${text}</p>`;
  return html`<!doctype html>
    <html lang="${locale}">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${subject}</title>
      </head>
      <body style="margin:0;padding:24px">
        <div style="max-width:560px;margin:0 auto">
          ${[greeting, ...before].map(paragraph)}
          <p style="${TEXT}"><a href="${link}" style="${BUTTON}">${button}</a></p>
          <p style="${TEXT};font-size:14px">
            ${catalogueOf(locale).mail.fallback}<br /><a href="${link}" style="word-break:break-all">${link}</a>
          </p>
          ${after.map(paragraph)}
        </div>
      </body>
    </html> `;
}
