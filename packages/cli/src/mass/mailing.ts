import {
  type DeliverableMessage,
  type EmailMessage,
  type Envelope,
  PosthasteError,
  type Receipt,
  type ReceiptStatus,
  type StreamedMessage,
  type Transport,
} from "posthaste";
import type { Composer } from "./composer.ts";
import { faultText } from "./fault.ts";
import type { Journal, KnownRecipient, Leaving } from "./journal.ts";
import type { Row } from "./row.ts";

/** What becomes of a row that may have left in an earlier run, and has no verdict. */
export type InDoubt = "resend" | "hold";

/** What came of a row; `done` is one that an earlier run brought to its end. */
export type RowOutcome = ReceiptStatus | "error" | "done";

/** Which row is meant. */
export type RowPlace = Pick<Row, "number" | "line">;

/** What a mailing needs. */
export interface Mailing {
  readonly rows: AsyncIterable<Row>;
  readonly composer: Composer;
  readonly journal: Journal;
  readonly transport: Transport;
  readonly inDoubt: InDoubt;
  readonly signal: AbortSignal;
  readonly onRow: (outcome: RowOutcome, row: RowPlace, error?: string) => void;
}

/**
 * Sends the rows that have no verdict yet, and keeps each verdict as it comes. A journal that cannot be written ends the
 * mailing: what is past its end of data is finished, and stays in doubt where its verdict cannot be kept.
 *
 * @throws {SettingsError} when the journal cannot be written; and what ends the transport's delivery: {AuthError} when
 * the credentials are refused, {SmtpError} when three connections in a row fail.
 */
export async function runMailing(given: Mailing): Promise<void> {
  const { journal, transport } = given;
  const broken = new AbortController();
  const mailing = { ...given, signal: AbortSignal.any([given.signal, broken.signal]) };
  /** By the message's index in the delivery. */
  const underWay = new Map<number, Leaving>();
  const marked = new Set<number>();
  const write = (change: () => void): void => attempt(change, broken);
  const beforeEndOfData = (batch: readonly { readonly index: number }[]): void => {
    write(() => journal.mark(batch.flatMap(({ index }) => underWay.get(index) ?? [])));
    broken.signal.throwIfAborted();
    for (const { index } of batch) marked.add(index);
  };
  try {
    const options = { signal: mailing.signal, beforeEndOfData };
    for await (const receipt of transport.deliver(messages(mailing, underWay), options)) {
      const leaving = underWay.get(receipt.index);
      if (leaving === undefined) continue;
      underWay.delete(receipt.index);
      const isMarked = marked.delete(receipt.index);
      write(() => keep(mailing, leaving, receipt, isMarked));
    }
  } catch (error) {
    // From there on nothing left. Of what stands before it and has no receipt nobody knows.
    const { nextIndex = Number.POSITIVE_INFINITY } = error as Partial<PosthasteError>;
    for (const index of marked) if (index >= nextIndex) write(() => journal.unmark(underWay.get(index)?.row ?? 0));
    broken.signal.throwIfAborted();
    throw error;
  }
  broken.signal.throwIfAborted();
}

/** Its first failure ends the mailing; those that follow have the same cause. */
function attempt(change: () => void, broken: AbortController): void {
  try {
    change();
  } catch (error) {
    broken.abort(error);
  }
}

async function* messages(mailing: Mailing, underWay: Map<number, Leaving>): AsyncGenerator<DeliverableMessage> {
  let index = 0;
  for await (const row of mailing.rows) {
    if (mailing.signal.aborted) return;
    const known = mailing.journal.recipientsOf(row.number);
    const isOpen = ({ status }: KnownRecipient): boolean =>
      status === "deferred" || (status === "unknown" && mailing.inDoubt === "resend");
    if (known.length > 0 && !known.some(isOpen)) mailing.onRow("done", row);
    else {
      const settled = known.filter((recipient) => !isOpen(recipient)).map(({ address }) => address);
      const message = composed(mailing, row, settled);
      if (message === undefined) continue;
      const addresses = message.envelope().forwardPaths;
      underWay.set(index++, { row: row.number, line: row.line, messageId: message.messageId, addresses });
      yield message;
    }
  }
}

/** The row's message; undefined where it has none, which is kept. */
function composed({ composer, journal, onRow }: Mailing, row: Row, settled: readonly string[]): RowMessage | undefined {
  try {
    if (row.error !== undefined) throw new RowError(row.error);
    const message = composer.compose(row.columns, (domain) => journal.messageId(row.number, domain));
    return new RowMessage(message, settled);
  } catch (error) {
    if (!(error instanceof PosthasteError || error instanceof RowError)) throw error;
    const reason = faultText(error.message);
    journal.fail(row.number, row.line, reason);
    onRow("error", row, reason);
    return undefined;
  }
}

class RowError extends Error {}

function keep({ journal, onRow }: Mailing, leaving: Leaving, receipt: Receipt, isMarked: boolean): void {
  const { status, recipients, error } = receipt;
  const place = { number: leaving.row, line: leaving.line };
  if (recipients.length === 0) {
    const reason = faultText(error?.message ?? "the message was not taken");
    journal.fail(leaving.row, leaving.line, reason);
    onRow("error", place, reason);
  } else if (status === "deferred" && error instanceof PosthasteError && error.code === "aborted") {
    // Stopped before it left: as if it had not been tried.
    if (isMarked) journal.unmark(leaving.row);
  } else {
    journal.settle(leaving, recipients, error);
    onRow(status, place);
  }
}

/** A row's message, for those of its recipients that have no verdict yet. */
class RowMessage implements DeliverableMessage {
  readonly messageId: string;
  readonly #message: EmailMessage;
  readonly #envelope: Envelope;

  constructor(message: EmailMessage, settled: readonly string[]) {
    const envelope = message.envelope();
    const forwardPaths = envelope.forwardPaths.filter((address) => !settled.includes(address));
    this.messageId = message.messageId;
    this.#message = message;
    this.#envelope = { ...envelope, forwardPaths };
  }

  envelope(): Envelope {
    return this.#envelope;
  }

  toBytes(): Uint8Array {
    return this.#message.toBytes();
  }

  get streaming(): StreamedMessage | undefined {
    return this.#message.streaming;
  }
}
