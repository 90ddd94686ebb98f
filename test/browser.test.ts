import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchBrowser } from "./peer/browser.ts";
import { inboxMessage, type Service, startService, temporaryFolder } from "./peer/posthaste.ts";

const PASSWORD = "correct horse battery";

let browser: Browser;
let service: Service;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
before(async () => {
  browser = await launchBrowser();
  folder = await temporaryFolder();
  service = await startService(folder.path);
});
after(async () => {
  await browser.close();
  await service[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** A person's browser, with cookies of its own; no page needs script. */
async function person(locale: string): Promise<BrowserContext> {
  return await browser.newContext({ locale, javaScriptEnabled: false });
}

async function signUp(page: Page, email: string, name: string): Promise<void> {
  await page.goto(`${service.origin}/users/signup`);
  await page.locator("input[name=email]").fill(email);
  await page.locator("input[name=name]").fill(name);
  for (const field of await page.locator("input[type=password]").all()) await field.fill(PASSWORD);
  await page.locator("form[action$='/signup'] button").click();
  await page.waitForURL(/signup\/sent/);
}

/** The page that a click opens, in a tab of its own or not. */
async function opened(page: Page, click: () => Promise<void>): Promise<Page> {
  const tab = page
    .context()
    .waitForEvent("page", { timeout: 5_000 })
    .catch(() => undefined);
  await click();
  const result = (await tab) ?? page;
  await result.waitForLoadState();
  return result;
}

async function logIn(page: Page, email: string): Promise<string> {
  await page.goto(`${service.origin}/users/login`);
  await page.locator("input[name=email]").fill(email);
  await page.locator("input[name=password]").fill(PASSWORD);
  await page.locator("form[action$='/login'] button").click();
  await page.waitForLoadState();
  return await page.locator("main").innerText();
}

test("sign up with a Korean name, open the inbox, click the link in the mail, see that the account is active, log in", async () => {
  await using context = await person("ko-KR");
  const page = await context.newPage();
  await page.goto(service.origin);
  assert.equal(await page.locator("html").getAttribute("lang"), "ko");
  await signUp(page, "kim@example.com", "김철수");
  await inboxMessage(service, "kim@example.com");

  await page.goto(service.origin);
  await page.locator("a[href='/inbox']").click();
  await page.getByRole("link", { name: "계정을 활성화해 주세요" }).first().click();
  const mail = page.frameLocator("iframe");
  assert.match(await mail.locator("body").innerText(), /김철수 님/);
  const activated = await opened(page, () => mail.getByRole("link", { name: "계정 활성화하기" }).click());
  assert.match(await activated.locator("main").innerText(), /활성화되었습니다|활성화했습니다|활성/);
  assert.equal(await activated.locator("form").count(), 0, "one click is enough: there is no button left to press");

  assert.match(await logIn(activated, "kim@example.com"), /김철수/);
  await activated.goto(`${service.origin}/users/me`);
  assert.match(await activated.locator("main").innerText(), /kim@example\.com/);
});

test("who opens the link in another browser gets a button that asks for the password of the sign-up", async () => {
  await using owner = await person("en-US");
  await signUp(await owner.newPage(), "lee@example.com", "Lee");
  const { links } = await inboxMessage(service, "lee@example.com");
  await using other = await person("en-US");
  const page = await other.newPage();
  await page.goto(links[0] ?? "");
  assert.match(await page.locator("main").innerText(), /lee@example\.com/);
  assert.doesNotMatch(
    await logIn(await owner.newPage(), "lee@example.com"),
    /Signed in as|Log out/i,
    "opening it did not activate",
  );

  const button = page.locator("form[action$='/users/activate'] button");
  await page.locator("input[name=password]").fill("wrong password");
  await button.click();
  await page.waitForLoadState();
  assert.equal((await page.locator("[aria-invalid=true], [role=alert]").count()) > 0, true, "the error is announced");
  await page.locator("input[name=password]").fill(PASSWORD);
  await button.click();
  await page.waitForLoadState();
  assert.match(await logIn(page, "lee@example.com"), /Lee/);
});

test("every page fits 320 pixels, in Korean and English", async () => {
  for (const locale of ["ko-KR", "en-US"]) {
    await using context = await browser.newContext({
      locale,
      viewport: { width: 320, height: 700 },
      colorScheme: "dark",
    });
    const page = await context.newPage();
    const { id } = await inboxMessage(service, "kim@example.com");
    for (const path of [
      "/",
      "/users/signup",
      "/users/signup/sent",
      "/users/activate",
      "/users/activate?token=x",
      "/users/activate/resend",
      "/users/login",
      "/users/me",
      "/nowhere",
      "/inbox",
      `/inbox/messages/${id}`,
    ]) {
      await page.goto(service.origin + path);
      const [width = 0, visible = 0] = await page.evaluate<number[]>(
        "[document.documentElement.scrollWidth, innerWidth]",
      );
      assert.ok(width <= visible, `${path} is ${width} pixels wide`);
      assert.ok((await page.locator("html").getAttribute("lang"))?.startsWith(locale.slice(0, 2)), path);
    }
  }
});

test("the sign-up works by keyboard alone", async () => {
  await using context = await person("en-US");
  const page = await context.newPage();
  await page.goto(`${service.origin}/users/signup`);
  for (let step = 0; step < 30; step++) {
    await page.keyboard.press("Tab");
    if ((await page.locator("main button:focus").count()) > 0) break;
    if ((await page.locator("input[name=email]:focus").count()) > 0) await page.keyboard.type("keys@example.com");
    if ((await page.locator("input[type=password]:focus").count()) > 0) await page.keyboard.type(PASSWORD);
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/signup\/sent/);
  assert.equal((await inboxMessage(service, "keys@example.com")).envelope.forwardPaths[0], "keys@example.com");
});
