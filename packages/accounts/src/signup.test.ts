import assert from "node:assert/strict";
import { test } from "node:test";
import { migrateAccounts } from "./migration.ts";
import { cookieOf, openService, PASSWORD, textsOf, tokenIn, type Service } from "./service.fixture.ts";

async function seen(response: Response): Promise<unknown> {
  const headers = [...response.headers].map(([name, value]) => [name, value.replace(/=[\w-]{43};/, "=…;")]);
  return { status: response.status, headers, body: await response.text() };
}

function count(service: Service, table: string): number {
  return Number(service.database.prepare(`select count(*) as count from ${table}`).get()?.count);
}

/** Every text and blob of the database, one a line. */
function everything(service: Service): string {
  const tables = service.database.prepare("select name from sqlite_schema where type = 'table'").all();
  return tables
    .flatMap(({ name }) => service.database.prepare(`select * from "${String(name)}"`).all())
    .flatMap((row) => Object.values(row))
    .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value)))
    .join("\n");
}

test("a sign-up makes an inactive user and a mail in the language asked for", async () => {
  await using service = await openService();
  const body = { email: "Kim@example.com", password: PASSWORD, password2: PASSWORD, name: "김철수", locale: "ko" };
  const response = await service.postJson("/users/signup/", body, { "accept-language": "en" });
  assert.equal(response.status, 201);
  assert.deepEqual(await response.json(), {
    message: "메일함을 확인해 주세요.",
    detail: "메일을 보내고 있습니다. 메일의 링크를 열면 계정이 활성화됩니다.",
    email: "Kim@example.com",
  });
  const [mail, ...others] = await service.deliver();
  assert.equal(others.length, 0);
  assert.deepEqual(mail?.envelope, { reversePath: "accounts@example.com", forwardPaths: ["Kim@example.com"] });
  assert.match(textsOf(mail), /김철수 님, 안녕하세요\./);
  assert.match(textsOf(mail), /http:\/\/127\.0\.0\.1:8000\/users\/activate\?token=/);
  const login = await service.postJson("/users/login", { email: "kim@example.com", password: PASSWORD });
  assert.equal(login.status, 401);
});

test("an English mail for an English browser, and a name with a link in it is left out", async () => {
  await using service = await openService();
  await service.postJson(
    "/users/signup",
    { email: "kim@example.com", password: PASSWORD, name: "evil.example" },
    { "accept-language": "en-US" },
  );
  const [mail] = await service.deliver();
  assert.match(textsOf(mail), /^Hello,/m);
  assert.doesNotMatch(textsOf(mail), /evil/);
});

test("new, pending and active addresses get the same answer", async () => {
  await using service = await openService();
  const body = { email: "kim@example.com", password: PASSWORD };
  const fresh = await service.postJson("/users/signup", body);
  const cookie = cookieOf(fresh, "posthaste-attempt");
  const [mail] = await service.deliver();
  const pending = await seen(await service.postJson("/users/signup", body));
  const activation = await service.get(`/users/activate?token=${tokenIn(mail)}`, { cookie });
  assert.equal(activation.status, 200);
  const active = await seen(await service.postJson("/users/signup", body));
  assert.deepEqual(await seen(fresh), pending);
  assert.deepEqual(pending, active);
});

test("all three write as many rows with as many statements", async () => {
  await using service = await openService();
  const tables = ["posthaste_token", "posthaste_message", "posthaste_audit"];
  const rows = (): number[] => tables.map((table) => count(service, table));
  const { token } = await service.signUp("kim@example.com");
  const afterNew = rows();
  await service.signUp("kim@example.com");
  const afterPending = rows();
  await service.get(`/users/activate?token=${token}`, { accept: "application/json" });
  const beforeActive = rows();
  await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  const afterActive = rows();
  assert.deepEqual(afterNew, [1, 1, 1]);
  assert.deepEqual(afterPending, [2, 2, 2]);
  assert.deepEqual(
    afterActive,
    beforeActive.map((number) => number + 1),
  );
});

test("the owner of an active address gets a mail without a link to activate, at the address on file", async () => {
  await using service = await openService();
  const { token } = await service.signUp("Kim@example.com");
  await service.get(`/users/activate?token=${token}`, { accept: "application/json" });
  await service.postJson("/users/signup", {
    email: "KIM@EXAMPLE.COM",
    password: "a stranger's password",
    name: "Stranger",
  });
  const [mail] = await service.deliver();
  assert.deepEqual(mail?.envelope.forwardPaths, ["Kim@example.com"]);
  assert.match(textsOf(mail), /already has an account/);
  assert.doesNotMatch(textsOf(mail), /token=|Stranger/);
});

test("nothing in the database is a usable token, cookie or password", async () => {
  await using service = await openService();
  const { token, cookie } = await service.signUp("kim@example.com");
  const login = async (): Promise<Response> =>
    service.postJson("/users/login", { email: "kim@example.com", password: PASSWORD });
  await service.get(`/users/activate?token=${token}`, { cookie });
  const session = ((await (await login()).json()) as { token: string }).token;
  const { token: waiting } = await service.signUp("lee@example.com");
  const content = everything(service);
  assert.ok(content.includes(waiting.split(".")[1] ?? "?"), "the id is there, so the search works");
  for (const secret of [token, waiting, waiting.split(".")[2] ?? "", cookie.split("=")[1] ?? "", session, PASSWORD]) {
    assert.ok(secret.length > 20);
    assert.ok(!content.includes(secret));
  }
});

test("sign-ups at the same time with one address make one user and one attempt each", async () => {
  await using service = await openService();
  const body = { email: "kim@example.com", password: PASSWORD };
  const responses = await Promise.all(Array.from({ length: 5 }, () => service.postJson("/users/signup", body)));
  assert.deepEqual(
    responses.map(({ status }) => status),
    [201, 201, 201, 201, 201],
  );
  assert.equal(count(service, "posthaste_user"), 1);
  assert.equal(count(service, "posthaste_token"), 5);
});

test("mails of several attempts wait for each other, a minute apart, and none is dropped", async () => {
  await using service = await openService();
  for (let index = 0; index < 3; index++)
    await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  const due = service.database
    .prepare("select due from posthaste_state order by due")
    .all()
    .map((row) => Number(row.due));
  const [first = 0, second = 0, third = 0] = due;
  assert.ok(second - first > 55_000 && third - second > 55_000, String(due));
  assert.equal((await service.deliver()).length, 3);
});

test("if the transaction fails, neither user nor mail nor attempt is left", async () => {
  await using service = await openService();
  service.database.exec(
    "create trigger broken before insert on posthaste_audit begin select raise(abort, 'disk on fire'); end",
  );
  const response = await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  assert.equal(response.status, 500);
  assert.equal(((await response.json()) as { code: string }).code, "internal");
  assert.equal(service.errors.length, 1);
  for (const table of ["posthaste_user", "posthaste_token", "posthaste_message"])
    assert.equal(count(service, table), 0, table);
});

test("onEnqueued is called once the mail is committed", async () => {
  let called = 0;
  await using service = await openService({ onEnqueued: () => void called++ });
  await service.postJson("/users/signup", { email: "kim@example.com", password: PASSWORD });
  assert.equal(called, 1);
  await service.postJson("/users/signup", { email: "nobody", password: PASSWORD });
  assert.equal(called, 1);
});

test("the form is answered with a redirect to a page that names the address", async () => {
  await using service = await openService();
  const fields = { email: "kim@example.com", password: PASSWORD, password2: PASSWORD, name: "", next: "" };
  const response = await service.postForm("/users/signup", fields);
  assert.equal(response.status, 303);
  assert.equal(response.headers.get("location"), "/users/signup/sent");
  const page = await (
    await service.get("/users/signup/sent", { cookie: cookieOf(response, "posthaste-mailed") })
  ).text();
  assert.match(page, /A mail to kim@example\.com is on its way\./);
  const forged = Buffer.from('"><script>alert(1)</script>@x').toString("base64url");
  const safe = await (await service.get("/users/signup/sent", { cookie: `posthaste-mailed=${forged}` })).text();
  assert.doesNotMatch(safe, /script/);
});

test("a refused form shows its faults beside the fields and keeps what was typed, but no password", async () => {
  await using service = await openService();
  const fields = { email: 'kim"><b>@example', password: "short-pw-1", password2: "other-pw-2", name: "<i>Kim</i>" };
  const response = await service.postForm("/users/signup", { ...fields, email: "no-address<b>" });
  const page = await response.text();
  assert.equal(response.status, 400);
  assert.match(page, /role="alert"/);
  assert.match(page, /id="email-fault">This is not an e-mail address/);
  assert.match(page, /aria-describedby="email-fault"/);
  assert.match(page, /value="no-address&lt;b&gt;"/);
  assert.match(page, /value="&lt;i&gt;Kim&lt;\/i&gt;"/);
  assert.doesNotMatch(page, /short-pw-1|other-pw-2|<b>|<i>/);
});

test("fields that are wrong are named, in JSON and as RFC 9457", async () => {
  await using service = await openService();
  const cases: [Record<string, unknown>, string][] = [
    [{ email: "kim" }, "email"],
    [{ email: "kim@example.com\r\nBcc: all@example.com" }, "email"],
    [{ email: undefined }, "email"],
    [{ email: ["kim@example.com"] }, "email"],
    [{ password: "short" }, "password"],
    [{ password: "x".repeat(257) }, "password"],
    [{ password: "password1" }, "password"],
    [{ password: "KIM@example.com" }, "password"],
    [{ password: "with\0 a NUL inside" }, "password"],
    [{ password: "with\n a line break" }, "password"],
    [{ password: "lone \ud800 surrogate" }, "password"],
    [{ password2: "something else" }, "password2"],
    [{ name: "x".repeat(65) }, "name"],
    [{ name: "Kim\u2028Bcc" }, "name"],
    [{ name: null }, "name"],
    [{ locale: "fr" }, "locale"],
    [{ next: `/${"x".repeat(512)}` }, "next"],
    [{ is_active: true }, "is_active"],
    [{ admin: "1" }, "admin"],
  ];
  for (const [change, field] of cases) {
    const body = { email: "kim@example.com", password: PASSWORD, ...change };
    const response = await service.postJson("/users/signup", body);
    const answer = (await response.json()) as { code: string; errors: Record<string, string[]> };
    assert.equal(response.status, 400, JSON.stringify(change));
    assert.deepEqual(Object.keys(answer.errors), [field], JSON.stringify(change));
    const problem = await service.postJson("/users/signup", body, { accept: "application/problem+json" });
    assert.equal(problem.headers.get("content-type"), "application/problem+json");
    assert.equal(((await problem.json()) as { status: number }).status, 400);
  }
  assert.equal(count(service, "posthaste_user"), 0);
});

test("sign-ups are limited by network, by address and by both, and known and unknown addresses alike", async () => {
  const limit = { requests: 3, seconds: 3600 };
  const limits = { signupPerNetwork: limit, signupPerAddress: limit, signup: { requests: 2, seconds: 3600 } };
  await using service = await openService({ limits });
  const post = (email: string, address: string): Promise<Response> =>
    service.fetch(
      new Request("http://127.0.0.1:8000/users/signup", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ email, password: PASSWORD }),
      }),
      address,
    );
  const byNetwork: number[] = [];
  for (let index = 0; index < 4; index++) byNetwork.push((await post(`kim${index}@example.com`, "2001:db8::1")).status);
  assert.deepEqual(byNetwork, [201, 201, 201, 429]);
  assert.equal((await post("kim9@example.com", "2001:db8::ffff")).status, 429);
  const byAddress: number[] = [];
  for (let index = 0; index < 4; index++) byAddress.push((await post("lee@example.com", `192.0.2.${index}`)).status);
  assert.deepEqual(byAddress, [201, 201, 201, 429]);
  const refused = await post("LEE@example.com", "192.0.2.99");
  assert.equal(refused.status, 429);
  assert.equal(refused.headers.get("retry-after"), "1200");
  const byBoth: number[] = [];
  for (let index = 0; index < 3; index++) byBoth.push((await post("choi@example.com", "198.51.100.1")).status);
  assert.deepEqual(byBoth, [201, 201, 429]);
  assert.equal((await post("choi@example.com", "198.51.100.2")).status, 201, "one network cannot use up the address");
});

test("migrations run once, and again without harm", async () => {
  await using service = await openService();
  migrateAccounts(service.database);
  assert.equal(count(service, "posthaste_accounts_migration"), 1);
  service.database.exec("insert into posthaste_accounts_migration values (99, 0)");
  assert.throws(() => migrateAccounts(service.database), /version 99/);
});
