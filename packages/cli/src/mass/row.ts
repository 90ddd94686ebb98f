import { setImmediate } from "node:timers/promises";
import { badSetting } from "../exit.ts";
import { type Decode, decoderOf, notDecodable } from "./charset.ts";
import { type CsvRecord, fieldsOf, nextRecord, onlyFirst } from "./csv-record.ts";
import { LINE_LIMIT, type Line, LineReader } from "./line.ts";

/** One row of the file, or why it is none. */
export interface Row {
  /** From 1, without the header. */
  readonly number: number;
  /** The line of the file that it begins in, from 1. */
  readonly line: number;
  readonly columns: Readonly<Record<string, unknown>>;
  /** Why it cannot be used; `columns` is empty then. */
  readonly error?: string;
}

/** How the file is to be read. */
export interface RowFile {
  readonly path: string;
  /** Its name as the caller wrote it, for errors. */
  readonly name: string;
  readonly encoding: string;
}

/** More is a mistake, or an attack; Excel has 16 384. */
const COLUMN_LIMIT = 1000;
const CONTROL = /[\0-\x1f\x7f]/;

/** After so many milliseconds timers and signals have their turn: rows that come to nothing wait for no server. */
const TURN = 20;

/** The format that the file's name says. @throws {SettingsError} where it says none. */
export function formatOf(name: string): "csv" | "ndjson" {
  const extension = /\.(csv|ndjson|jsonl)$/i.exec(name)?.[1]?.toLowerCase();
  if (extension === undefined) throw badSetting(name, "its name must end in .csv, .ndjson or .jsonl");
  return extension === "csv" ? "csv" : "ndjson";
}

/** The names of a CSV file's columns; undefined of NDJSON, where each row has its own. @throws {SettingsError} */
export async function columnsOf(file: RowFile): Promise<readonly string[] | undefined> {
  const decode = decoderOf(file.encoding);
  const reader = new LineReader(file.path);
  try {
    if (formatOf(file.name) === "csv") return await header(reader, file, decode);
    if ((await reader.next()) === undefined) throw badSetting(file.name, "the file is empty");
    return undefined;
  } finally {
    await reader.close();
  }
}

/**
 * The rows, read as they are asked for. What is wrong with one row is its error, and the rows behind it follow.
 *
 * @throws {SettingsError} when the file has no header that can be read.
 */
export async function* rowsOf(file: RowFile): AsyncGenerator<Row> {
  const decode = decoderOf(file.encoding);
  const reader = new LineReader(file.path);
  try {
    let began = performance.now();
    for await (const row of formatOf(file.name) === "csv"
      ? csvRows(reader, file, decode)
      : jsonRows(reader, file, decode)) {
      if (performance.now() - began > TURN) {
        await setImmediate();
        began = performance.now();
      }
      yield row;
    }
  } finally {
    await reader.close();
  }
}

async function* csvRows(reader: LineReader, file: RowFile, decode: Decode): AsyncGenerator<Row> {
  const names = await header(reader, file, decode);
  for (let number = 1; ; number++) {
    const record = await nextRecord(reader);
    if (record === undefined) return;
    yield rowOf(number, record.lines[0].number, () => csvColumns(record, reader, names, file, decode));
  }
}

function csvColumns(
  record: CsvRecord,
  reader: LineReader,
  names: readonly string[],
  file: RowFile,
  decode: Decode,
): Record<string, string> {
  const fields = recordFields(record, reader, file, decode);
  if (fields.length !== names.length) {
    throw new Error(
      `it has ${fields.length === 1 ? "1 field" : `${fields.length} fields`}, the header ${names.length}`,
    );
  }
  const columns = Object.create(null) as Record<string, string>;
  names.forEach((name, index) => {
    columns[name] = fields[index] ?? "";
  });
  return columns;
}

function recordFields(record: CsvRecord, reader: LineReader, file: RowFile, decode: Decode): string[] {
  if (record.lines[0].isTooLong) throw new Error(`the line is longer than ${LINE_LIMIT} octets`);
  const text = decoded(record.bytes, record.lines, file, decode);
  if (text.includes("\0")) throw new Error("it has a NUL byte; a file in UTF-16 is to be saved as UTF-8");
  try {
    return fieldsOf(text);
  } catch (error) {
    onlyFirst(reader, record.lines);
    throw error;
  }
}

async function header(reader: LineReader, file: RowFile, decode: Decode): Promise<readonly string[]> {
  const record = await nextRecord(reader);
  if (record === undefined) throw badSetting(file.name, "the file is empty");
  const [first, ...others] = record.lines;
  const bytes = withoutMark(record.bytes, file);
  let names: string[];
  try {
    const opened: CsvRecord = { lines: [{ ...first, bytes }, ...others], bytes };
    names = recordFields(opened, reader, file, decode);
  } catch (error) {
    throw badSetting(file.name, `line ${first.number}: the header cannot be read: ${(error as Error).message}`, error);
  }
  const fault = headerFault(names);
  if (fault !== undefined) throw badSetting(file.name, `line ${first.number}: ${fault}`);
  return names;
}

/** Excel begins UTF-8 with a byte order mark, and UTF-16, which has NUL bytes, with another. */
function withoutMark(bytes: Buffer, file: RowFile): Buffer {
  const [first = 0, second = 0, third = 0] = bytes;
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) {
    throw badSetting(file.name, "the file is in UTF-16; save it as UTF-8");
  }
  return first === 0xef && second === 0xbb && third === 0xbf ? bytes.subarray(3) : bytes;
}

function headerFault(names: readonly string[]): string | undefined {
  const [only = ""] = names;
  const separator = names.length === 1 ? /[;\t]/.exec(only)?.[0] : undefined;
  if (separator !== undefined) {
    const seen = separator === ";" ? "semicolons" : "tabs";
    return `the header is one column with ${seen} in it; columns are separated by commas`;
  }
  if (names.length > COLUMN_LIMIT) return `the header has ${names.length} columns; at most ${COLUMN_LIMIT} are read`;
  const empty = names.indexOf("");
  if (empty !== -1) return `column ${empty + 1} of the header has no name`;
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return `the header has the column ${JSON.stringify(twice)} twice`;
  const control = names.find((name) => CONTROL.test(name));
  return control === undefined
    ? undefined
    : `the column ${JSON.stringify(control)} of the header has a control character; lines end in LF or CRLF`;
}

async function* jsonRows(reader: LineReader, file: RowFile, decode: Decode): AsyncGenerator<Row> {
  let number = 0;
  for (let line = await reader.next(); line !== undefined; line = await reader.next()) {
    const read: Line = line.number === 1 ? { ...line, bytes: withoutMark(line.bytes, file) } : line;
    if (!read.isTooLong && read.bytes.toString("latin1").trim() === "") continue;
    yield rowOf(++number, read.number, () => jsonColumns(read, file, decode));
  }
}

function jsonColumns(line: Line, file: RowFile, decode: Decode): Record<string, unknown> {
  if (line.isTooLong) throw new Error(`the line is longer than ${LINE_LIMIT} octets`);
  const text = decoded(line.bytes, [line], file, decode);
  if (text.includes("\\u0000")) throw new Error("it has a NUL character");
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("it is not a JSON object");
  const count = Object.keys(value).length;
  if (count > COLUMN_LIMIT) throw new Error(`it has ${count} columns; at most ${COLUMN_LIMIT} are read`);
  return value as Record<string, unknown>;
}

function decoded(bytes: Buffer, lines: readonly Line[], file: RowFile, decode: Decode): string {
  try {
    return decode(bytes);
  } catch (error) {
    const bad = lines.find((line) => !isDecodable(line.bytes, decode)) ?? lines[0];
    throw new Error(`line ${bad?.number ?? 0} is ${notDecodable(file.encoding)}`, { cause: error });
  }
}

function isDecodable(bytes: Buffer, decode: Decode): boolean {
  try {
    decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function rowOf(number: number, line: number, read: () => Row["columns"]): Row {
  try {
    return { number, line, columns: read() };
  } catch (error) {
    return { number, line, columns: {}, error: (error as Error).message };
  }
}
