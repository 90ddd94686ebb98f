import { badSetting } from "../exit.ts";

/**
 * The encodings in which an octet below 0x40 always is the ASCII character, so that lines, quotes and commas can be found
 * before anything is decoded: those of WHATWG's but UTF-16, ISO-2022-JP and GB18030's digits inside of characters.
 */
const LABELS = ["utf-8", "euc-kr", "shift_jis", "euc-jp", "big5", "gbk", "iso-8859-1", "iso-8859-15", "windows-1252"];

/** Decodes octets, or throws a TypeError where they are not of the encoding. */
export type Decode = (bytes: Uint8Array) => string;

/** @throws {SettingsError} when the encoding is none of those that can be read. */
export function decoderOf(label: string): Decode {
  const name = label.toLowerCase();
  const known = name === "utf8" ? "utf-8" : name === "cp949" ? "euc-kr" : name;
  if (!LABELS.includes(known)) throw badSetting("--encoding", `not allowed; it must be one of ${LABELS.join(", ")}`);
  const decoder = new TextDecoder(known, { fatal: true, ignoreBOM: true });
  return (bytes) => decoder.decode(bytes);
}

/** What to say of octets that the decoder refused. */
export function notDecodable(label: string): string {
  return /^utf-?8$/i.test(label)
    ? "not UTF-8; if the file is in another encoding, name it, such as --encoding euc-kr"
    : `not ${label}; name the file's encoding with --encoding`;
}
