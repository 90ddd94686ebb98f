import chromium from "@sparticuz/chromium";
import { type Browser, chromium as playwright } from "playwright-core";

/** These two of the arguments make Chromium crash on a second context. */
const CRASH = new Set(["--single-process", "--no-zygote"]);

/** A real browser without a window. */
export async function launchBrowser(): Promise<Browser> {
  return await playwright.launch({
    executablePath: await chromium.executablePath(),
    args: chromium.args.filter((argument) => !CRASH.has(argument)),
    headless: true,
  });
}
