import { isDeepStrictEqual } from "node:util";
import { MessageError } from "posthaste";

/** What JSON can say. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** A row names what a mail is about; it is not the place for the thing itself. */
const MAX_DATA_OCTETS = 64 * 1024;

/**
 * The data as JSON text.
 *
 * @throws {MessageError} when the data would not come back as it went in (a Date, undefined, NaN, a class's instance), or
 * is larger than 64 KiB.
 */
export function jsonText(data: JsonValue): string {
  const text = stringify(data);
  if (text === undefined || !isDeepStrictEqual(JSON.parse(text), data)) {
    throw dataError(
      "holds something that JSON has no word for; use strings, finite numbers, booleans, null, arrays and plain objects",
    );
  }
  if (Buffer.byteLength(text) > MAX_DATA_OCTETS) throw dataError(`is larger than ${MAX_DATA_OCTETS} octets of JSON`);
  return text;
}

function stringify(data: JsonValue): string | undefined {
  try {
    return JSON.stringify(data);
  } catch {
    return undefined; // a cycle or a bigint
  }
}

function dataError(reason: string): MessageError {
  return new MessageError("bad-value", `data: ${reason}`, { field: "data" });
}
