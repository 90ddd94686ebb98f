import { MessageError, SmtpError } from "../../errors.ts";

/** RFC 5321 section 4.5.3.2.5 gives each block of content a time of its own. */
export const BLOCK_OCTETS = 64 * 1024;

/** More goes by DATA, which has a time for each block: of a chunk nobody sees how much the server took. */
export const CHUNK_OCTETS = 1024 * 1024;

export function* blocksOf(content: Uint8Array): Generator<Uint8Array> {
  for (let start = 0; start < content.length; start += BLOCK_OCTETS)
    yield content.subarray(start, start + BLOCK_OCTETS);
}

/** Of content that could not be read, and perhaps the next time, or that never can be sent. */
export function contentError(cause: unknown): SmtpError {
  if (cause instanceof SmtpError) return cause;
  if (cause instanceof MessageError && cause.code === "bad-value")
    return new SmtpError("bad-value", cause.message, { cause });
  return new SmtpError("aborted", "the content could not be read", { cause });
}
