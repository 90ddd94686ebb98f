/**
 * Text in another charset than UTF-8. The platform decodes every charset of the Encoding Standard and encodes none but
 * UTF-8, so the encoder is the decoder inverted: a table from character to octets, made when the charset is first used.
 *
 * That does for charsets of one or two octets a character and no state. The Encoding Standard widens some: its
 * iso-8859-1 is windows-1252, its euc-kr CP949, and platforms follow it more or less. What it added is left out under
 * the narrower name, for a reader that goes by the name would not know it. ISO-2022-JP is EUC-JP's JIS X 0208 with seven
 * bits and escapes. UTF-16 is no charset for `text/*` (RFC 2781 section 4).
 */

/** Under what label the platform knows the charset, and which of those codes belong to the name. */
interface Charset {
  readonly label: string;
  readonly has: (code: number) => boolean;
}

type Table = ReadonlyMap<string, number>;

/** What became of the text; `unencodable` is the first character that the charset does not have. */
export type Encoded = { readonly octets: Uint8Array } | { readonly unencodable: string };

const UNSUITABLE = /^(?:utf-16|iso-2022-jp|replacement|x-user-defined|gb18030)/;
const LF = 0x0a;
const tables = new Map<string, Table>();

const everything = (): boolean => true;
/** Without the C1 range, which windows-125x fills. */
const isIso8859 = (code: number): boolean => code < 0x80 || code > 0x9f;
/** ISO 2022's G1 in both octets, which is KS X 1001 and GB 2312 without what CP949 and GBK added. */
const isEuc = (code: number): boolean => code < 0x80 || (code >> 8 >= 0xa1 && (code & 0xff) >= 0xa1);

function charsetOf(name: string): Charset | undefined {
  const lower = name.toLowerCase();
  const label = labelOf(lower);
  if (lower === "iso-2022-jp") return { label: "euc-jp", has: (code) => code < 0x80 || isEuc(code) };
  if (label === undefined || UNSUITABLE.test(label)) return undefined;
  if (/^(?:us-)?ascii$/.test(lower)) return { label, has: (code) => code < 0x80 };
  if (/^(?:iso-?8859|latin)/.test(lower)) return { label, has: isIso8859 };
  return { label, has: /^(?:euc-kr|gb2312)$/.test(lower) ? isEuc : everything };
}

function labelOf(name: string): string | undefined {
  try {
    return new TextDecoder(name).encoding;
  } catch {
    return undefined;
  }
}

/** Whether text can be encoded in the charset of this name. */
export function isCharset(name: string): boolean {
  return name === "utf-8" || charsetOf(name) !== undefined;
}

/** Encodes the text in a charset of which {@link isCharset} is true. */
export function encodeText(text: string, name: string): Encoded {
  if (name === "utf-8") return { octets: Buffer.from(text) };
  const charset = charsetOf(name);
  if (charset === undefined || charset.label === "utf-8") return { octets: Buffer.from(text) };
  const table = tableOf(charset.label);
  const codes: number[] = [];
  for (const character of text) {
    const code = table.get(character);
    if (code === undefined || !charset.has(code)) return { unencodable: character };
    codes.push(code);
  }
  return { octets: Uint8Array.from(name.toLowerCase() === "iso-2022-jp" ? escaped(codes) : octetsOf(codes)) };
}

function octetsOf(codes: readonly number[]): number[] {
  return codes.flatMap((code) => (code > 0xff ? [code >> 8, code & 0xff] : [code]));
}

/** RFC 1468: `ESC $ B` begins JIS X 0208, `ESC ( B` ASCII, and a line ends in ASCII. */
function escaped(codes: readonly number[]): number[] {
  const octets: number[] = [];
  let inJis = false;
  for (const code of [...codes, LF]) {
    const isJis = code > 0xff;
    if (isJis !== inJis) octets.push(0x1b, ...(isJis ? [0x24, 0x42] : [0x28, 0x42]));
    inJis = isJis;
    octets.push(...(isJis ? [(code >> 8) & 0x7f, code & 0x7f] : [code]));
  }
  octets.pop();
  return octets;
}

function tableOf(label: string): Table {
  const known = tables.get(label);
  if (known !== undefined) return known;
  const table = new Map<string, number>();
  // The first code of a character wins; it is the one that other encoders write.
  const add = (character: string, code: number): void => {
    if (character !== "\ufffd" && !table.has(character)) table.set(character, code);
  };
  const decoder = new TextDecoder(label, { ignoreBOM: true });
  for (let octet = 0; octet < 256; octet++) {
    const character = decoder.decode(Uint8Array.of(octet));
    add(character, octet);
    if (character === "\ufffd") addPairs((octets) => decoder.decode(octets), octet, add);
  }
  tables.set(label, table);
  return table;
}

/** All pairs of a lead octet in one call, a line feed behind each: one call a pair takes 150 ms for EUC-KR, this 5. */
function addPairs(
  decode: (octets: Uint8Array) => string,
  lead: number,
  add: (character: string, code: number) => void,
): void {
  const trails = Array.from({ length: 256 - 0x30 }, (_, index) => index + 0x30);
  const lines = decode(Uint8Array.from(trails.flatMap((trail) => [lead, trail, LF]))).split("\n");
  trails.forEach((trail, index) => {
    const line = lines[index] ?? "";
    if (line !== "" && line.length === (line.codePointAt(0)! > 0xffff ? 2 : 1)) add(line, (lead << 8) | trail);
  });
}
