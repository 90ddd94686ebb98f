import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SettingsError } from "posthaste";
import { createGuard } from "./guard.ts";

const guard = createGuard(["inbox.internal", "192.0.2.7"]);

describe("the host decides whether a request is answered", () => {
  const cases: readonly [url: string, host: string | undefined, code: string | undefined][] = [
    ["http://localhost/", undefined, undefined],
    ["http://localhost:8000/", "localhost:8000", undefined],
    ["http://127.0.0.1:8000/", "127.0.0.1:8000", undefined],
    ["http://127.9.9.9/", undefined, undefined],
    ["http://[::1]:8000/", "[::1]:8000", undefined],
    ["http://app.localhost/", "APP.localhost", undefined],
    ["http://inbox.internal:8000/", "Inbox.Internal:8000", undefined],
    ["http://192.0.2.7/", undefined, undefined],
    // DNS rebinding, and names that only look like the loopback.
    ["http://evil.example/", undefined, "host-not-allowed"],
    ["http://localhost/", "evil.example", "host-not-allowed"],
    ["http://evil.example/", "localhost", "host-not-allowed"],
    ["http://localhost.evil.example/", undefined, "host-not-allowed"],
    ["http://127.0.0.1.evil.example/", undefined, "host-not-allowed"],
    ["http://evillocalhost/", undefined, "host-not-allowed"],
    ["http://localhost/", "evil.example@localhost", "host-not-allowed"],
    ["http://localhost/", "localhost/evil.example", "host-not-allowed"],
    ["http://localhost/", "localhost, evil.example", "host-not-allowed"],
    ["http://localhost/", "", "host-not-allowed"],
    ["http://10.0.0.1/", undefined, "host-not-allowed"],
    ["http://0.0.0.0/", undefined, "host-not-allowed"],
    ["http://[::]/", undefined, "host-not-allowed"],
  ];
  for (const [url, host, code] of cases) {
    test(`${url} with Host ${host ?? "absent"}`, () => {
      const request = new Request(url, host === undefined ? {} : { headers: { host } });
      assert.equal(guard(request)?.code, code);
    });
  }
});

describe("changes come from the inbox itself or from no browser", () => {
  const cases: readonly [headers: Record<string, string>, code: string | undefined][] = [
    [{}, undefined],
    [{ "sec-fetch-site": "same-origin", origin: "http://localhost" }, undefined],
    [{ "sec-fetch-site": "none" }, undefined],
    [{ origin: "http://localhost" }, undefined],
    [{ "sec-fetch-site": "cross-site", origin: "https://evil.example" }, "cross-site"],
    [{ "sec-fetch-site": "same-site", origin: "http://localhost:81" }, "cross-site"],
    [{ "sec-fetch-site": "cross-site" }, "cross-site"],
    [{ origin: "https://evil.example" }, "cross-site"],
    [{ origin: "http://localhost:81" }, "cross-site"],
    [{ origin: "https://localhost" }, "cross-site"],
    [{ origin: "null" }, "cross-site"],
  ];
  for (const [headers, code] of cases) {
    for (const method of ["POST", "DELETE", "PUT"]) {
      test(`${method} with ${JSON.stringify(headers)}`, () => {
        assert.equal(guard(new Request("http://localhost/inbox", { method, headers }))?.code, code);
      });
    }
    test(`GET with ${JSON.stringify(headers)}`, () => {
      assert.equal(guard(new Request("http://localhost/inbox", { headers })), undefined);
    });
  }
});

test("an entry of allowedHosts that is more than a name is refused", () => {
  for (const host of ["http://a.example", "a.example:80", "a.example/x", "", "a b"]) {
    assert.throws(() => createGuard([host]), SettingsError, host);
  }
});
