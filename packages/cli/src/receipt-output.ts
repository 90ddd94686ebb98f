import type { Receipt } from "posthaste";
import { EXIT } from "./exit.ts";

/** Prints the verdict for each recipient, as lines or as JSON, and says how the process ends. */
export function printReceipt(receipt: Receipt, json: boolean): number {
  if (json) console.log(JSON.stringify({ ...receipt, error: receipt.error?.message }));
  else printLines(receipt);
  return receiptExit(receipt);
}

function printLines(receipt: Receipt): void {
  for (const { address, status, reply } of receipt.recipients) {
    const said = reply === undefined ? "" : `  ${reply.code} ${reply.lines.join(" ")}`;
    console.log(`${status.padEnd(9)} ${address}${said}`);
  }
  if (receipt.error !== undefined) console.error(`posthaste: ${receipt.error.message}`);
}

function receiptExit({ status }: Receipt): number {
  switch (status) {
    case "accepted":
      return EXIT.ok;
    case "partial":
      return EXIT.partial;
    case "refused":
      return EXIT.failure;
    case "deferred":
    case "unknown":
      return EXIT.trouble;
  }
}
