import type { InboxMessage } from "./message.ts";

/**
 * What the HTML of a mail may do: nothing. No script (the sandbox, and default-src), no request to anywhere, no form, no
 * base. A link opens in a new tab, which is free of the sandbox, so that the page behind it works.
 */
export const MAIL_HTML_POLICY = [
  "sandbox allow-popups allow-popups-to-escape-sandbox",
  "default-src 'none'",
  "img-src data:",
  "style-src 'unsafe-inline'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join("; ");

/** The sandbox of the frame; it holds even where the policy of the document in it were lost. */
export const MAIL_HTML_SANDBOX = "allow-popups allow-popups-to-escape-sandbox";

/**
 * The HTML of a message as a document of its own. It stays as the sender wrote it; in front stand the doctype and
 * `<base>`, and images that came with the message take the place of their `cid:` (RFC 2392).
 */
export function mailDocument(message: InboxMessage): string {
  return `<!doctype html><base target="_blank">${withOwnImages(message)}`;
}

const CID = /(["'(=]\s*)cid:([^"'\s)>]{1,998})/gi;
const IMAGE = /^image\/(?:avif|bmp|gif|jpeg|png|svg\+xml|webp)$/;
/** Bounds what one large image that is named a thousand times becomes. */
const MAX_INLINED_CHARACTERS = 64 * 1024 * 1024;

function withOwnImages({ html, attachments }: InboxMessage): string {
  const images = new Map(
    attachments.filter(({ contentType }) => IMAGE.test(contentType)).map((image) => [image.contentId, image]),
  );
  let left = MAX_INLINED_CHARACTERS;
  return html.replace(CID, (whole, before: string, cid: string) => {
    const image = images.get(decodedCid(cid));
    if (image === undefined) return whole;
    const base64Length = Math.ceil(image.content.length / 3) * 4;
    if (base64Length > left) return whole;
    left -= base64Length;
    return `${before}data:${image.contentType};base64,${Buffer.from(image.content).toString("base64")}`;
  });
}

function decodedCid(cid: string): string {
  try {
    return decodeURIComponent(cid);
  } catch {
    return cid;
  }
}
