import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { inboxMessage, type Service, startService, temporaryFolder } from "./peer/posthaste.ts";

const PASSWORD = "correct horse battery";

let service: Service;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
before(async () => {
  folder = await temporaryFolder();
  service = await startService(folder.path);
});
after(async () => {
  await service[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(new URL(path, service.origin), { redirect: "manual", ...init });
  const text = await response.text();
  return {
    status: response.status,
    body: text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : { text },
  };
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return ask(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function signUp(email: string): Promise<string> {
  const { status } = await post("/users/signup", { email, password: PASSWORD, name: "김철수", locale: "ko" });
  assert.equal(status, 201);
  const { links } = await inboxMessage(service, email);
  return links[0] ?? "";
}

test("sign up by JSON, get the mail, open the link, be active, log in", async () => {
  const link = await signUp("kim@example.com");
  const mail = await inboxMessage(service, "kim@example.com");
  assert.match(mail.text, /김철수/);
  assert.equal((await post("/users/login", { email: "kim@example.com", password: PASSWORD })).status, 401);
  const activated = await ask(link, { headers: { accept: "application/json" } });
  assert.deepEqual([activated.status, activated.body.is_active], [200, true]);
  const again = await ask(link, { headers: { accept: "application/json" } });
  assert.deepEqual([again.status, again.body.is_active], [200, true], "a second click is no error");
  const login = await post("/users/login", { email: "kim@example.com", password: PASSWORD });
  assert.equal(login.status, 200);
  const me = await ask("/users/me", { headers: { authorization: `Bearer ${String(login.body.token)}` } });
  assert.equal(me.status, 200);
  assert.match(JSON.stringify(me.body), /김철수/);
});

test("HEAD, a prefetch and a GET that takes anything do not activate", async () => {
  const link = await signUp("scanner@example.com");
  await ask(link, { method: "HEAD" });
  await ask(link, { headers: { accept: "*/*" } });
  await ask(link, { headers: { accept: "text/html" } });
  await ask(link, { headers: { accept: "application/json", "sec-purpose": "prefetch" } });
  assert.equal((await post("/users/login", { email: "scanner@example.com", password: PASSWORD })).status, 401);
  assert.equal((await ask(link, { headers: { accept: "application/json" } })).status, 200);
  assert.equal((await post("/users/login", { email: "scanner@example.com", password: PASSWORD })).status, 200);
});

test("a forged or truncated token is an invalid token", async () => {
  const link = new URL(await signUp("forger@example.com"));
  const token = link.searchParams.get("token") ?? "";
  for (const forged of [
    token.slice(0, -1),
    `${token}A`,
    token.replace(/.$/, (last) => (last === "A" ? "B" : "A")),
    token.toUpperCase(),
    "",
    "a.b.c",
    "\u0000",
    "x".repeat(3000),
  ]) {
    link.searchParams.set("token", forged);
    const { status, body } = await ask(link.href, { headers: { accept: "application/json" } });
    assert.deepEqual([status, body.code], [400, "invalid_token"], forged);
    assert.equal((await post("/users/activate", { token: forged })).status, 400, forged);
  }
});

const BAD_BODIES: readonly [name: string, body: string, type: string, status: number][] = [
  ["malformed JSON", "{", "application/json", 400],
  ["JSON that is no object", "[]", "application/json", 400],
  [
    "an unknown field",
    '{"email":"a@example.com","password":"correct horse battery","is_active":true}',
    "application/json",
    400,
  ],
  [
    "a prototype",
    '{"email":"a@example.com","password":"correct horse battery","__proto__":{"is_active":true}}',
    "application/json",
    400,
  ],
  ["an address without @", '{"email":"a","password":"correct horse battery"}', "application/json", 400],
  [
    "a line break in the address",
    '{"email":"a@example.com\\r\\nBcc: b@example.com","password":"correct horse battery"}',
    "application/json",
    400,
  ],
  [
    "a line break in the name",
    '{"email":"a@example.com","password":"correct horse battery","name":"a\\nb"}',
    "application/json",
    400,
  ],
  ["a short password", '{"email":"a@example.com","password":"short"}', "application/json", 400],
  ["another type", "email=a", "text/plain", 415],
  [
    "a body over 16 KiB",
    JSON.stringify({ email: "a@example.com", password: "x".repeat(17_000) }),
    "application/json",
    413,
  ],
];

for (const [name, body, type, status] of BAD_BODIES) {
  test(`${name} gets ${status} and a message`, async () => {
    const answer = await post("/users/signup", body, { "content-type": type });
    assert.equal(answer.status, status);
    assert.equal(typeof answer.body.message, "string");
    assert.equal(typeof answer.body.code, "string");
  });
}

test("a body over 16 KiB is refused without a Content-Length too", async () => {
  const { port } = new URL(service.origin);
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request(
      {
        host: "127.0.0.1",
        port,
        path: "/users/signup",
        method: "POST",
        headers: { "content-type": "application/json" },
      },
      (response) => resolve(response.statusCode),
    );
    sent.on("error", reject);
    for (let part = 0; part < 20; part++) sent.write("x".repeat(1000));
    sent.end();
  });
  assert.equal(status, 413);
});

/** Sends raw octets and gives the status line's code. */
function raw(text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(service.origin).port), "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk.toString()));
    socket.on("error", reject).on("close", () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])));
  });
}

test("nothing that a client sends is answered by 500, on the wire too", async () => {
  const requests = [
    "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: x/y@z\r\nConnection: close\r\n\r\n",
    "GET http://[bad/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET //evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /%ff%fe?token=%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /users/activate?token=%00%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /inbox/messages/%ff HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    "GET /inbox HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "PROPFIND /users/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "POST /users/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5\r\nConnection: close\r\n\r\n\xff\xfe{}\xff",
    "garbage\r\n\r\n",
  ];
  for (const text of requests) {
    const status = await raw(text);
    assert.ok(status >= 200 && status < 500, `${status} for ${JSON.stringify(text)}`);
  }
  assert.doesNotMatch(service.printed.stderr, /"level":50/, "no fault was logged");
});

test("no token, password or cookie appears in what is logged", () => {
  assert.doesNotMatch(
    service.printed.stdout + service.printed.stderr,
    /correct horse|token=|posthaste-attempt|dev\.[\w-]+\.[\w-]+/,
  );
});
