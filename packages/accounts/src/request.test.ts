import assert from "node:assert/strict";
import { test } from "node:test";
import { networkOf } from "./network.ts";
import { acceptedLocale } from "./locale.ts";
import { ownPath, parsePublicUrl } from "./public-url.ts";
import { isApiClient, isCrossSite, representationOf } from "./representation.ts";
import { readBody } from "./body.ts";
import { nameForMail } from "./activation-mail.ts";

test("next leads to a path of our own or nowhere", () => {
  const publicUrl = parsePublicUrl("https://example.com");
  const cases: [string | undefined, string | null][] = [
    ["/inbox", "/inbox"],
    ["/a?b=c#d", "/a?b=c#d"],
    ["/한글", "/%ED%95%9C%EA%B8%80"],
    ["/a//b", "/a//b"],
    [undefined, null],
    ["", null],
    ["inbox", null],
    ["//evil.example", null],
    ["///evil.example", null],
    ["/\\evil.example", null],
    ["/.//evil.example", null],
    ["/a/..//evil.example", null],
    ["/\t/evil.example", null],
    ["/\n/evil.example", null],
    ["https://evil.example", null],
    ["https://example.com/a", null],
    ["javascript:alert(1)", null],
    ["\\/evil.example", null],
  ];
  for (const [next, path] of cases) assert.equal(ownPath(publicUrl, next), path, JSON.stringify(next));
});

test("a public URL is an origin, and https unless on loopback", () => {
  for (const url of ["https://example.com", "http://127.0.0.1:8000", "http://localhost", "http://[::1]:1/"]) {
    assert.equal(parsePublicUrl(url).origin, new URL(url).origin);
  }
  const refused = ["", "example.com", "http://example.com", "ftp://example.com", "https://example.com/app"];
  for (const url of [
    ...refused,
    "https://example.com/?a",
    "https://kim:secret@example.com",
    "http://127.0.0.1.example.com",
  ]) {
    assert.throws(() => parsePublicUrl(url), { name: "SettingsError", setting: "PUBLIC_URL" }, url);
  }
});

test("clients are counted by IPv4 address or IPv6 /64", () => {
  const cases: [string | undefined, string][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["nonsense", "unknown"],
    [undefined, "unknown"],
  ];
  for (const [address, network] of cases) assert.equal(networkOf(address), network);
});

test("Accept and Accept-Language are read with their weights", () => {
  assert.equal(representationOf("text/html,application/xhtml+xml,*/*;q=0.8", "json"), "html");
  assert.equal(representationOf("application/json, text/html;q=0.5", "html"), "json");
  assert.equal(representationOf("application/problem+json, application/json", "html"), "problem");
  assert.equal(representationOf("*/*", "json"), "json");
  assert.equal(representationOf(undefined, "html"), "html");
  assert.equal(isApiClient("application/json"), true);
  for (const accept of [undefined, "*/*", "text/html", "application/json, text/html;q=0.1", "application/json;q=0"]) {
    assert.equal(isApiClient(accept), false, accept);
  }
  assert.equal(acceptedLocale("fr, en;q=0.5, ko-KR;q=0.9"), "ko");
  assert.equal(acceptedLocale("fr, *"), undefined);
  assert.equal(acceptedLocale("ko;q=0, en;q=0.1"), "en");
});

test("Sec-Fetch-Site decides who is another site, else Origin", () => {
  const publicUrl = parsePublicUrl("https://example.com");
  const cases: [Record<string, string>, boolean][] = [
    [{}, false],
    [{ "sec-fetch-site": "same-origin" }, false],
    [{ "sec-fetch-site": "none" }, false],
    [{ "sec-fetch-site": "same-site" }, true],
    [{ "sec-fetch-site": "cross-site" }, true],
    [{ "sec-fetch-site": "cross-site", origin: "https://example.com" }, true],
    [{ origin: "https://example.com" }, false],
    [{ origin: "https://example.com.evil.example" }, true],
    [{ origin: "http://example.com" }, true],
    [{ origin: "null" }, true],
  ];
  for (const [headers, expected] of cases)
    assert.equal(isCrossSite(new Headers(headers), publicUrl), expected, JSON.stringify(headers));
});

test("a stranger's name appears in a mail only where nothing in it could become a link", () => {
  for (const name of ["김철수", "Dr. Kim", "Anne-Marie O'Neil", "J. R. R. Tolkien", " 이영희 "])
    assert.equal(nameForMail(name), name.trim());
  const links = [
    "http://evil.example",
    "evil.example",
    "www.evil",
    "evil．example",
    "evil。example",
    "kim@evil.example",
    "a/b",
    "tel:112",
    // Compatibility characters, which a mail program may read as the ASCII ones.
    "kim＠evil",
    "a／b",
    "tel：112",
    "ｗｗｗ evil",
    "evil․example",
  ];
  for (const name of [...links, "Kim\u202egnp.exe", "a\u200bb", "Kim\nBcc", "x".repeat(65)])
    assert.equal(nameForMail(name), "", name);
});

test("a body that means two things, or nothing, is refused with its own code", async () => {
  const json = "application/json";
  const form = "application/x-www-form-urlencoded";
  const cases: [string, string, string][] = [
    [json, "{", "malformed_body"],
    [json, "", "malformed_body"],
    [json, "[]", "malformed_body"],
    [json, "null", "malformed_body"],
    [json, '"a"', "malformed_body"],
    [json, '{"a":"1","a":"2"}', "duplicate_field"],
    [json, '{"a":"1","\\u0061" :"2"}', "duplicate_field"],
    [json, '{"__proto__":{"a":"1"}}', "unknown_field"],
    [json, '{"constructor":"1"}', "unknown_field"],
    [json, '{"is_active":true}', "unknown_field"],
    [form, "a=1&a=2", "duplicate_field"],
    [form, "__proto__=1", "unknown_field"],
    [form, "a=%", "malformed_body"],
    [form, "a=%ff", "malformed_body"],
    ["application/json; charset=euc-kr", "{}", "unsupported_media_type"],
    ["text/plain", "{}", "unsupported_media_type"],
    ["multipart/form-data; boundary=x", "", "unsupported_media_type"],
    [json, `{"a":"${"x".repeat(16 * 1024)}"}`, "too_large"],
  ];
  for (const [type, body, code] of cases) {
    const request = new Request("http://127.0.0.1/", { method: "POST", body, headers: { "content-type": type } });
    await assert.rejects(readBody(request, ["a"]), { code }, `${type} ${body.slice(0, 40)}`);
  }
  const invalidUtf8 = new Request("http://127.0.0.1/", {
    method: "POST",
    body: Buffer.from([0x7b, 0xff, 0x7d]),
    headers: { "content-type": json },
  });
  await assert.rejects(readBody(invalidUtf8, []), { code: "malformed_body" });
  const compressed = new Request("http://127.0.0.1/", {
    method: "POST",
    body: "{}",
    headers: { "content-type": json, "content-encoding": "gzip" },
  });
  await assert.rejects(readBody(compressed, []), { code: "unsupported_media_type" });
});

test("nested members and braces in strings are not taken for fields", async () => {
  const body = '{"a" : {"a":"}{","b":[{"a":1}]}, "b":"\\"a\\":" }';
  const request = new Request("http://127.0.0.1/", {
    method: "POST",
    body,
    headers: { "content-type": "application/json; charset=UTF-8" },
  });
  assert.deepEqual({ ...(await readBody(request, ["a", "b"])) }, JSON.parse(body));
});

test("a body that the client breaks off is malformed", async () => {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(Buffer.from('{"a":')),
    pull: (controller) => controller.error(new Error("aborted")),
  });
  const headers = { "content-type": "application/json" };
  const request = new Request("http://127.0.0.1/", { method: "POST", body, duplex: "half", headers });
  await assert.rejects(readBody(request, ["a"]), { code: "malformed_body" });
});

test("a stream without a length is read no further than 16 KiB", async () => {
  let pulled = 0;
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      pulled++;
      controller.enqueue(new Uint8Array(1024));
    },
    cancel: () => {
      cancelled = true;
    },
  });
  const request = new Request("http://127.0.0.1/", {
    method: "POST",
    body,
    duplex: "half",
    headers: { "content-type": "application/json" },
  });
  await assert.rejects(readBody(request, []), { code: "too_large" });
  assert.ok(cancelled);
  assert.ok(pulled < 20);
});
