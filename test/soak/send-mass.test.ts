import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { SMTPServerOptions } from "smtp-server";
import { messageIdOf, readReport, startMassMailing } from "../peer/mass-mailing.ts";
import { temporaryFolder } from "../peer/posthaste.ts";
import { startSmtpPeer } from "../peer/smtp-peer.ts";

const ROWS = 50_000;
/** When so many messages have arrived, the process is killed. */
const KILLS = [15_000, 35_000];
/** What one process may have under way. */
const IN_FLIGHT = 18;
/** In KiB: V8 lets garbage grow, so it is what stays flat, however many rows there are. */
const RESIDENT_LIMIT = 400 * 1024;
const FLAGS = ["people.csv", "--to", "{{ email }}", "--subject", "{{ name }}님께", "--text-file", "letter.txt"];

test("50 000 rows, killed with SIGKILL twice and resumed: nobody is missing, and who got it twice is in the report", async (t) => {
  const arrived = new Map<string, number>();
  let total = 0;
  let wake = (): void => undefined;
  const onData: SMTPServerOptions["onData"] = (stream, _session, callback) => {
    let content = "";
    stream.on("data", (chunk: Buffer) => (content += chunk.toString("latin1")));
    stream.on("end", () => {
      const id = messageIdOf(content);
      arrived.set(id, (arrived.get(id) ?? 0) + 1);
      total++;
      callback();
      wake();
    });
  };
  await using peer = await startSmtpPeer({ onData });
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "letter.txt"), "{{ name }}님, 안녕하세요.\n\n고객 번호는 {{ number }}입니다.\n");
  const row = (number: number): string => `p${number}@example.com,"김, 철수 ${number}",${number}\n`;
  const rows = Array.from({ length: ROWS }, (_, index) => row(index + 1));
  await writeFile(join(folder.path, "people.csv"), `email,name,number\n${rows.join("")}`);
  const environment = { EMAIL_HOST: "127.0.0.1", EMAIL_PORT: String(peer.port) };
  const peaks: number[] = [];
  const began = performance.now();

  for (const [run, until] of [...KILLS, Number.POSITIVE_INFINITY].entries()) {
    await using mailing = startMassMailing([...FLAGS, ...(run === 0 ? [] : ["--resume"])], folder.path, environment);
    const sample = setInterval(() => (peaks[run] = Math.max(peaks[run] ?? 0, peakOf(mailing.pid))), 200);
    let isOver = false;
    const over = mailing.ended.finally(() => {
      isOver = true;
      wake();
    });
    while (!isOver && total < until) await new Promise<void>((resolve) => (wake = resolve));
    const { code, stdout, stderr } = isOver ? await over : await mailing.kill("SIGKILL");
    clearInterval(sample);
    assert.equal(code, until === Number.POSITIVE_INFINITY ? 0 : null, stderr);
    t.diagnostic(`run ${run + 1}: ${total} arrived, peak ${Math.round((peaks[run] ?? 0) / 1024)} MiB ${stdout}`);
  }

  const seconds = (performance.now() - began) / 1000;
  const lines = await readReport(join(folder.path, "people.csv.report.csv"));
  const named = new Set(lines.filter((line) => line.may_have_arrived_twice === "yes").map((line) => line.message_id));
  const twice = [...arrived].filter(([, count]) => count > 1);
  t.diagnostic(`${seconds.toFixed(1)} s, ${Math.round(total / seconds)} messages a second, restarts included`);
  t.diagnostic(`${named.size} rows in doubt, ${twice.length} of them arrived twice`);
  assert.deepEqual([lines.length, arrived.size], [ROWS, ROWS]);
  assert.ok(
    lines.every(({ address, status }, index) => address === `p${index + 1}@example.com` && status === "accepted"),
  );
  assert.ok(lines.every(({ message_id }) => arrived.has(message_id)));
  assert.ok(twice.every(([id, count]) => count === 2 && named.has(id)));
  assert.ok(named.size <= KILLS.length * IN_FLIGHT, `${named.size} rows were in doubt`);
  assert.ok(Math.max(...peaks) < RESIDENT_LIMIT, `the peak was ${Math.max(...peaks)} KiB`);
});

/** The peak of its resident memory, in KiB; 0 where the system has no /proc. */
function peakOf(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
