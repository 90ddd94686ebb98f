import { CsvError } from "csv-parse";
import { parse } from "csv-parse/sync";
import { LINE_LIMIT, type Line, type LineReader } from "./line.ts";

/** The octets of one record of a CSV file (RFC 4180), which may be of several lines. */
export interface CsvRecord {
  readonly lines: readonly [Line, ...Line[]];
  readonly bytes: Buffer;
}

const QUOTE = 0x22;

/** The next record that is not a blank line. A quote that opens and never closes makes a record of its first line. */
export async function nextRecord(reader: LineReader): Promise<CsvRecord | undefined> {
  let first = await reader.next();
  while (first !== undefined && isBlank(first)) first = await reader.next();
  if (first === undefined) return undefined;
  const lines: [Line, ...Line[]] = [first];
  let size = first.bytes.length;
  // Quotes inside of a field are doubled, so a record is whole when their number is even.
  let isOpen = hasOddQuotes(first);
  while (isOpen && size <= LINE_LIMIT) {
    const line = await reader.next();
    if (line === undefined || line.isTooLong) {
      if (line !== undefined) reader.putBack([line]);
      break;
    }
    lines.push(line);
    size += line.bytes.length + 1;
    isOpen = !hasOddQuotes(line);
  }
  if (isOpen) return onlyFirst(reader, lines);
  return { lines, bytes: lines.length === 1 ? first.bytes : joined(lines) };
}

/**
 * Makes its first line a record of its own and has the others read once more: after a stray quote nobody knows which
 * line is inside of it, and each of them is a row only where it has as many fields as the header.
 */
export function onlyFirst(reader: LineReader, [first, ...others]: CsvRecord["lines"]): CsvRecord {
  reader.putBack(others);
  return { lines: [first], bytes: first.bytes };
}

/** Its fields. @throws {Error} saying what is wrong with its quotes. */
export function fieldsOf(record: string): string[] {
  const text = record.endsWith("\r") ? record.slice(0, -1) : record;
  if (!text.includes('"')) return text.split(",");
  try {
    // It would take a CR or LF inside of quotes for the end of a record, did it have to find out which of them it is.
    const records: string[][] = parse(text, { record_delimiter: "\0", relax_column_count: true });
    return records[0] ?? [];
  } catch (error) {
    throw new Error(error instanceof CsvError ? (REASONS[error.code] ?? error.message) : String(error), {
      cause: error,
    });
  }
}

const REASONS: Readonly<Partial<Record<string, string>>> = {
  CSV_QUOTE_NOT_CLOSED: "a quote that opens does not close",
  CSV_INVALID_CLOSING_QUOTE: "something follows a closing quote; inside of a field a quote is doubled",
  INVALID_OPENING_QUOTE: "a quote stands inside of a field that has none around it",
};

function isBlank({ bytes, isTooLong }: Line): boolean {
  return !isTooLong && (bytes.length === 0 || (bytes.length === 1 && bytes[0] === 0x0d));
}

function hasOddQuotes({ bytes }: Line): boolean {
  let count = 0;
  for (let at = bytes.indexOf(QUOTE); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) count++;
  return count % 2 === 1;
}

function joined(lines: readonly Line[]): Buffer {
  return Buffer.concat(lines.flatMap(({ bytes }, index) => (index === 0 ? [bytes] : [Buffer.from("\n"), bytes])));
}
