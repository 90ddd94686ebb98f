/** A process: a submission server that wants STARTTLS and AUTH. Its certificate and key are the files that are named. */
import { readFileSync } from "node:fs";
import { SMTPServer } from "smtp-server";
import { listen } from "./listening.ts";

const [certificate = "", key = ""] = process.argv.slice(2);

const server = new SMTPServer({
  cert: readFileSync(certificate),
  key: readFileSync(key),
  authOptional: false,
  onAuth: ({ username }, _session, done) => done(null, { user: username }),
  onData: (stream, _session, done) => void stream.resume().once("end", () => done()),
});
server.on("error", () => undefined);
listen(server.server);
