/**
 * The outbox's worker, in a thread of its own: SQLite works synchronously, and a second connection in the thread that
 * answers requests would stop it for as long as the other holds the write lock.
 */
import { parentPort, workerData } from "node:worker_threads";
import { accountsComposers, parseKeyRing } from "@posthaste/accounts";
import { createWorker, openDatabase } from "@posthaste/outbox";
import { getConnection, type MailSettings } from "posthaste";

/** What the thread is started with. */
export interface OutboxThreadData {
  readonly databasePath: string;
  readonly mail: MailSettings;
  readonly keys: string;
  readonly publicUrl: string;
}

/** What the thread is told. */
export type OutboxThreadMessage = "wake" | "stop";

const { databasePath, mail, keys, publicUrl } = workerData as OutboxThreadData;
const database = openDatabase(databasePath);
const transport = getConnection(mail);
const worker = createWorker({
  database,
  transport,
  composers: accountsComposers({ database, keys: parseKeyRing(keys), publicUrl, from: mail.from }),
  onEvent: (event) => parentPort?.postMessage(event),
});

parentPort?.on("message", (message: OutboxThreadMessage) => {
  if (message === "wake") worker.wake();
  else void worker.stop();
});

await worker.run();
await transport.close();
database.close();
parentPort?.close();
