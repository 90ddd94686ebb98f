import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { extractLinks } from "./links.ts";

const token = "https://example.com/users/activate?token=a.b-c_d~e";

describe("links of the text", () => {
  const cases: readonly [text: string, ...links: string[]][] = [
    ["no link"],
    [`Open ${token}.`, token],
    [`<${token}>`, token],
    [`(see ${token})`, token],
    ["https://example.com/a_(b), and more", "https://example.com/a_(b)"],
    [`${token}를 누르세요`, token],
    [`“${token}”`, token],
    ["HTTP://EXAMPLE.COM/x!", "HTTP://EXAMPLE.COM/x"],
    ["http://[::1]:8025/x and http://127.0.0.1:8025/", "http://[::1]:8025/x", "http://127.0.0.1:8025/"],
    ["https://a.example/1\nhttps://a.example/1\nhttps://a.example/2", "https://a.example/1", "https://a.example/2"],
    // What must not become a link.
    ["javascript:alert(1) data:text/html,x file:///etc/passwd ftp://example.com/"],
    ["xhttps://example.com/ https:// http://:80/"],
    [`https://example.com/${"a".repeat(9000)}`],
  ];
  for (const [text, ...links] of cases) {
    test(JSON.stringify(text.slice(0, 60)), () => assert.deepEqual(extractLinks(text, ""), links));
  }
});

describe("links of the HTML", () => {
  const link = "https://example.com/";
  const cases: readonly [html: string, ...links: string[]][] = [
    [`<a href="${link}">x</a>`, link],
    [`<A class=x HREF = '${link}' >x</A>`, link],
    [`<a\nhref=${link}>x</a><area href=${link}2>`, link, `${link}2`],
    [`<a href="${link}?a=1&amp;b=2&#38;c=3&#x26;d=4">`, `${link}?a=1&b=2&c=3&d=4`],
    [`<a href=" ${link}a\nb ">`, `${link}ab`],
    [`<a title="href='https://no.example/'" href="${link}">`, link],
    [`<a title=">" href="${link}">`, link],
    [`<a href="${link}" href="https://second.example/">`, link],
    // What must not become a link.
    [`<!-- <a href="${link}"> --><script>'<a href="${link}">'</script><style><a href="${link}"></style>`],
    [`<a href="javascript:alert(1)"><a href="&#106;avascript:alert(1)"><a href="/relative"><a href="//example.com/">`],
    [`<a href><a href=><a href=""><a><b href="${link}"><abbr href="${link}">< a href="${link}">`],
    [`<a href="&#1114112;&#x110000;https://example.com/">`],
    [`<a href="${link}`],
  ];
  for (const [html, ...links] of cases) {
    test(JSON.stringify(html.slice(0, 60)), () => assert.deepEqual(extractLinks("", html), links));
  }
});

test("more than 1000 links are left out", () => {
  const text = Array.from({ length: 3000 }, (_, index) => `https://example.com/${index}`).join(" ");
  assert.equal(extractLinks(text, text).length, 1000);
});

test("hostile HTML and text of 2 MiB take proportional time", () => {
  const patterns = [
    "<",
    "<a ",
    "<a href=",
    '<a href="',
    "<a href='",
    "<a x=\"'",
    "<!--",
    "<script>",
    "<a\t\t",
    "</",
    "<a href=x ",
    "<p/",
    "&#",
    "http://",
    "http://a)",
    "http://a(",
    "(((",
    "<a a a =",
  ];
  for (const pattern of patterns) {
    const hostile = pattern.repeat((2 * 1024 * 1024) / pattern.length);
    const started = performance.now();
    extractLinks(hostile, hostile);
    assert.ok(performance.now() - started < 2000, `${pattern} took ${performance.now() - started} ms`);
  }
});
