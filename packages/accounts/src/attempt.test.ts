import assert from "node:assert/strict";
import { test } from "node:test";
import type { Composer } from "@posthaste/outbox";
import { accountsComposers } from "./activation-mail.ts";
import { activate, ACTIVATION_COMPOSER } from "./attempt.ts";
import type { AccountsContext } from "./context.ts";
import {
  cookieOf,
  FROM,
  KEYS,
  kyselyOf,
  openService,
  passTime,
  PASSWORD,
  PUBLIC_URL,
  textsOf,
  tokenIn,
  type Service,
} from "./service.fixture.ts";
import { signToken } from "./token.ts";

const EMAIL = "kim@example.com";
const STRANGER = { email: EMAIL, password: "a stranger's password" };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

function one(service: Service, sql: string): Record<string, unknown> {
  return { ...service.database.prepare(sql).get() };
}

function count(service: Service, table: string): unknown {
  return one(service, `select count(*) as count from ${table}`).count;
}

async function codeOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { code: unknown }).code;
}

async function resend(service: Service, cookie = ""): Promise<void> {
  const response = await service.postJson("/users/activate/resend", { email: EMAIL }, { cookie });
  assert.equal(response.status, 202);
}

/** Signs up, and activates without any mail having been composed. */
async function activateUnseen(service: Service): Promise<void> {
  const response = await service.postJson("/users/signup", { email: EMAIL, password: PASSWORD });
  const { id } = one(service, "select id from posthaste_token order by created_at desc");
  const cookie = cookieOf(response, "posthaste-attempt");
  const token = signToken(KEYS, "activation", String(id));
  assert.equal((await service.postJson("/users/activate", { token }, { cookie })).status, 200);
}

const OWNERS: readonly [what: string, mails: number, act: (service: Service, when: "before" | "after") => unknown][] = [
  ["is nobody's", 1, () => undefined],
  ["is active", 1, (service, when) => when === "before" && activateUnseen(service)],
  [
    "is activated meanwhile, before the stranger's mail leaves",
    0,
    (service, when) => when === "after" && activateUnseen(service),
  ],
  [
    "is activated meanwhile, after the stranger's mail left",
    0,
    async (service, when) => {
      if (when === "before") return;
      await service.deliver();
      await activateUnseen(service);
    },
  ],
  [
    "belongs to one who declined",
    0,
    async (service, when) => {
      if (when === "before") return;
      const token = tokenIn((await service.deliver()).at(-1));
      assert.equal((await service.postJson("/users/activate/decline", { token })).status, 200);
    },
  ],
];

for (const [what, mails, act] of OWNERS) {
  test(`a stranger's log-ins, expired and renewed, do not betray that the address ${what}`, async () => {
    await using service = await openService();
    await act(service, "before");
    const cookie = cookieOf(await service.postJson("/users/signup", STRANGER), "posthaste-attempt");
    await act(service, "after");
    await service.deliver();
    const logIn = async (): Promise<unknown> => codeOf(await service.postJson("/users/login", STRANGER, { cookie }));
    const codes = [await logIn()];
    for (let day = 1; day <= 2; day++) {
      passTime(service, DAY);
      codes.push(await logIn());
      await resend(service, cookie);
      codes.push(await logIn());
      assert.equal((await service.deliver()).length, mails);
      codes.push(await logIn());
    }
    const [open, expired] = ["not_verified", "invalid_credentials"];
    assert.deepEqual(codes, [open, expired, open, open, expired, open, open]);
  });
}

test("a renewed attempt takes the password along, and none of the old row is left", async () => {
  await using service = await openService();
  const { cookie } = await service.signUp(EMAIL);
  passTime(service, DAY);
  await resend(service, cookie);
  assert.equal(count(service, "posthaste_token"), 2);
  assert.equal(count(service, "posthaste_token where password_hash is not null"), 1);
});

test("a resend while the first mail is still to be composed adds none, however late", async () => {
  await using service = await openService();
  const cookie = cookieOf(await service.postJson("/users/signup", STRANGER), "posthaste-attempt");
  passTime(service, HOUR);
  await resend(service, cookie);
  assert.equal(count(service, "posthaste_message"), 1);
});

test("after 'this was not me' a resend sends the mail of the sign-up that still waits, not of the one declined", async () => {
  await using service = await openService();
  const owner = await service.signUp(EMAIL);
  const stranger = await service.signUp(EMAIL, { password: STRANGER.password });
  await service.postJson("/users/activate/decline", { token: stranger.token });
  passTime(service, HOUR);
  await resend(service, stranger.cookie);
  assert.equal((await service.deliver()).length, 0);
  await resend(service);
  assert.equal(tokenIn((await service.deliver())[0]), owner.token);
});

test("only the browser of a sign-up with an active address has its notice sent again", async () => {
  await using service = await openService();
  await activateUnseen(service);
  await service.deliver();
  const cookie = cookieOf(await service.postJson("/users/signup", STRANGER), "posthaste-attempt");
  await service.deliver();
  passTime(service, HOUR);
  await resend(service);
  assert.equal((await service.deliver()).length, 0);
  await resend(service, cookie);
  const [mail] = await service.deliver();
  assert.match(textsOf(mail), /already has an account/);
  assert.doesNotMatch(textsOf(mail), /token=/);
});

test("activation voids the other attempts: their mails are cancelled, and no password but the user's is right", async () => {
  await using service = await openService();
  const theirs = cookieOf(await service.postJson("/users/signup", STRANGER), "posthaste-attempt");
  await activateUnseen(service);
  assert.equal((await service.deliver()).length, 0);
  assert.equal(count(service, "posthaste_state where state = 'cancelled'"), 2);
  assert.equal(count(service, "posthaste_token where used_at is null and voided_at is null"), 0);
  assert.equal(count(service, "posthaste_token where used_at is not null and password_hash is not null"), 0);
  assert.notEqual((await service.postJson("/users/login", STRANGER, { cookie: theirs })).status, 200);
});

test("a notice activates nobody, even where its id reaches the statement", async () => {
  await using service = await openService();
  await activateUnseen(service);
  await service.postJson("/users/signup", STRANGER);
  const { id } = one(service, "select id from posthaste_token where purpose = 'notice'");
  service.database.exec("update posthaste_user set is_active = 0");
  assert.equal(await activate({ db: kyselyOf(service) } as AccountsContext, String(id), "192.0.2.1"), false);
  assert.equal(one(service, "select is_active from posthaste_user").is_active, 0);
});

test("every resend takes as long, whether there is a mail or not", async (context) => {
  await using service = await openService();
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let answered = false;
  const answer = resend(service).then(() => (answered = true));
  while (count(service, "posthaste_audit") === 0) await new Promise(setImmediate);
  context.mock.timers.tick(49);
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
  assert.equal(answered, false);
  context.mock.timers.tick(1);
  await answer;
});

/** Composes the first attempt's mail as the outbox's worker would. */
function composition(service: Service): (tries: number) => ReturnType<Composer> {
  const { database } = service;
  const compose = accountsComposers({ database, keys: KEYS, publicUrl: PUBLIC_URL, from: FROM })[ACTIVATION_COMPOSER];
  const { id } = one(service, "select id from posthaste_token order by created_at");
  const fixed = { messageId: "<x@example.com>", date: new Date() };
  return (tries) => compose?.({ attempt: String(id) }, { ...fixed, tries }) ?? null;
}

function hoursLeft(service: Service): number {
  const { left } = one(service, "select expires_at - unixepoch('subsec') * 1000 as left from posthaste_token");
  return Math.round(Number(left) / HOUR);
}

test("the 24 hours begin anew while no server has spoken of the first mail, even after an outage that was longer", async () => {
  await using service = await openService();
  await service.postJson("/users/signup", STRANGER);
  const compose = composition(service);
  const first = await compose(0);
  for (const hours of [5, 25]) {
    passTime(service, hours * HOUR);
    assert.deepEqual(await compose(0), first);
    assert.equal(hoursLeft(service), 24);
  }
  passTime(service, 5 * HOUR);
  assert.deepEqual(await compose(1), first);
  assert.equal(hoursLeft(service), 19, "a server has spoken");
  passTime(service, DAY);
  assert.equal(await compose(1), null);
});

test("the 24 hours do not begin anew where another mail may have arrived, or the attempt is at its end", async () => {
  for (const change of ["mails = 2", "used_at = 1", "voided_at = 1"]) {
    await using service = await openService();
    await service.postJson("/users/signup", STRANGER);
    const compose = composition(service);
    assert.notEqual(await compose(0), null);
    service.database.exec(`update posthaste_token set ${change}`);
    passTime(service, 5 * HOUR);
    await compose(0);
    assert.equal(hoursLeft(service), 19, change);
    passTime(service, DAY);
    assert.equal(await compose(0), null, change);
  }
});
