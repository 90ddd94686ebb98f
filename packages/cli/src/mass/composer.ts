import { realpathSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { EmailMessage, MessageError } from "posthaste";
import { checkUses, compileTemplate, type Template } from "./template.ts";

/** What the flags say of the messages; every value is a Liquid template over the row's columns. */
export interface MessageTemplates {
  readonly from: string;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly subject: string;
  readonly text: string | undefined;
  readonly html: string | undefined;
  /** `Name: value` each. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly attach: readonly string[];
}

/** Makes the message of a row. */
export interface Composer {
  /** @throws {PosthasteError} naming the flag or field, when the row has not what it takes. */
  compose(columns: Readonly<Record<string, unknown>>, messageId?: (domain: string) => string): EmailMessage;
  /** @throws {SettingsError} naming the flag, line and column, when a template uses a column that there is not. */
  checkColumns(columns: readonly string[], file: string): void;
}

/** @throws {SettingsError} naming the flag, line and column of what is no template. */
export function createComposer(given: MessageTemplates, localTime: boolean): Composer {
  const all: Template[] = [];
  const compile = (flag: string, source: string, kind?: "html"): Template => {
    const template = compileTemplate(flag, source, kind);
    all.push(template);
    return template;
  };
  const list = (flag: string, sources: readonly string[]): Template[] => sources.map((source) => compile(flag, source));
  const from = compile("--from", given.from);
  const subject = compile("--subject", given.subject);
  const text = given.text === undefined ? undefined : compile("--text-file", given.text);
  const html = given.html === undefined ? undefined : compile("--html-file", given.html, "html");
  const [to, cc, bcc] = [list("--to", given.to), list("--cc", given.cc), list("--bcc", given.bcc)];
  const replyTo = list("--reply-to", given.replyTo);
  const headers = given.headers.map(([name, value]) => [name, compile(`--header ${name}`, value)] as const);
  const attachments = list("--attach", given.attach);

  return {
    compose(columns, messageId) {
      const rendered = (templates: readonly Template[]): string[] => templates.map((each) => each.render(columns));
      const message = new EmailMessage({
        from: from.render(columns),
        to: rendered(to),
        cc: rendered(cc),
        bcc: rendered(bcc),
        replyTo: rendered(replyTo),
        subject: subject.render(columns),
        text: text?.render(columns),
        html: html?.render(columns),
        headers: headerFields(headers.map(([name, value]) => [name, value.render(columns)])),
        localTime,
      });
      for (const template of attachments) attach(message, template, columns);
      if (messageId !== undefined) message.headers["Message-ID"] = messageId(domainOf(message.envelope().reversePath));
      return message;
    },
    checkColumns(columns, file) {
      for (const template of all) checkUses(template, columns, file);
    },
  };
}

/** Fields of one name become one list, and an empty value is as none. */
export function headerFields(fields: readonly (readonly [string, string])[]): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of fields) if (value !== "") (headers[name] ??= []).push(value);
  return headers;
}

function domainOf(addrSpec: string): string {
  return addrSpec.slice(addrSpec.lastIndexOf("@") + 1);
}

function attach(message: EmailMessage, template: Template, columns: Readonly<Record<string, unknown>>): void {
  const path = template.render(columns);
  if (path === "") return;
  try {
    if (template.uses.length > 0) checkPlace(path, template.source);
    message.attachFile(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^attachFile: /, "") : "";
    throw new MessageError("unreadable", `--attach: ${path}: ${reason}`, { field: "--attach", cause: error });
  }
}

/**
 * What a row says must not lead out of the folder that the template names, or else of the working folder: the rows often
 * hold what strangers typed, and `../../.ssh/id_ed25519` is a path too.
 */
function checkPlace(path: string, source: string): void {
  const before = source.slice(0, source.search(/\{[{%]/));
  const folder = before.endsWith("/") ? before : dirname(before);
  let [root, target] = [resolve(folder), resolve(path)];
  try {
    [root, target] = [realpathSync(root), realpathSync(target)];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw new MessageError("unreadable", `it is not in the folder ${folder === "" ? "." : folder}`);
  }
}
