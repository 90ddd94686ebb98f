import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { openService, PASSWORD, textsOf } from "./service.fixture.ts";

const KIM = { email: "kim@example.com", password: PASSWORD };
const POSTS = ["signup", "activate", "activate/resend", "activate/decline", "login", "logout"].map(
  (name) => `/users/${name}`,
);
const PAGES = ["/", "/users/signup", "/users/signup/sent", "/users/login", "/users/activate", "/users/activate/resend"];

test("every page is valid for people: a language, labels, no script, no foreign resource", async () => {
  await using service = await openService({ links: [{ href: "/inbox", label: "Inbox <dev>" }] });
  for (const locale of ["ko", "en"]) {
    for (const path of PAGES) {
      const response = await service.get(path, { accept: "text/html", "accept-language": locale });
      const page = await response.text();
      assert.match(page, new RegExp(`<html lang="${locale}">`), path);
      assert.doesNotMatch(page, /<script|https?:\/\/|undefined|\[object/, path);
      const inputs = [...page.matchAll(/<input(?! type="hidden")[^>]*id="([^"]+)"/g)].map(([, id]) => id ?? "");
      for (const id of inputs) assert.ok(page.includes(`<label for="${id}">`), `${path} ${id}`);
    }
  }
  assert.match(await (await service.get("/")).text(), /<a href="\/inbox">Inbox &lt;dev&gt;<\/a>/);
});

test("every answer has the headers that keep it private", async () => {
  await using service = await openService();
  const responses = [
    ...(await Promise.all([...PAGES, "/healthz", "/users/me", "/nowhere"].map((path) => service.get(path)))),
    await service.postJson("/users/signup", KIM),
    await service.postJson("/users/login", KIM),
    await service.postJson("/users/signup", KIM, { "sec-fetch-site": "cross-site" }),
  ];
  for (const response of responses) {
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.equal(response.headers.get("referrer-policy"), "same-origin");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/);
  }
});

test("a POST from another site is refused, whatever the route", async () => {
  await using service = await openService();
  for (const path of POSTS) {
    for (const headers of [
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site" },
      { origin: "https://evil.example" },
      { origin: "null" },
    ]) {
      const response = await service.postForm(path, KIM, {
        accept: "application/json",
        ...(headers as Record<string, string>),
      });
      assert.equal(response.status, 403, path);
      assert.equal(((await response.json()) as { code: string }).code, "cross_site");
    }
  }
  assert.equal(service.database.prepare("select count(*) as count from posthaste_user").get()?.count, 0);
});

test("links come from the public URL, whatever Host and Forwarded say", async () => {
  await using service = await openService({ publicUrl: "https://example.com" });
  const request = new Request("http://evil.example/users/signup", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      host: "evil.example",
      "x-forwarded-host": "evil.example",
      forwarded: "host=evil.example",
    },
    body: JSON.stringify(KIM),
  });
  assert.equal((await service.fetch(request)).status, 201);
  const [mail] = await service.deliver();
  const content = textsOf(mail);
  assert.doesNotMatch(content, /evil/);
  assert.match(content, /https:\/\/example\.com\/users\/activate\?token=k1/);
});

test("what nobody serves is 404, a wrong method 405 with Allow, and OPTIONS says what there is", async () => {
  await using service = await openService();
  assert.equal((await service.get("/nowhere")).status, 404);
  const json = (await (
    await service.get("/nowhere", { accept: "application/json", "accept-language": "ko" })
  ).json()) as { message: string };
  assert.equal(json.message, "요청하신 페이지가 없습니다.");
  const wrong = await service.fetch(new Request("http://127.0.0.1:8000/users/activate/", { method: "DELETE" }));
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "GET, HEAD, OPTIONS, POST");
  const options = await service.fetch(new Request("http://127.0.0.1:8000/users/logout", { method: "OPTIONS" }));
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "OPTIONS, POST");
});

test("bodies that are too large or of another type are refused on every route", async () => {
  await using service = await openService();
  for (const path of POSTS) {
    assert.equal((await service.postJson(path, { email: "x".repeat(17_000) })).status, 413, path);
    assert.equal((await service.postJson(path, {}, { "content-type": "text/plain" })).status, 415, path);
    assert.equal((await service.postForm(path, { email: "x".repeat(17_000) })).status, 413, path);
  }
});

test("settings that cannot be are refused, and named", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "posthaste-settings-"));
  const { TMPDIR } = process.env;
  process.env.TMPDIR = folder;
  context.after(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
    return rm(folder, { recursive: true });
  });
  const cases: [object, string][] = [
    [{ activation: "none" }, "activation"],
    [{ publicUrl: "http://example.com" }, "PUBLIC_URL"],
    [{ limits: { login: { requests: 0, seconds: 60 } } }, "limits.login"],
  ];
  for (const [options, setting] of cases)
    await assert.rejects(openService(options), { name: "SettingsError", setting });
  await assert.rejects(openService({ from: "nobody" }), { name: "AddressError" });
  assert.deepEqual(await readdir(folder), [], "a service that did not start leaves nothing behind");
});

const fieldName = fc.oneof(
  fc.constantFrom(
    "email",
    "password",
    "password2",
    "name",
    "locale",
    "next",
    "token",
    "is_active",
    "__proto__",
    "toString",
  ),
  fc.string({ unit: "binary" }),
);
const fieldValue = fc.oneof(
  fc.constantFrom(
    "kim@example.com",
    "kim@한글.com",
    "ko",
    "en",
    "/inbox",
    "//evil",
    "\ud800",
    "\0",
    "a\r\nb",
    "k1.AAAAAAAAAAAAAAAAAAAAAA.x",
  ),
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.jsonValue({ maxDepth: 2 }),
);
const fields = fc.array(fc.tuple(fieldName, fieldValue), { maxLength: 6 });
const jsonBody = fields.map(
  (entries) => `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`,
);
const formBody = fields.map((entries) =>
  entries
    .map(
      ([name, value]) =>
        `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent((typeof value === "string" ? value : JSON.stringify(value)).toWellFormed())}`,
    )
    .join("&"),
);
const header = fc.constantFrom("text/html", "*/*", "application/problem+json", "q=;,;q=", "application/json;q=2");

test("nothing that a client sends is answered with a 5xx", async () => {
  await using service = await openService();
  const requests = fc.record({
    path: fc.constantFrom(...POSTS, "/users/me", "/users/login//", "/users/%ff"),
    type: fc.constantFrom("application/json", "application/x-www-form-urlencoded", "application/json; charset=", "x"),
    body: fc.oneof(jsonBody, formBody, fc.string({ unit: "binary" }), fc.json()),
    accept: header,
    language: fc.oneof(fc.constantFrom("ko", "en;q=0.x", "*"), header),
    cookie: fc.constantFrom("", "posthaste-session=x", "posthaste-attempt=%ff; posthaste-mailed=gA", "=;;="),
  });
  await fc.assert(
    fc.asyncProperty(requests, async ({ path, type, body, accept, language, cookie }) => {
      const headers = { "content-type": type, accept, "accept-language": language, cookie };
      const response = await service.fetch(
        new Request(`http://127.0.0.1:8000${path}`, { method: "POST", headers, body }),
      );
      assert.ok(response.status < 500, String(response.status));
      await response.text();
    }),
    { numRuns: 300 },
  );
  const queries = fc.record({
    path: fc.constantFrom(...PAGES, "/users/me"),
    query: fc.string({ unit: "binary" }),
    accept: header,
  });
  await fc.assert(
    fc.asyncProperty(queries, async ({ path, query, accept }) => {
      const url = `http://127.0.0.1:8000${path}?token=${query.toWellFormed()}&next=${query.toWellFormed()}`;
      const response = await service.fetch(new Request(url, { headers: { accept } }));
      assert.ok(response.status < 500, String(response.status));
      await response.text();
    }),
    { numRuns: 150 },
  );
  assert.deepEqual(service.errors, []);
});
