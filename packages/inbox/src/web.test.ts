import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeMessage } from "./decode.ts";
import type { InboxMessage } from "./message.ts";
import { createStore } from "./store.ts";
import type { Store } from "./store.ts";
import { createWeb } from "./web.ts";

const HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>';

const REPORT = [
  "From: =?utf-8?B?6rmA7LKg7IiY?= <kim@example.com>",
  "To: lee@example.com",
  "Subject: =?utf-8?B?67O06rOg7ISc?=",
  "Date: Mon, 23 Nov 2026 03:00:00 +0000",
  "Message-ID: <report@example.com>",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "--b",
  "Content-Type: multipart/alternative; boundary=c",
  "",
  "--c",
  "Content-Type: text/plain; charset=utf-8",
  "",
  "안녕 <b> https://example.com/activate?token=a&b=1. javascript:alert(1)",
  "--c",
  "Content-Type: text/html; charset=utf-8",
  "",
  '<script>alert(1)</script><a href="https://example.com/html">x</a><img src="cid:pixel@x"><img src="cid:none@x">',
  "--c--",
  "--b",
  "Content-Type: text/html",
  "Content-Disposition: attachment; filename*=UTF-8''..%2F%EB%B3%B4%EA%B3%A0%0D%0Ax.html",
  "",
  "<script>alert(1)</script>",
  "--b",
  "Content-Type: image/png",
  "Content-ID: <pixel@x>",
  "",
  "png",
  "--b--",
  "",
].join("\r\n");

const PLAIN = "From: a@example.com\r\nTo: b@example.com\r\nSubject: plain\r\n\r\ntext\r\n";

async function add(store: Store, raw: string): Promise<InboxMessage> {
  const envelope = { reversePath: "bounce@example.com", forwardPaths: ["lee@example.com"] };
  const message = await decodeMessage({ session: "session-1", envelope, raw: Buffer.from(raw) });
  store.add(message);
  return message;
}

interface Site {
  readonly store: Store;
  readonly report: InboxMessage;
  readonly get: (path: string, init?: RequestInit) => Promise<Response>;
}

async function site(basePath = "/inbox"): Promise<Site> {
  const store = createStore({ maxMessages: 100, maxBytes: 100_000_000 });
  const report = await add(store, REPORT);
  const web = createWeb({ store, basePath, allowedHosts: [], smtpAddress: () => "127.0.0.1:2525" });
  return { store, report, get: (path, init) => web(new Request(`http://localhost:8000${path}`, init)) };
}

describe("the API", () => {
  test("lists the messages, newest first, with exactly the documented properties", async () => {
    const { store, report, get } = await site();
    const plain = await add(store, PLAIN);
    const response = await get("/inbox/api/messages");
    assert.equal(response.headers.get("content-type"), "application/json");
    const { messages } = (await response.json()) as { messages: { id: string }[] };
    assert.deepEqual(
      messages.map(({ id }) => id),
      [plain.id, report.id],
    );
    assert.deepEqual(messages[1], {
      id: report.id,
      messageId: "<report@example.com>",
      from: { name: "김철수", address: "kim@example.com" },
      to: [{ name: "", address: "lee@example.com" }],
      subject: "보고서",
      date: "2026-11-23T03:00:00.000Z",
      envelope: { reversePath: "bounce@example.com", forwardPaths: ["lee@example.com"] },
      session: "session-1",
    });
    const found = await (await get(`/inbox/api/messages?query=${encodeURIComponent("김철수")}`)).json();
    assert.deepEqual(found, { messages: [messages[1]] });
    assert.deepEqual(await (await get("/inbox/api/messages?query=nobody")).json(), { messages: [] });
  });

  test("gives one message decoded, by its id and as the latest that matches", async () => {
    const { store, report, get } = await site();
    await add(store, PLAIN);
    const message = (await (await get(`/inbox/api/messages/${report.id}`)).json()) as Record<string, unknown>;
    assert.match(String(message.text), /^안녕/);
    assert.match(String(message.html), /^<script>/);
    assert.deepEqual(message.links, ["https://example.com/activate?token=a&b=1", "https://example.com/html"]);
    assert.deepEqual((message.headers as object[])[2], { name: "Subject", body: "보고서" });
    assert.deepEqual((message.attachments as object[])[1], {
      index: 1,
      filename: null,
      contentType: "image/png",
      disposition: null,
      contentId: "pixel@x",
      size: 4,
    });
    assert.equal(message.size, Buffer.byteLength(REPORT));
    const latest = await (await get(`/inbox/api/messages/latest?query=${encodeURIComponent("보고서")}`)).json();
    assert.deepEqual(latest, message);
    assert.equal(((await (await get("/inbox/api/messages/latest")).json()) as { subject: string }).subject, "plain");
  });

  test("gives the bytes as they were received", async () => {
    const { report, get } = await site();
    const response = await get(`/inbox/api/messages/${report.id}/raw`);
    assert.equal(response.headers.get("content-type"), "message/rfc822");
    assert.match(response.headers.get("content-disposition") ?? "", /^attachment; /);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), Buffer.from(REPORT));
  });

  test("gives an attachment to be saved, never shown", async () => {
    const { store, report, get } = await site();
    const response = await get(`/inbox/api/messages/${report.id}/attachments/0`);
    assert.equal(await response.text(), "<script>alert(1)</script>\n");
    assert.equal(
      response.headers.get("content-disposition"),
      "attachment; filename=\"____x.html\"; filename*=UTF-8''%EB%B3%B4%EA%B3%A0__x.html",
    );
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.match(response.headers.get("content-security-policy") ?? "", /^sandbox; default-src 'none'/);
    const odd = await add(
      store,
      "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: te xt/\x01html\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--",
    );
    const { headers } = await get(`/inbox/api/messages/${odd.id}/attachments/0`);
    assert.equal(headers.get("content-type"), "application/octet-stream");
  });

  test("empties the inbox", async () => {
    const { store, get } = await site();
    const response = await get("/inbox/api/messages", { method: "DELETE" });
    assert.equal(response.status, 204);
    assert.deepEqual(store.all(), []);
  });

  test("answers 404 with code and message where nothing is", async () => {
    const { report, store, get } = await site();
    const paths = [
      "x",
      "x/raw",
      "x/attachments/0",
      `${report.id}/attachments/2`,
      `${report.id}/attachments/-1`,
      `${report.id}/x`,
      "%",
      "__proto__",
    ];
    for (const path of [...paths.map((path) => `/messages/${path}`), "", "/", "/x", "/messages/latest?query=none"]) {
      const response = await get(`/inbox/api${path}`);
      assert.equal(response.status, 404, path);
      assert.equal(((await response.json()) as { code: string }).code, "not-found", path);
    }
    store.clear();
    assert.equal((await get("/inbox/api/messages/latest")).status, 404);
  });
});

describe("the pages", () => {
  test("the list shows and finds the messages", async () => {
    const { store, report, get } = await site();
    await add(store, PLAIN);
    const list = await (await get("/inbox")).text();
    assert.equal(await (await get("/inbox/")).text(), list);
    assert.match(list, new RegExp(`href="/inbox/messages/${report.id}"[^>]*>보고서<`));
    assert.match(list, /김철수/);
    assert.ok(list.indexOf("plain") < list.indexOf("보고서"));
    const found = await (await get(`/inbox/?query=${encodeURIComponent(HOSTILE)}`)).text();
    assert.doesNotMatch(found, /<script|<img|보고서/);
    assert.match(await (await get("/inbox/?query=lee")).text(), /보고서/);
  });

  test("a query that is no UTF-8, or very long, finds nothing and breaks nothing", async () => {
    const { get } = await site();
    for (const query of ["%", "%E0%A4%A", "%ff%fe", "%00", "%ED%A0%80", "x".repeat(50_000)]) {
      const response = await get(`/inbox/?query=${query}`);
      assert.equal(response.status, 200, query);
      assert.doesNotMatch(await response.text(), /보고서/, query);
    }
  });

  test("an empty inbox says where to send mail", async () => {
    const { store, get } = await site();
    store.clear();
    assert.match(await (await get("/inbox")).text(), /127\.0\.0\.1:2525/);
  });

  test("a message shows its fields, links and attachments; its HTML only in a sandboxed frame", async () => {
    const { report, get } = await site();
    const page = await (await get(`/inbox/messages/${report.id}`)).text();
    assert.match(page, /<iframe\s+src="\/inbox\/messages\/[^"]+\/html"/);
    assert.match(page, /sandbox="allow-popups allow-popups-to-escape-sandbox"/);
    assert.match(
      page,
      /<a href="https:\/\/example.com\/activate\?token=a&amp;b=1" target="_blank" rel="noopener noreferrer"/,
    );
    assert.match(page, new RegExp(`href="/inbox/api/messages/${report.id}/attachments/0"`));
    assert.match(page, /bounce@example\.com/);
    assert.match(page, /session-1/);
    assert.doesNotMatch(page, /<script|<img/);
  });

  test("the text has its web links clickable and all else escaped; the source is shown whole", async () => {
    const { report, get } = await site();
    const text = await (await get(`/inbox/messages/${report.id}?view=text`)).text();
    assert.match(
      text,
      /안녕 &lt;b&gt; <a href="https:\/\/example.com\/activate\?token=a&amp;b=1"[^>]*>[^<]*<\/a>. javascript:/,
    );
    assert.doesNotMatch(text, /href="javascript|<iframe/);
    const source = await (await get(`/inbox/messages/${report.id}?view=source`)).text();
    assert.match(source, /&lt;script&gt;alert\(1\)/);
    assert.match(source, /Content-Type: multipart\/mixed/);
  });

  test("the HTML of a mail is served with scripts and remote content forbidden", async () => {
    const { report, get } = await site();
    const response = await get(`/inbox/messages/${report.id}/html`);
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /^sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; /);
    assert.doesNotMatch(policy, /script-src|allow-scripts|allow-same-origin|https?:/);
    assert.match(response.headers.get("content-type") ?? "", /^text\/html; charset=utf-8$/i);
    const document = await response.text();
    assert.ok(document.startsWith('<!doctype html><base target="_blank">'));
    assert.ok(document.includes(`src="data:image/png;base64,${Buffer.from("png\n").toString("base64")}"`));
    assert.ok(document.includes('src="cid:none@x"'));
  });

  test("what a sender writes into any field stays text", async () => {
    const { store, get } = await site();
    const fields = ["From", "To", "Cc", "Subject", "Date", "Message-ID", "X-Other", HOSTILE.replace(/[ :]/g, "")];
    const head = fields.map((name) => `${name}: ${HOSTILE} <${HOSTILE}>`).join("\r\n");
    const part = `--b\r\nContent-Type: ${HOSTILE}\r\nContent-Disposition: attachment; filename="${HOSTILE.replaceAll('"', '\\"')}"\r\n\r\nx\r\n`;
    const hostile = await add(
      store,
      `${head}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${HOSTILE} http://x/${HOSTILE}\r\n${part}--b--`,
    );
    assert.equal(hostile.undecodable, undefined);
    for (const path of ["", ...["html", "text", "source"].map((view) => `/messages/${hostile.id}?view=${view}`)]) {
      assert.doesNotMatch(await (await get(`/inbox${path}`)).text(), /<script|<img|onerror=alert\(1\)>/, path);
    }
  });

  test("a message that cannot be decoded is shown by its source", async () => {
    const { store, get } = await site();
    const { id } = await add(store, `Subject: bomb\r\n\r\n${"\n".repeat(500_000)}`);
    const page = await (await get(`/inbox/messages/${id}`)).text();
    assert.match(page, /more than 400000 lines/);
    assert.match(page, /Subject: bomb/);
  });

  test("speak the language of the browser", async () => {
    const { get } = await site();
    const cases = {
      "ko-KR,ko;q=0.9,en;q=0.8": "ko",
      "en-US,en;q=0.9,ko;q=0.5": "en",
      "fr;q=1,ko;q=0.1": "ko",
      "*": "en",
      "": "en",
    };
    for (const [header, language] of Object.entries(cases)) {
      const page = await (await get("/inbox", { headers: { "accept-language": header } })).text();
      assert.match(page, new RegExp(`<html lang="${language}">`), header);
      assert.match(page, language === "ko" ? /받은 메일함/ : /Inbox/);
    }
  });

  test("the button empties the inbox and leads back", async () => {
    const { store, get } = await site();
    const headers = { origin: "http://localhost:8000", "sec-fetch-site": "same-origin" };
    const response = await get("/inbox/empty", { method: "POST", headers });
    assert.equal(response.status, 303);
    assert.equal(response.headers.get("location"), "/inbox/");
    assert.deepEqual(store.all(), []);
  });

  test("a page that is not there is 404, inside the mount and outside", async () => {
    const { get } = await site();
    for (const path of ["/", "/inboxes", "/inbox/x", "/inbox/messages/x", "/inbox/messages/x/html", "/api/messages"]) {
      assert.equal((await get(path)).status, 404, path);
    }
  });
});

test("every link of every page leads somewhere under the mount", async () => {
  for (const basePath of ["/inbox", "/dev/in.box/", "/"]) {
    const base = basePath.replace(/\/$/, "");
    const { report, get } = await site(basePath);
    const seen = new Set<string>();
    const queue = [`${base}/`, `${base}/?query=lee`, `${base}/messages/${report.id}?view=source`];
    for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
      if (seen.has(path)) continue;
      seen.add(path);
      const response = await get(path);
      assert.equal(response.status, 200, path);
      if (!(response.headers.get("content-type") ?? "").startsWith("text/html") || path.endsWith("/html")) continue;
      for (const [, link = ""] of (await response.text()).matchAll(/(?:href|src)="([^"]*)"/g)) {
        if (/^(?:https?:|data:)/.test(link)) continue;
        assert.ok(link.startsWith(`${base}/`), `${link} on ${path}`);
        queue.push(link.replaceAll("&amp;", "&"));
      }
    }
    assert.ok(seen.size >= 9, [...seen].join(" "));
  }
});

describe("strangers", () => {
  test("another host is refused with 403, before anything is read", async () => {
    const { get } = await site();
    const response = await get("/inbox/api/messages", { headers: { host: "evil.example" } });
    assert.equal(response.status, 403);
    assert.equal(((await response.json()) as { code: string }).code, "host-not-allowed");
  });

  test("another site cannot empty the inbox", async () => {
    const { store, get } = await site();
    for (const [path, method] of [
      ["/inbox/empty", "POST"],
      ["/inbox/api/messages", "DELETE"],
    ] as const) {
      const response = await get(path, {
        method,
        headers: { origin: "https://evil.example", "sec-fetch-site": "cross-site" },
      });
      assert.equal(response.status, 403);
      assert.equal(((await response.json()) as { code: string }).code, "cross-site");
    }
    assert.equal(store.all().length, 1);
  });

  test("no response can be read, framed, sniffed or kept by others", async () => {
    const { report, get } = await site();
    const paths = ["", "/x", "/api/messages", "/api/x", `/messages/${report.id}`, `/messages/${report.id}/html`];
    const downloads = [`/api/messages/${report.id}/raw`, `/api/messages/${report.id}/attachments/0`];
    for (const path of [...paths, ...downloads]) {
      const { headers } = await get(`/inbox${path}`, { headers: { origin: "https://evil.example" } });
      assert.equal(headers.get("access-control-allow-origin"), null, path);
      assert.equal(headers.get("x-content-type-options"), "nosniff", path);
      assert.equal(headers.get("cross-origin-resource-policy"), "same-origin", path);
      assert.equal(headers.get("cache-control"), "no-store", path);
      assert.match(
        headers.get("content-security-policy") ?? "",
        /default-src 'none'.*frame-ancestors '(?:none|self)'/,
        path,
      );
    }
  });
});
