import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { openDatabase } from "@posthaste/outbox";
import type { AccountsContext } from "./context.ts";
import { beginSession } from "./session.ts";
import { cookieOf, kyselyOf, openService, PASSWORD, tokenIn, type Service } from "./service.fixture.ts";

const BROWSER = { accept: "text/html" };
const KIM = { email: "kim@example.com", password: PASSWORD };

async function signUpActive(service: Service): Promise<void> {
  const { token } = await service.signUp(KIM.email, { name: "김철수", locale: "ko" });
  await service.get(`/users/activate?token=${token}`, { accept: "application/json" });
}

async function seen(response: Response): Promise<string> {
  return `${response.status} ${JSON.stringify([...response.headers])} ${await response.text()}`;
}

test("logging in gives a session, as cookie and once as bearer, and logging out ends it", async () => {
  await using service = await openService();
  await signUpActive(service);
  const response = await service.postJson("/users/login", { email: "KIM@EXAMPLE.COM", password: PASSWORD });
  assert.equal(response.status, 200);
  const { token, user } = (await response.json()) as { token: string; user: unknown };
  assert.deepEqual(user, { email: "kim@example.com", name: "김철수", locale: "ko" });
  const cookie = cookieOf(response, "posthaste-session");
  assert.match(response.headers.getSetCookie().join(), /; Path=\/; HttpOnly; SameSite=Lax$/);
  for (const headers of [{ cookie }, { authorization: `Bearer ${token}` }]) {
    const me = await service.get("/users/me", headers);
    assert.deepEqual(await me.json(), { email: "kim@example.com", name: "김철수", locale: "ko", is_active: true });
  }
  const logout = await service.fetch(
    new Request("http://127.0.0.1:8000/users/logout", { method: "POST", headers: { cookie } }),
  );
  assert.equal(logout.status, 204);
  assert.match(logout.headers.getSetCookie().join(), /^posthaste-session=; Max-Age=0/);
  const gone = await service.get("/users/me", { authorization: `Bearer ${token}` });
  assert.equal(gone.status, 401);
  assert.equal(gone.headers.get("www-authenticate"), "Bearer");
});

test("unknown, wrong and inactive are answered alike", async () => {
  await using service = await openService();
  await signUpActive(service);
  await service.postJson("/users/signup", { email: "lee@example.com", password: PASSWORD });
  const unknown = await seen(
    await service.postJson("/users/login", { email: "nobody@example.com", password: PASSWORD }),
  );
  const wrong = await seen(await service.postJson("/users/login", { ...KIM, password: "not the password" }));
  const inactive = await seen(await service.postJson("/users/login", { email: "lee@example.com", password: PASSWORD }));
  assert.match(unknown, /^401 .*"invalid_credentials"/);
  assert.equal(unknown, wrong);
  assert.equal(unknown, inactive);
});

test("the browser that signed up hears not_verified after the right password, and an active address is not betrayed", async () => {
  await using service = await openService();
  await signUpActive(service);
  const stranger = { password: "a stranger's password" };
  for (const email of ["kim@example.com", "new@example.com"]) {
    const signup = await service.postJson("/users/signup", { email, ...stranger });
    const cookie = cookieOf(signup, "posthaste-attempt");
    const right = await service.postJson("/users/login", { email, ...stranger }, { cookie });
    assert.equal(right.status, 401);
    assert.equal(((await right.json()) as { code: string }).code, "not_verified", email);
    for (const [body, headers] of [
      [{ email, password: "something else" }, { cookie }],
      [{ email, ...stranger }, {}],
      [{ email: "other@example.com", ...stranger }, { cookie }],
    ] as const) {
      const other = await service.postJson("/users/login", body, headers);
      assert.equal(((await other.json()) as { code: string }).code, "invalid_credentials");
    }
  }
  const owner = await service.postJson("/users/login", KIM);
  assert.equal(owner.status, 200);
});

test("a stranger's waiting sign-up does not betray by its end that the owner activated or declined", async () => {
  for (const ending of ["/users/activate", "/users/activate/decline"]) {
    await using service = await openService();
    const stranger = { email: KIM.email, password: "a stranger's password" };
    const signup = await service.postJson("/users/signup", stranger);
    const cookie = cookieOf(signup, "posthaste-attempt");
    const [mail] = await service.deliver();
    const owner = await service.signUp(KIM.email);
    const body = ending === "/users/activate" ? { token: owner.token, password: PASSWORD } : { token: tokenIn(mail) };
    assert.equal((await service.postJson(ending, body)).status, 200);
    const login = await service.postJson("/users/login", stranger, { cookie });
    assert.equal(((await login.json()) as { code: string }).code, "not_verified");
  }
});

test("a session that was planted before is not the one after logging in", async () => {
  await using service = await openService();
  await signUpActive(service);
  const planted = await service.postJson("/users/login", KIM, { cookie: `posthaste-session=${"A".repeat(43)}` });
  assert.notEqual(cookieOf(planted, "posthaste-session"), `posthaste-session=${"A".repeat(43)}`);
  const first = cookieOf(planted, "posthaste-session");
  const second = cookieOf(await service.postJson("/users/login", KIM, { cookie: first }), "posthaste-session");
  assert.notEqual(first, second);
  assert.equal((await service.get("/users/me", { cookie: first })).status, 401);
  assert.equal((await service.get("/users/me", { cookie: second })).status, 200);
});

test("a session that has expired, and what is no session, is nobody", async () => {
  await using service = await openService();
  await signUpActive(service);
  const cookie = cookieOf(await service.postJson("/users/login", KIM), "posthaste-session");
  service.database.exec("update posthaste_session set expires_at = unixepoch() * 1000 - 1");
  for (const headers of [
    { cookie },
    {},
    { cookie: "posthaste-session=%ff" },
    { authorization: "Bearer x" },
    { authorization: "Basic eA==" },
  ]) {
    assert.equal(
      (await service.get("/users/me", headers as Record<string, string>)).status,
      401,
      JSON.stringify(headers),
    );
  }
});

test("on https cookies are Secure and bound to the host by their prefix", async () => {
  await using service = await openService({ publicUrl: "https://example.com" });
  const signup = await service.postForm("/users/signup", { ...KIM, password2: PASSWORD });
  for (const cookie of signup.headers.getSetCookie()) {
    assert.match(
      cookie,
      /^__Host-posthaste-(attempt|mailed)=[\w-]+; Max-Age=\d+; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    );
  }
  assert.equal(signup.headers.getSetCookie().length, 2);
});

test("the form logs in and goes on to a path of our own only", async () => {
  await using service = await openService();
  await signUpActive(service);
  for (const [next, location] of [
    ["", "/users/me"],
    ["/inbox", "/inbox"],
    ["//evil.example", "/users/me"],
    ["https://evil.example", "/users/me"],
    ["/\\evil.example", "/users/me"],
  ] as const) {
    const response = await service.postForm("/users/login", { ...KIM, next });
    assert.equal(response.status, 303);
    assert.equal(response.headers.get("location"), location);
    const page = await (await service.get(`/users/login?next=${encodeURIComponent(next)}`)).text();
    assert.equal(page.includes("evil"), false);
  }
  const refused = await service.postForm("/users/login", { ...KIM, password: "wrong" });
  const page = await refused.text();
  assert.equal(refused.status, 401);
  assert.match(page, /role="alert"/);
  assert.match(page, /value="kim@example.com"/);
  assert.doesNotMatch(page, /wrong"/);
});

test("the page of one's own account asks to log in, and shows a name as text", async () => {
  await using service = await openService();
  const redirect = await service.get("/users/me", BROWSER);
  assert.equal(redirect.status, 303);
  assert.equal(redirect.headers.get("location"), "/users/login?next=/users/me");
  const { token } = await service.signUp(KIM.email, { name: "<script>alert(1)</script>" });
  await service.get(`/users/activate?token=${token}`, { accept: "application/json" });
  const cookie = cookieOf(await service.postJson("/users/login", KIM), "posthaste-session");
  const page = await (await service.get("/users/me", { ...BROWSER, cookie })).text();
  assert.match(page, /&lt;script&gt;/);
  assert.doesNotMatch(page, /<script/);
  const logout = await service.postForm("/users/logout", {}, { cookie });
  assert.equal(logout.headers.get("location"), "/users/login");
});

test("log-ins are limited by network and address together, known or not, right or wrong", async () => {
  await using service = await openService({ limits: { login: { requests: 2, seconds: 60 } } });
  await signUpActive(service);
  const post = async (email: string, address: string): Promise<number> => {
    const body = JSON.stringify({ email, password: PASSWORD });
    const headers = { "content-type": "application/json" };
    return (
      await service.fetch(new Request("http://127.0.0.1:8000/users/login/", { method: "POST", headers, body }), address)
    ).status;
  };
  assert.deepEqual([await post(KIM.email, "192.0.2.1"), await post("KIM@example.com", "192.0.2.1")], [200, 200]);
  assert.equal(await post(KIM.email, "192.0.2.1"), 429);
  assert.equal(await post(KIM.email, "192.0.2.2"), 200);
  const nobody = [
    await post("no@example.com", "192.0.2.1"),
    await post("no@example.com", "192.0.2.1"),
    await post("no@example.com", "192.0.2.1"),
  ];
  assert.deepEqual(nobody, [401, 401, 429]);
});

test("log-ins are limited by network alone too, before any password is hashed", async () => {
  await using service = await openService({ limits: { loginPerNetwork: { requests: 5, seconds: 60 } } });
  const length = 33 * availableParallelism() + 10;
  const statuses = await Promise.all(
    Array.from({ length }, async (_, index) => {
      const body = { email: `kim${index}@example.com`, password: PASSWORD };
      return (await service.postJson("/users/login", body)).status;
    }),
  );
  assert.deepEqual(statuses.toSorted(), [...Array<number>(5).fill(401), ...Array<number>(length - 5).fill(429)]);
});

test("a user who is not active has no session, neither an old one nor a new one", async () => {
  await using service = await openService();
  await signUpActive(service);
  const cookie = cookieOf(await service.postJson("/users/login", KIM), "posthaste-session");
  assert.equal((await service.get("/users/me", { cookie })).status, 200);
  service.database.exec("update posthaste_user set is_active = 0");
  assert.equal((await service.get("/users/me", { cookie })).status, 401);
  const userId = String(service.database.prepare("select id from posthaste_user").get()?.id);
  const context = { db: kyselyOf(service) } as AccountsContext;
  assert.equal(await beginSession(context, { userId, previous: undefined, network: "192.0.2.1" }), undefined);
});

test("when another process keeps the database's write lock, the answer is 503 with Retry-After", async () => {
  await using service = await openService();
  using other = openDatabase(service.database.location() ?? "");
  service.database.exec("pragma busy_timeout = 0");
  other.exec("begin immediate");
  const response = await service.postJson("/users/login", KIM);
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "2");
  assert.deepEqual(service.errors, []);
  other.exec("rollback");
});

test("when too many passwords wait, the answer is 503 with Retry-After, and nothing is written", async () => {
  await using service = await openService();
  const length = 33 * availableParallelism() + 5;
  const bodies = Array.from({ length }, (_, index) => ({ email: `kim${index}@example.com`, password: PASSWORD }));
  const responses = await Promise.all(bodies.map((body) => service.postJson("/users/signup", body)));
  const refused = responses.filter(({ status }) => status === 503);
  const users = service.database.prepare("select count(*) as count from posthaste_user").get()?.count;
  assert.ok(refused.length > 0);
  assert.ok(refused.every((response) => response.headers.get("retry-after") === "2"));
  assert.equal(users, length - refused.length);
  assert.deepEqual(service.errors, []);
});
