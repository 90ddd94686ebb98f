import { createReadStream } from "node:fs";
import { badSetting } from "./exit.ts";

/** The flags that say what a message is made of, and how it is sent. */
export interface MessageFlags {
  readonly from?: string | undefined;
  readonly to: readonly string[];
  readonly cc: readonly string[];
  readonly bcc: readonly string[];
  readonly replyTo: readonly string[];
  readonly subject: string;
  readonly textFile?: string | undefined;
  readonly htmlFile?: string | undefined;
  readonly header: readonly string[];
  readonly attach: readonly string[];
  readonly using?: string | undefined;
  readonly json?: boolean | undefined;
}

/** `Name: value` in two. @throws {SettingsError} where it has no colon. */
export function headerFlag(given: string): readonly [name: string, value: string] {
  const colon = given.indexOf(":");
  if (colon < 1) throw badSetting("--header", 'not a header field such as "List-Id: news.example.com"');
  return [given.slice(0, colon), given.slice(colon + 1).trim()];
}

/** @throws {SettingsError} when no flag names a recipient. */
export function checkRecipients({ to, cc, bcc }: MessageFlags): void {
  if (to.length + cc.length + bcc.length > 0) return;
  throw badSetting("--to", "not given; a message needs --to, --cc or --bcc");
}

/** @throws {SettingsError} when both bodies are to come from standard input. */
export function checkBodyFiles({ textFile, htmlFile }: MessageFlags): void {
  if (textFile !== "-" || htmlFile !== "-") return;
  throw badSetting("--html-file", "standard input is read once, and --text-file has it");
}

/** In octets: more is a mistake, or a file that is to be attached. */
const TEXT_LIMIT = 10_000_000;

/** The text of the file that a flag names; `-` is standard input. @throws {SettingsError} naming the flag. */
export async function textOfFile(flag: string, path: string): Promise<string> {
  const name = path === "-" ? "standard input" : path;
  const bytes = await octetsOf(flag, path, name);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw badSetting(flag, `${name} is not UTF-8`, error);
  }
}

async function octetsOf(flag: string, path: string, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of (path === "-" ? process.stdin : createReadStream(path)) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if ((length += chunk.length) > TEXT_LIMIT) break;
    }
  } catch (error) {
    throw badSetting(flag, `${name} cannot be read: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  if (length <= TEXT_LIMIT) return Buffer.concat(chunks);
  throw badSetting(flag, `${name} is longer than ${TEXT_LIMIT} octets; attach it instead`);
}
