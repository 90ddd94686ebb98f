import { InvalidArgumentError, Option } from "commander";

/** A whole number from 0 to 65535; 0 lets the system choose. */
function port(value: string): number {
  const number = /^[0-9]{1,5}$/.test(value) ? Number(value) : -1;
  if (number < 0 || number > 65_535)
    throw new InvalidArgumentError("It must be a whole number from 0 to 65535; 0 lets the system choose.");
  return number;
}

/** The flags that more than one command has, each beside its environment name; the flag wins. */
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
} as const;
