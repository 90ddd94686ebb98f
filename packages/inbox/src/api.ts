import { Hono } from "hono";
import { attachmentDisposition } from "./content-disposition.ts";
import { messageJson, summaryJson } from "./json.ts";
import { matcher } from "./search.ts";
import type { Store } from "./store.ts";

/** Nothing that a sender made may run in the inbox's origin, even where a browser shows what it should save. */
const DOWNLOAD_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'";

/** `type/subtype` of restricted-name characters (RFC 6838 section 4.2). */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/** The JSON API, and the bytes of messages and attachments. */
export function createApi(store: Store): Hono {
  const api = new Hono({ strict: false });
  api.get("/messages", (c) => {
    const messages = store.all().filter(matcher(c.req.query("query") ?? ""));
    return c.json({ messages: messages.map(summaryJson) });
  });
  api.delete("/messages", (c) => {
    store.clear();
    return c.body(null, 204);
  });
  api.get("/messages/latest", (c) => {
    const message = store.all().find(matcher(c.req.query("query") ?? ""));
    return message === undefined ? c.notFound() : c.json(messageJson(message));
  });
  api.get("/messages/:id", (c) => {
    const message = store.get(c.req.param("id"));
    return message === undefined ? c.notFound() : c.json(messageJson(message));
  });
  api.get("/messages/:id/raw", (c) => {
    const message = store.get(c.req.param("id"));
    if (message === undefined) return c.notFound();
    return download(message.raw, "message/rfc822", attachmentDisposition(`${message.id}.eml`, ""));
  });
  api.get("/messages/:id/attachments/:index{[0-9]{1,6}}", (c) => {
    const index = Number(c.req.param("index"));
    const attachment = store.get(c.req.param("id"))?.attachments[index];
    if (attachment === undefined) return c.notFound();
    const { content, contentType, filename } = attachment;
    const type = MEDIA_TYPE.test(contentType) ? contentType : "application/octet-stream";
    return download(content, type, attachmentDisposition(filename, `attachment-${index}`));
  });
  return api;
}

function download(content: Uint8Array, contentType: string, disposition: string): Response {
  return new Response(new Uint8Array(content), {
    headers: {
      "content-type": contentType,
      "content-disposition": disposition,
      "content-security-policy": DOWNLOAD_POLICY,
    },
  });
}
