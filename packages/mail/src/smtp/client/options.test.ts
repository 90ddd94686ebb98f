import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingsError } from "../../errors.ts";
import { resolveOptions, type SmtpOptions } from "./options.ts";

const HOST = { host: "mail.example.com" };

test("the defaults are what the documentation says", () => {
  const resolved = resolveOptions(HOST);
  const { connections, minTlsVersion, serverName, acceptAnyCertificate, schedule, protocol } = resolved;
  assert.deepEqual(
    { connections, minTlsVersion, serverName, acceptAnyCertificate, schedule, protocol },
    {
      connections: 1,
      minTlsVersion: "TLSv1.2",
      serverName: "mail.example.com",
      acceptAnyCertificate: false,
      schedule: "across",
      protocol: "smtp",
    },
  );
  for (const name of ["messagesPerSecond", "messagesPerConnection", "idleTimeout", "auth", "fingerprint"] as const)
    assert.equal(resolved[name], undefined);
});

test("tls, port and whether credentials may travel in clear follow from the rest", () => {
  const rows: readonly (readonly [SmtpOptions, tls: string, port: number, clearAuth: boolean])[] = [
    [HOST, "starttls", 587, false],
    [{ ...HOST, tls: "implicit" }, "implicit", 465, false],
    [{ ...HOST, tls: "opportunistic" }, "opportunistic", 25, false],
    [{ ...HOST, tls: "none" }, "none", 25, false],
    [{ ...HOST, port: 2525 }, "starttls", 2525, false],
    [{ ...HOST, protocol: "lmtp" }, "starttls", 24, false],
    [{ host: "localhost" }, "none", 25, true],
    [{ host: "127.0.0.9" }, "none", 25, true],
    [{ host: "::1", tls: "starttls" }, "starttls", 587, true],
    [{ path: "/run/lmtp" }, "none", 25, true],
    [{ path: "/run/lmtp", protocol: "lmtp" }, "none", 24, true],
    [{ host: "localhost", connect: () => assert.fail() }, "starttls", 587, false],
  ];
  for (const [options, ...expected] of rows) {
    const { tls, port, clearAuth } = resolveOptions(options);
    assert.deepEqual([tls, port, clearAuth], expected, JSON.stringify(options));
  }
});

test("each schedule is what the option says", () => {
  const rows = [
    ["auto", "across"],
    ["grouped", "grouped"],
    ["off", "lockstep"],
    [{ bdatWindow: 2 }, { window: 2 }],
    [{ bdatWindow: 100 }, { window: 100 }],
  ] as const;
  for (const [pipelining, schedule] of rows)
    assert.deepEqual(resolveOptions({ ...HOST, pipelining }).schedule, schedule);
});

test("a value that is not allowed is a SettingsError that names the option, and holds no secret", () => {
  const connect = (): never => assert.fail();
  const auth = { user: "me", password: "hunter2" };
  const rows: readonly (readonly [setting: string, options: object])[] = [
    ["Host", { ...HOST, Host: "x" }],
    ["secure", { ...HOST, secure: true }],
    ["__proto__", { ...HOST, ["__proto__"]: 1 }],
    ["timeouts.connect", { ...HOST, timeouts: { connect: 1 } }],
    ["auth.pasword", { ...HOST, auth: { user: "me", pasword: "hunter2" } }],
    ["auth.pass", { ...HOST, auth: { ...auth, pass: "hunter2" } }],
    ["auth.acessToken", { ...HOST, auth: { ...auth, acessToken: undefined } }],
    ["pipelining.window", { ...HOST, pipelining: { bdatWindow: 4, window: 8 } }],
    ["pipelining.BdatWindow", { ...HOST, pipelining: { BdatWindow: 4 } }],
    ["host", {}],
    ["host", { host: 7 }],
    ["host", { host: "a b" }],
    ["host", { host: "mail.example.com\r\n" }],
    ["port", { ...HOST, port: 65_536 }],
    ["port", { ...HOST, port: "25" }],
    ["path", { path: "" }],
    ["path", { path: "/run/x", port: 25 }],
    ["path", { path: "/run/x", connect }],
    ["protocol", { ...HOST, protocol: "smtps" }],
    ["connect", { ...HOST, connect: "socks://x" }],
    ["tls", { ...HOST, tls: true }],
    ["minTlsVersion", { ...HOST, minTlsVersion: "TLSv1.1" }],
    ["ca", { ...HOST, ca: "" }],
    ["ca", { ...HOST, ca: ["-----BEGIN PRIVATE KEY-----"] }],
    ["fingerprint", { ...HOST, fingerprint: "AB:CD" }],
    ["fingerprint", { ...HOST, fingerprint: "g".repeat(64) }],
    ["serverName", { ...HOST, serverName: "" }],
    ["serverName", { ...HOST, serverName: 7 }],
    ["serverName", { ...HOST, serverName: "a\r\nb" }],
    ["auth", { ...HOST, auth: null }],
    ["auth", { ...HOST, auth: "me:hunter2" }],
    ["timeouts", { ...HOST, timeouts: 7 }],
    ["acceptAnyCertificate", { ...HOST, acceptAnyCertificate: "yes" }],
    ["cert", { ...HOST, cert: "x" }],
    ["cert", { ...HOST, key: "hunter2" }],
    ["auth.user", { ...HOST, auth: { ...auth, user: "" } }],
    ["auth.user", { ...HOST, auth: { ...auth, user: "me\nhunter2" } }],
    ["auth.password", { ...HOST, auth: { user: "me" } }],
    ["auth.password", { ...HOST, auth: { user: "me", password: "hunter2\0" } }],
    ["auth.accessToken", { ...HOST, auth: { user: "me", accessToken: "" } }],
    ["auth", { ...HOST, auth: { ...auth, accessToken: "hunter2" } }],
    ["clientName", { ...HOST, clientName: "me there" }],
    ["clientName", { ...HOST, clientName: "[300.1.1.1]" }],
    ["connections", { ...HOST, connections: 0 }],
    ["connections", { ...HOST, connections: 1001 }],
    ["connections", { ...HOST, connections: 1.5 }],
    ["messagesPerSecond", { ...HOST, messagesPerSecond: 0 }],
    ["messagesPerSecond", { ...HOST, messagesPerSecond: Number.NaN }],
    ["messagesPerConnection", { ...HOST, messagesPerConnection: 0 }],
    ["idleTimeout", { ...HOST, idleTimeout: -1 }],
    ["idleTimeout", { ...HOST, idleTimeout: 2 ** 31 }],
    ["pipelining", { ...HOST, pipelining: true }],
    ["pipelining", { ...HOST, pipelining: {} }],
    ["pipelining", { ...HOST, pipelining: { bdatWindow: 1 } }],
    ["pipelining", { ...HOST, pipelining: { bdatWindow: 101 } }],
    ["timeouts.endOfData", { ...HOST, timeouts: { endOfData: 0 } }],
    ["timeouts.data", { ...HOST, timeouts: { data: Number.POSITIVE_INFINITY } }],
  ];
  for (const [setting, options] of rows) {
    assert.throws(
      () => resolveOptions(options),
      (error) => {
        assert.ok(error instanceof SettingsError, `${setting}: ${String(error)}`);
        assert.deepEqual([error.code, error.setting], ["bad-setting", setting]);
        return !`${error.stack}`.includes("hunter2");
      },
      setting,
    );
  }
});
