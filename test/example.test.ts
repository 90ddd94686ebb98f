import assert from "node:assert/strict";
import { test } from "node:test";
import { createInbox } from "@posthaste/inbox";
import { run } from "./peer/posthaste.ts";

test("Django's example sends two messages over exactly one SMTP session, to three recipients", async () => {
  await using inbox = await createInbox();
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(inbox.smtpPort) };
  const { code, stdout, stderr } = await run("examples/send-mass-mail.ts", [], ".", environment);
  assert.deepEqual([code, stdout, stderr], [0, "2 messages accepted\n", ""]);
  assert.equal(inbox.sessions, 1);
  const messages = inbox.messages().reverse();
  assert.deepEqual(
    messages.map(({ subject, envelope }) => [subject, envelope.forwardPaths]),
    [
      ["제목", ["first@example.com", "other@example.com"]],
      ["다른 주제", ["second@test.com"]],
    ],
  );
  assert.deepEqual(
    messages.map(({ text }) => text.trim()),
    ["여기에 메시지가 있습니다", "여기에 또 다른 메시지가 있습니다."],
  );
});
