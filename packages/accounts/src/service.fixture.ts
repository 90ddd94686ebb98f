/** What the tests of accounts stand on: the service on a real SQLite file, and the outbox's worker beside it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { createWorker, migrateOutbox, openDatabase } from "@posthaste/outbox";
import { sqliteDialect } from "@posthaste/outbox/kysely";
import { Kysely } from "kysely";
import { memoryTransport, type MemoryMessage } from "posthaste";
import { createAccounts, type Accounts, type AccountsOptions } from "./accounts.ts";
import { accountsComposers } from "./activation-mail.ts";
import type { AccountsDatabase } from "./database.ts";
import { parseKeyRing } from "./key-ring.ts";
import { migrateAccounts } from "./migration.ts";

export const PUBLIC_URL = "http://127.0.0.1:8000";
export const FROM = "Posthaste <accounts@example.com>";
export const PASSWORD = "correct horse battery";
export const KEYS = parseKeyRing(`k1:${Buffer.alloc(32, 7).toString("base64")}`);

const plenty = { requests: 10_000, seconds: 60 };
export const NO_LIMITS = {
  signupPerNetwork: plenty,
  signup: plenty,
  signupPerAddress: plenty,
  resendPerNetwork: plenty,
  resendPerAddress: plenty,
  loginPerNetwork: plenty,
  login: plenty,
  activationPassword: plenty,
};

type Headers = Record<string, string>;

export interface Service extends AsyncDisposable {
  readonly database: DatabaseSync;
  readonly errors: unknown[];
  fetch(request: Request, address?: string): Promise<Response>;
  get(path: string, headers?: Headers): Promise<Response>;
  postJson(path: string, body: unknown, headers?: Headers): Promise<Response>;
  postForm(path: string, fields: Record<string, string>, headers?: Headers): Promise<Response>;
  /** Runs the outbox's worker until nothing is due, delayed mails included; gives what it delivered. */
  deliver(): Promise<MemoryMessage[]>;
  /** Signs up by JSON and gives the token in the mail and the cookie that the browser got. */
  signUp(email: string, fields?: Record<string, string>): Promise<{ token: string; cookie: string }>;
}

export async function openService(options: Partial<AccountsOptions> = {}): Promise<Service> {
  const directory = await mkdtemp(join(tmpdir(), "posthaste-accounts-"));
  const path = join(directory, "test.db");
  const database = openDatabase(path);
  const dispose = async (): Promise<void> => {
    database.close();
    await rm(directory, { recursive: true });
  };
  const errors: unknown[] = [];
  let accounts: Accounts;
  try {
    migrateOutbox(database);
    migrateAccounts(database);
    accounts = createAccounts({
      database,
      keys: KEYS,
      publicUrl: PUBLIC_URL,
      from: FROM,
      limits: NO_LIMITS,
      onError: (error) => errors.push(error),
      ...options,
    });
  } catch (error) {
    await dispose();
    throw error;
  }
  const base = String(options.publicUrl ?? PUBLIC_URL);
  const fetch: Service["fetch"] = (request, address = "192.0.2.1") => accounts.fetch(request, { address });
  const post = (path: string, type: string, body: string, headers: Headers): Promise<Response> =>
    fetch(new Request(new URL(path, base), { method: "POST", body, headers: { "content-type": type, ...headers } }));
  const service: Service = {
    database,
    errors,
    fetch,
    get: (path, headers = {}) => fetch(new Request(new URL(path, base), { headers })),
    postJson: (path, body, headers = {}) => post(path, "application/json", JSON.stringify(body), headers),
    postForm: (path, fields, headers = {}) =>
      post(path, "application/x-www-form-urlencoded", new URLSearchParams(fields).toString(), {
        accept: "text/html,application/xhtml+xml,*/*;q=0.8",
        ...headers,
      }),
    deliver: () => deliver(path, base),
    signUp: async (email, fields = {}) => {
      const response = await service.postJson("/users/signup", { email, password: PASSWORD, ...fields });
      if (response.status !== 201) throw new Error(`sign-up answered ${response.status}: ${await response.text()}`);
      const mails = await service.deliver();
      return { token: tokenIn(mails.at(-1)), cookie: cookieOf(response, "posthaste-attempt") };
    },
    [Symbol.asyncDispose]: dispose,
  };
  return service;
}

/** For what no route reaches; the service itself must be idle meanwhile. */
export function kyselyOf(service: Service): Kysely<AccountsDatabase> {
  return new Kysely({ dialect: sqliteDialect(service.database) });
}

/** So many milliseconds pass for every attempt. */
export function passTime(service: Service, milliseconds: number): void {
  service.database.exec(`
    update posthaste_token set expires_at = expires_at - ${milliseconds}, mailed_at = mailed_at - ${milliseconds};
    update posthaste_user set next_mail_at = next_mail_at - ${milliseconds};`);
}

async function deliver(path: string, publicUrl: string): Promise<MemoryMessage[]> {
  const database = openDatabase(path);
  const transport = memoryTransport();
  const later = Date.now() + 86_400_000;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let waiting = Number(
    database.prepare("select count(*) as count from posthaste_state where state = 'queued'").get()?.count,
  );
  if (waiting === 0) resolve(undefined);
  const worker = createWorker({
    database,
    transport,
    composers: accountsComposers({ database, keys: KEYS, publicUrl, from: FROM }),
    now: () => later,
    onEvent: (event) => {
      if (event.type === "verdict" && --waiting === 0) resolve(undefined);
    },
  });
  const running = worker.run();
  await promise;
  await worker.stop();
  await running;
  database.close();
  return [...transport.box];
}

/** The texts of a mail's parts, decoded. */
export function textsOf(mail: MemoryMessage | undefined): string {
  const source = Buffer.from(mail?.content ?? []).toString("latin1");
  return source
    .split(/\r\n--[^\r\n]+\r\n/)
    .map((part) => {
      const body = part.slice(part.indexOf("\r\n\r\n") + 4);
      if (/content-transfer-encoding: base64/i.test(part)) return Buffer.from(body, "base64").toString();
      if (!/content-transfer-encoding: quoted-printable/i.test(part)) return body;
      const octets = body
        .replace(/=\r\n/g, "")
        .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      return Buffer.from(octets, "latin1").toString();
    })
    .join("\n");
}

export function tokenIn(mail: MemoryMessage | undefined): string {
  const token = /\/users\/activate\?token=([\w.-]+)/.exec(textsOf(mail))?.[1];
  if (token === undefined) throw new Error("the mail has no link");
  return token;
}

/** `name=value` as the browser would send it back. */
export function cookieOf(response: Response, name: string): string {
  const cookie = response.headers.getSetCookie().find((line) => line.startsWith(`${name}=`));
  if (cookie === undefined) throw new Error(`the answer sets no cookie ${name}`);
  return cookie.slice(0, cookie.indexOf(";"));
}
