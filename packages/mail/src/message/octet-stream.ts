import { isUint8Array } from "node:util/types";
import { MessageError } from "../errors.ts";

/**
 * The stream, as long as it gives octets: text in it would go out without transparency, so that what it says after a dot
 * is taken for commands, and other views have another length than it seems.
 *
 * @throws {MessageError} `bad-value`, naming the field.
 */
export async function* octetStream(source: AsyncIterable<Uint8Array>, field: string): AsyncGenerator<Uint8Array> {
  for await (const block of source) {
    if (!isUint8Array(block))
      throw new MessageError("bad-value", `${field}: the stream must give Uint8Arrays`, { field });
    yield block;
  }
}
