import assert from "node:assert/strict";
import { test } from "node:test";
import { cookieOf, KEYS, openService, PASSWORD, tokenIn, type Service } from "./service.fixture.ts";
import { newTokenId, signToken } from "./token.ts";

const JSON_ONLY = { accept: "application/json" };
const BROWSER = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const STRANGERS = "a stranger's password";

function isActive(service: Service, email = "kim@example.com"): boolean {
  return (
    service.database.prepare("select is_active from posthaste_user where email_key = ?").get(email)?.is_active === 1
  );
}

async function logsIn(service: Service, password: string): Promise<boolean> {
  return (await service.postJson("/users/login", { email: "kim@example.com", password })).status === 200;
}

async function codeOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { code: unknown }).code;
}

test("the browser that signed up activates with one click, and a second click says already active", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com", { next: "/inbox" });
  const first = await service.get(`/users/activate?token=${token}`, { ...BROWSER, cookie });
  assert.equal(first.status, 200);
  const page = await first.text();
  assert.match(page, /Your account is active\./);
  assert.match(page, /href="\/users\/login\?next=%2Finbox"/);
  assert.ok(isActive(service));
  const second = await service.get(`/users/activate/?token=${token}`, BROWSER);
  assert.equal(second.status, 200);
  assert.match(await second.text(), /already active/);
  assert.ok(await logsIn(service, PASSWORD));
});

test("a program that asks for JSON activates by GET", async () => {
  await using service = await openService();
  const { token } = await service.signUp("kim@example.com");
  const response = await service.get(`/users/activate?token=${token}&utm_source=mail`, JSON_ONLY);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { message: "Your account is active.", is_active: true });
  const again = await service.get(`/users/activate?token=${token}`, JSON_ONLY);
  assert.deepEqual(await again.json(), { message: "Your account is already active.", is_active: true });
});

test("what scanners, browsers elsewhere and prefetches send does not activate", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  const path = `/users/activate?token=${token}`;
  const cases: [string, Record<string, string>][] = [
    ["GET", {}],
    ["GET", { accept: "*/*" }],
    ["GET", BROWSER],
    ["GET", { accept: "text/html, application/json" }],
    ["GET", { accept: "application/*" }],
    ["GET", { accept: "*/*", cookie: `posthaste-attempt=${"A".repeat(43)}` }],
    ["GET", { accept: "*/*", cookie: "posthaste-attempt=" }],
    ["GET", { ...BROWSER, cookie, "sec-purpose": "prefetch;prerender" }],
    ["GET", { ...BROWSER, cookie, purpose: "prefetch" }],
    ["GET", { ...BROWSER, cookie, "x-moz": "prefetch" }],
    ["GET", { ...JSON_ONLY, "sec-purpose": "prefetch" }],
    ["HEAD", { ...BROWSER, cookie }],
    ["HEAD", JSON_ONLY],
    ["OPTIONS", { ...JSON_ONLY, cookie }],
    ["PUT", { ...JSON_ONLY, cookie }],
  ];
  for (const [method, headers] of cases) {
    const response = await service.fetch(new Request(`http://127.0.0.1:8000${path}`, { method, headers }));
    assert.ok(response.status < 500);
    assert.equal(isActive(service), false, `${method} ${JSON.stringify(headers)}`);
  }
  assert.equal((await service.get(path, { cookie })).status, 200);
  assert.ok(isActive(service));
});

test("the page elsewhere names the address and asks for the password of that sign-up", async () => {
  await using service = await openService();
  const { token } = await service.signUp("kim@example.com");
  const page = await (await service.get(`/users/activate?token=${token}`, BROWSER)).text();
  assert.match(page, /kim@example\.com/);
  assert.match(page, /type="password"/);
  assert.match(page, /\/users\/activate\/decline/);
  const without = await service.postJson("/users/activate", { token });
  assert.equal(without.status, 403);
  assert.equal(await codeOf(without), "password_required");
  const wrong = await service.postJson("/users/activate", { token, password: STRANGERS });
  assert.equal(wrong.status, 403);
  assert.equal(await codeOf(wrong), "wrong_password");
  assert.equal(isActive(service), false);
  const form = await service.postForm("/users/activate", { token, password: "wrong wrong" });
  assert.match(await form.text(), /id="password-fault"/);
  const right = await service.postForm("/users/activate", { token, password: PASSWORD });
  assert.equal(right.status, 200);
  assert.ok(isActive(service));
});

test("the browser that signed up needs no password for the button either", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  const page = await (
    await service.get(`/users/activate?token=${token}`, { ...BROWSER, cookie, purpose: "prefetch" })
  ).text();
  assert.doesNotMatch(page, /type="password"/);
  assert.equal((await service.postForm("/users/activate", { token }, { cookie })).status, 200);
  assert.ok(isActive(service));
});

test("passwords for one link are limited", async () => {
  await using service = await openService({ limits: { activationPassword: { requests: 2, seconds: 60 } } });
  const { token } = await service.signUp("kim@example.com");
  const statuses: number[] = [];
  for (let index = 0; index < 3; index++) {
    statuses.push((await service.postJson("/users/activate", { token, password: STRANGERS })).status);
  }
  assert.deepEqual(statuses, [403, 403, 429]);
});

test("of twenty clicks at once one activates and nineteen say already active", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  const clicks = Array.from({ length: 20 }, (_, index) =>
    index % 2 === 0
      ? service.get(`/users/activate?token=${token}`, { ...JSON_ONLY, cookie })
      : service.postJson("/users/activate", { token }, { cookie }),
  );
  const messages = await Promise.all(
    (await Promise.all(clicks)).map(async (response) => {
      assert.equal(response.status, 200);
      return ((await response.json()) as { message: string }).message;
    }),
  );
  assert.equal(messages.filter((message) => message === "Your account is active.").length, 1);
  assert.equal(messages.filter((message) => message === "Your account is already active.").length, 19);
  const activations = service.database
    .prepare("select count(*) as count from posthaste_audit where event = 'activated'")
    .get();
  assert.equal(activations?.count, 1);
});

test("of two sign-ups with one address only the clicked one's password, name and language count", async () => {
  for (const strangerFirst of [true, false]) {
    await using service = await openService();
    const stranger = (): Promise<{ token: string; cookie: string }> =>
      service.signUp("kim@example.com", { password: STRANGERS, name: "Stranger", locale: "en" });
    const theirs = strangerFirst ? await stranger() : undefined;
    const owner = await service.signUp("Kim@example.com", { name: "김철수", locale: "ko" });
    const other = theirs ?? (await stranger());
    // The owner's browser does not activate the stranger's attempt, even if the stranger's mail is opened there.
    await service.get(`/users/activate?token=${other.token}`, { ...BROWSER, cookie: owner.cookie });
    assert.equal(isActive(service), false);
    assert.equal((await service.postJson("/users/activate", { token: other.token, password: PASSWORD })).status, 403);
    await service.get(`/users/activate?token=${owner.token}`, { cookie: owner.cookie });
    assert.ok(isActive(service));
    assert.ok(await logsIn(service, PASSWORD));
    assert.equal(await logsIn(service, STRANGERS), false);
    const user = service.database.prepare("select email, name, locale from posthaste_user").get();
    assert.deepEqual({ ...user }, { email: "Kim@example.com", name: "김철수", locale: "ko" });
    // The other mail changes nothing any more.
    const late = await service.get(`/users/activate?token=${other.token}`, { ...JSON_ONLY, cookie: other.cookie });
    assert.deepEqual(await late.json(), { message: "Your account is already active.", is_active: true });
    assert.equal(await logsIn(service, STRANGERS), false);
  }
});

test("a sign-up with an active address cannot take it over, whatever token is made of its row", async () => {
  await using service = await openService();
  const { token } = await service.signUp("kim@example.com");
  await service.get(`/users/activate?token=${token}`, JSON_ONLY);
  await service.postJson("/users/signup", { email: "kim@example.com", password: STRANGERS });
  const row = service.database.prepare("select id from posthaste_token where purpose = 'notice'").get();
  const forged = signToken(KEYS, "activation", String(row?.id));
  assert.equal((await service.get(`/users/activate?token=${forged}`, JSON_ONLY)).status, 400);
  assert.equal(await logsIn(service, STRANGERS), false);
});

test("forged, truncated and repeated tokens are invalid, in a page or as JSON", async () => {
  await using service = await openService();
  const { token } = await service.signUp("kim@example.com");
  const queries = [
    "",
    "?token=",
    `?token=${token.slice(0, -1)}`,
    `?token=${token}x`,
    `?token=${token}&token=${token}`,
    `?token=${signToken(KEYS, "activation", newTokenId())}`,
    `?token=${signToken(KEYS, "reset", token.split(".")[1] ?? "")}`,
    "?token=%ff%00",
    `?token=${"A".repeat(5000)}`,
  ];
  for (const query of queries) {
    const json = await service.get(`/users/activate${query}`, JSON_ONLY);
    assert.equal(json.status, 400, query);
    assert.equal(await codeOf(json), "invalid_token");
    assert.equal((await service.get(`/users/activate${query}`, BROWSER)).status, 400);
  }
  const posted = await service.postJson("/users/activate", { token: `${token}x`, password: PASSWORD });
  assert.equal(await codeOf(posted), "invalid_token");
  assert.equal(isActive(service), false);
});

test("an expired link is 410 and offers another mail, whose link is new and works", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  service.database.exec(
    "update posthaste_token set expires_at = unixepoch() * 1000 - 1, mailed_at = mailed_at - 86400000",
  );
  const json = await service.get(`/users/activate?token=${token}`, { ...JSON_ONLY, cookie });
  assert.equal(json.status, 410);
  assert.equal(await codeOf(json), "expired_token");
  assert.equal((await service.postJson("/users/activate", { token, password: PASSWORD }, { cookie })).status, 410);
  const page = await service.get(`/users/activate?token=${token}`, { ...BROWSER, cookie });
  assert.equal(page.status, 410);
  assert.match(await page.text(), /action="\/users\/activate\/resend"[\s\S]*value="kim@example\.com"/);
  assert.equal(isActive(service), false);
  assert.equal((await service.postForm("/users/activate/resend", { email: "kim@example.com" })).status, 202);
  const [mail] = await service.deliver();
  const renewed = tokenIn(mail);
  assert.notEqual(renewed, token);
  assert.equal((await service.get(`/users/activate?token=${token}`, { ...JSON_ONLY, cookie })).status, 410);
  assert.equal((await service.get(`/users/activate?token=${renewed}`, { ...BROWSER, cookie })).status, 200);
  assert.ok(await logsIn(service, PASSWORD));
});

test("the 24 hours begin when the mail is composed, and a later mail does not renew them", async () => {
  await using service = await openService();
  await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  const expiry = (): unknown => service.database.prepare("select expires_at from posthaste_token").get()?.expires_at;
  assert.equal(expiry(), null);
  const before = Date.now();
  const [first] = await service.deliver();
  const expires = Number(expiry());
  assert.ok(expires >= before + 86_400_000 - 1000 && expires <= Date.now() + 86_400_000 + 1000);
  service.database.exec("update posthaste_token set mailed_at = mailed_at - 60000");
  await service.postJson("/users/activate/resend", { email: "kim@example.com" });
  const [second] = await service.deliver();
  assert.equal(tokenIn(second), tokenIn(first));
  assert.equal(expiry(), expires);
});

test("'this was not me' voids the attempt and keeps the record", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  const response = await service.postForm("/users/activate/decline", { token });
  assert.equal(response.status, 200);
  assert.equal((await service.get(`/users/activate?token=${token}`, { ...JSON_ONLY, cookie })).status, 400);
  assert.equal(await codeOf(await service.postJson("/users/activate", { token, password: PASSWORD })), "invalid_token");
  const row = service.database.prepare("select voided_at is not null as voided from posthaste_token").get();
  assert.deepEqual({ ...row }, { voided: 1 });
  const again = await service.postJson("/users/activate/decline", { token });
  assert.equal(again.status, 200);
  assert.equal(await codeOf(await service.postJson("/users/activate/decline", { token: "x" })), "invalid_token");
});

test("a mail whose attempt is used, declined or gone by then is not sent", async () => {
  const endings = [
    "update posthaste_token set used_at = 1",
    "update posthaste_token set voided_at = 1",
    "update posthaste_token set expires_at = 1, mails = 2",
    "delete from posthaste_user",
  ];
  for (const ending of endings) {
    await using service = await openService();
    await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
    service.database.exec(ending);
    assert.equal((await service.deliver()).length, 0, ending);
    assert.equal(service.database.prepare("select state from posthaste_state").get()?.state, "cancelled", ending);
  }
});

test("resending answers alike for every address, and sends one mail a minute and five at most", async () => {
  await using service = await openService();
  const resend = async (email: string): Promise<string> => {
    const response = await service.postJson("/users/activate/resend", { email });
    return `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
  };
  await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  const answer = await resend("kim@example.com");
  assert.match(answer, /^202 /);
  assert.equal((await service.deliver()).length, 1, "the first mail was still on its way, and will do");
  assert.equal(await resend("kim@example.com"), answer);
  assert.equal((await service.deliver()).length, 0, "less than a minute ago");
  let mails = 0;
  for (let index = 0; index < 7; index++) {
    service.database.exec("update posthaste_token set mailed_at = mailed_at - 60000");
    assert.equal(await resend("kim@example.com"), answer);
    mails += (await service.deliver()).length;
  }
  assert.equal(mails, 5);
  assert.equal(await resend("nobody@example.com"), answer);
  const active = await service.signUp("lee@example.com");
  await service.get(`/users/activate?token=${active.token}`, JSON_ONLY);
  service.database.exec("update posthaste_token set mailed_at = mailed_at - 60000");
  assert.equal(await resend("lee@example.com"), answer);
  assert.equal((await service.deliver()).length, 0);
});

test("resending is limited by address, known or not", async () => {
  await using service = await openService({ limits: { resendPerAddress: { requests: 2, seconds: 3600 } } });
  await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  for (const email of ["kim@example.com", "nobody@example.com"]) {
    const statuses: number[] = [];
    for (let index = 0; index < 3; index++)
      statuses.push((await service.postJson("/users/activate/resend", { email })).status);
    assert.deepEqual(statuses, [202, 202, 429], email);
  }
});

test("resending prefers the attempt of the browser that asks", async () => {
  await using service = await openService();
  const response = await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  const cookie = cookieOf(response, "posthaste-attempt");
  const [mine] = await service.deliver();
  await service.signUp("kim@example.com", { password: STRANGERS });
  service.database.exec("update posthaste_token set mailed_at = mailed_at - 60000");
  await service.postJson("/users/activate/resend", { email: "kim@example.com" }, { cookie });
  assert.equal(tokenIn((await service.deliver())[0]), tokenIn(mine));
});

test("policy click: every GET activates, but no HEAD", async () => {
  await using service = await openService({ activation: "click" });
  const { token } = await service.signUp("kim@example.com");
  await service.fetch(new Request(`http://127.0.0.1:8000/users/activate?token=${token}`, { method: "HEAD" }));
  assert.equal(isActive(service), false);
  await service.get(`/users/activate?token=${token}`);
  assert.ok(isActive(service));
});

test("policy button: no GET activates, and POST needs no password", async () => {
  await using service = await openService({ activation: "button" });
  const { token, cookie } = await service.signUp("kim@example.com");
  assert.equal((await service.get(`/users/activate?token=${token}`, { ...BROWSER, cookie })).status, 200);
  const json = await service.get(`/users/activate?token=${token}`, { ...JSON_ONLY, cookie });
  assert.equal(((await json.json()) as { is_active: boolean }).is_active, false);
  assert.equal(isActive(service), false);
  assert.equal((await service.postForm("/users/activate", { token })).status, 200);
  assert.ok(isActive(service));
});
