import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { badSetting } from "./exit.ts";

/** `Name: value` in two. @throws {SettingsError} where it has no colon. */
export function headerFlag(given: string): readonly [name: string, value: string] {
  const colon = given.indexOf(":");
  if (colon < 1) throw badSetting("--header", 'not a header field such as "List-Id: news.example.com"');
  return [given.slice(0, colon), given.slice(colon + 1).trim()];
}

/** The text of the file that a flag names; `-` is standard input. @throws {SettingsError} naming the flag. */
export async function textOfFile(flag: string, path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    if (path === "-") return await text(process.stdin);
    bytes = await readFile(path);
  } catch (error) {
    throw badSetting(flag, `${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? ""}`, error);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw badSetting(flag, `${path} is not UTF-8`, error);
  }
}
