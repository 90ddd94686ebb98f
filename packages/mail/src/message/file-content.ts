import { createReadStream, statSync, type Stats } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { MessageError } from "../errors.ts";
import type { Attachment } from "./attachment.ts";

/**
 * A file as attachment. It is looked at now, so that a missing one is an error here, and read each time the message is
 * sent; one that changed in between fails that attempt, for its size was declared.
 *
 * @throws {MessageError} naming the field; the cause is the system's error.
 */
export function fileAttachment(path: string, contentType: string | undefined): Attachment {
  const stats = look(path);
  if (!stats.isFile()) throw unreadable("it is no file");
  return {
    filename: basename(path),
    content: () => read(path, stats),
    size: stats.size,
    ...(contentType === undefined ? {} : { contentType }),
  };
}

function look(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    throw unreadable((cause as NodeJS.ErrnoException).code ?? "it cannot be read", cause);
  }
}

async function* read(path: string, then: Stats): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  const now = await file.stat();
  let size = 0;
  for await (const chunk of createReadStream(path, { fd: file, autoClose: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    yield chunk;
  }
  if (now.size !== then.size || now.mtimeMs !== then.mtimeMs || size !== then.size)
    throw unreadable("it changed since it was attached");
}

function unreadable(reason: string, cause?: unknown): MessageError {
  return new MessageError("unreadable", `attachFile: the file cannot be attached: ${reason}`, {
    field: "attachFile",
    cause,
  });
}
