import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Transport } from "../delivery.ts";
import { SettingsError } from "../errors.ts";
import type { MailerSettings } from "../settings/mail-settings.ts";

/** What a module exports as `backend`: it makes the transport that `BACKEND` or `EMAIL_BACKEND` asks for. */
export type BackendFactory = (settings: MailerSettings) => Transport | Promise<Transport>;

/**
 * The transport of a backend that is a module. That there is such a module shows at once; it is imported with the first
 * delivery, since `import()` takes time and `getConnection` does not, and again where that failed.
 *
 * @throws {SettingsError} naming the setting, when there is no such module.
 */
export function moduleTransport(settings: MailerSettings, setting: string): Transport {
  const url = urlOf(settings.backend, setting);
  let loading: Promise<Transport> | undefined;
  const load = (): Promise<Transport> => {
    loading ??= make(url, settings, setting).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return {
    async *deliver(messages, options) {
      yield* (await load()).deliver(messages, options);
    },
    async close() {
      // One that could not be made has nothing to close, and its error went to who wanted to send.
      await (await loading?.catch(() => undefined))?.close();
    },
  };
}

/** As the application would import it; a path is from the working directory. */
function urlOf(name: string, setting: string): string {
  try {
    if (name.startsWith("file:")) return existing(new URL(name), setting);
    const folder = join(process.cwd(), "/");
    if (name.startsWith(".") || isAbsolute(name)) return existing(new URL(name, pathToFileURL(folder)), setting);
    return resolved(name, folder);
  } catch (cause) {
    throw cause instanceof SettingsError ? cause : notFound(setting, cause);
  }
}

function existing(url: URL, setting: string): string {
  if (!existsSync(fileURLToPath(url))) throw notFound(setting);
  return url.href;
}

/** From the application's folder first: its own version of the package is meant, not one that stands beside this. */
function resolved(name: string, folder: string): string {
  try {
    const path = createRequire(folder).resolve(name);
    return isAbsolute(path) ? pathToFileURL(path).href : path;
  } catch {
    return import.meta.resolve(name);
  }
}

async function make(url: string, settings: MailerSettings, setting: string): Promise<Transport> {
  const exported = await imported(url, setting);
  if (typeof exported.backend !== "function") throw bad(setting, "a module that exports a function `backend`");
  const transport: unknown = await (exported.backend as BackendFactory)(settings);
  if (isTransport(transport)) return transport;
  throw bad(setting, "a module whose `backend` makes a transport, with deliver() and close()");
}

async function imported(url: string, setting: string): Promise<{ readonly backend?: unknown }> {
  try {
    return (await import(url)) as { readonly backend?: unknown };
  } catch (cause) {
    throw bad(setting, "a module that can be imported", cause);
  }
}

function isTransport(value: unknown): value is Transport {
  const { deliver, close } = (value ?? {}) as Partial<Transport>;
  return typeof deliver === "function" && typeof close === "function";
}

function notFound(setting: string, cause?: unknown): SettingsError {
  return bad(setting, "a backend that is built in, or a module that is installed where the application runs", cause);
}

function bad(setting: string, allowed: string, cause?: unknown): SettingsError {
  return new SettingsError("bad-setting", `${setting}: not allowed; it must be ${allowed}`, { setting, cause });
}
