import { InvalidArgumentError, Option } from "commander";

/** A whole number from 0 to 65535; 0 lets the system choose. */
function port(value: string): number {
  const number = /^[0-9]{1,5}$/.test(value) ? Number(value) : -1;
  if (number < 0 || number > 65_535)
    throw new InvalidArgumentError("It must be a whole number from 0 to 65535; 0 lets the system choose.");
  return number;
}

function count(value: string): number {
  if (!/^[0-9]{1,2}$/.test(value)) throw new InvalidArgumentError("It must be a whole number from 0 to 99.");
  return Number(value);
}

/** An empty variable is as none; commander would take it for a value. */
export function unsetEmpty(environment: NodeJS.ProcessEnv, options: readonly Option[]): void {
  for (const { envVar } of options)
    if (envVar !== undefined && environment[envVar] === "") Reflect.deleteProperty(environment, envVar);
}

/** The flags, each beside its environment name; the flag wins. */
export const flag = {
  port: (standard: number) =>
    new Option("--port <number>", "where HTTP listens; 0 lets the system choose")
      .env("PORT")
      .argParser(port)
      .default(standard),
  host: () => new Option("--host <address>", "the address to listen on").env("HOST").default("127.0.0.1"),
  inboxSmtpPort: () =>
    new Option("--inbox-smtp-port <number>", "where the development inbox takes SMTP; 0 lets the system choose")
      .env("INBOX_SMTP_PORT")
      .argParser(port)
      .default(1025),
  database: () =>
    new Option("--database <url>", "the database, as sqlite:PATH")
      .env("DATABASE_URL")
      .default("sqlite:.posthaste/posthaste.db"),
  publicUrl: () =>
    new Option(
      "--public-url <url>",
      "under which people reach the service; links are built from it (default: where HTTP listens)",
    ).env("PUBLIC_URL"),
  trustedProxies: () =>
    new Option("--trusted-proxies <number>", "how many proxies in front set X-Forwarded-For")
      .env("TRUSTED_PROXIES")
      .argParser(count)
      .default(0),
} as const;
