import assert from "node:assert/strict";
import { test } from "node:test";
import { SmtpError } from "../../errors.ts";
import { resolveOptions } from "./options.ts";
import { ServerProfile } from "./server-profile.ts";

test("an idle connection is to end at 80 % of the time after which two others were ended, if that was about the same", () => {
  const rows: readonly (readonly [ended: readonly number[], idleTimeout: number | undefined, idle?: number])[] = [
    [[1000], undefined],
    [[1000, 1000], undefined, 800],
    [[1000, 1250], undefined, 1000],
    [[1000, 1400], undefined],
    [[1000, 5000, 5000], undefined, 4000],
    [[1000, 1000], 900, 800],
    [[1000, 1000], 500, 500],
  ];
  for (const [ended, idleTimeout, expected] of rows) {
    const profile = new ServerProfile(resolveOptions({ host: "mail.example.com", idleTimeout }));
    const error = new SmtpError("connection-lost", "the connection ended");
    for (const idle of ended) profile.ended({ error, schedule: "across", verdicts: 1, accepted: 1, idle });
    assert.equal(profile.idle, expected, String(ended));
    assert.equal(profile.schedule, "across", "that says nothing of the schedule");
  }
});
