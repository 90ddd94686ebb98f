import { isAscii } from "node:buffer";
import { isUint8Array } from "node:util/types";
import { MessageError } from "../errors.ts";

/**
 * The stream, as long as it gives octets: text in it would go out without transparency, so that what it says after a dot
 * is taken for commands, and other views have another length than it seems.
 *
 * @param sevenBitBy what says that there are no octets above 127, where it was said. They would go to a server that has
 * no 8BITMIME, and whether it is true shows no earlier.
 * @throws {MessageError} `bad-value`, naming the field.
 */
export async function* octetStream(
  source: AsyncIterable<Uint8Array>,
  field: string,
  sevenBitBy?: string,
): AsyncGenerator<Uint8Array> {
  for await (const block of source) {
    if (!isUint8Array(block))
      throw new MessageError("bad-value", `${field}: the stream must give Uint8Arrays`, { field });
    if (sevenBitBy !== undefined && !isAscii(block)) {
      const message = `${sevenBitBy}: is false, and the stream gives octets above 127`;
      throw new MessageError("bad-value", message, { field: sevenBitBy });
    }
    yield block;
  }
}
