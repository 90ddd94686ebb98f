import type { Envelope, RecipientOutcome } from "../../delivery.ts";
import type { SmtpError } from "../../errors.ts";
import type { TransactionOutcome } from "../protocol/transaction.ts";
import type { Delivery } from "./session.ts";

/** What a server takes of recipients (RFC 9422). */
export interface RecipientLimits {
  /** In one transaction. */
  readonly recipients: number;
  /** Domains in one session; undefined: any number. */
  readonly domains: number | undefined;
  /** The domains that the session has seen, where they are limited. A transaction adds its own. */
  readonly seen: Set<string>;
}

/** What became of a mail object. */
export type MailObjectOutcome = Pick<TransactionOutcome, "recipients" | "reply" | "error">;

/** What a mail object is made of, and who waits for it. */
export interface MailObjectFields extends Omit<Delivery, "settle" | "chunk"> {
  /**
   * What became of it, once, whatever number of transactions it took.
   *
   * @param failure stands for the connection that failed under it, if that is why; the same for all that met it.
   */
  onSettled(outcome: MailObjectOutcome, failure: object | undefined): void;
}

let objects = 0;

/**
 * An envelope with its content (RFC 5321 section 2.3.1) on its way. It takes one transaction, or several where the
 * server does not take all recipients at once.
 */
export class MailObject {
  /** The order in which they came. */
  readonly number = ++objects;
  readonly fields: MailObjectFields;
  /** The places of the recipients without a verdict; undefined: all of them. */
  #open: readonly number[] | undefined;
  /** The places of those in the transaction under way; undefined: all of them, as nearly always. */
  #tried: readonly number[] | undefined;
  /** By place, where there is more than one transaction. */
  #verdicts: (RecipientOutcome | undefined)[] | undefined;
  #last: TransactionOutcome = { recipients: [] };
  /** How often a connection ended under it before its end of data had left. */
  losses = 0;
  /** How often it moved to another connection, since the one before had taken its fill. */
  moves = 0;
  /** Nobody wants it delivered any more. */
  withdrawn: SmtpError | undefined;

  constructor(fields: MailObjectFields) {
    this.fields = fields;
  }

  /** The envelope of its next transaction; without recipients where the session may not have any of them. */
  envelope(limits: RecipientLimits): Envelope {
    const { envelope } = this.fields;
    const fits = limits.domains === undefined && envelope.forwardPaths.length <= limits.recipients;
    const isWhole = fits && this.#open === undefined;
    this.#tried = isWhole ? undefined : placesWithin(envelope, this.#open, limits);
    if (this.#tried === undefined) return envelope;
    return { ...envelope, forwardPaths: this.#tried.map((place) => envelope.forwardPaths[place] ?? "") };
  }

  /** What became of the transaction. What is undecided, or was too many, stays open. */
  take(outcome: TransactionOutcome): void {
    this.#last = outcome;
    const again = outcome.undecided === undefined ? (outcome.tooMany ?? []) : [...outcome.recipients.keys()];
    if (this.#tried === undefined && again.length === 0) {
      this.#open = [];
      return;
    }
    const tried = this.#tried ?? [...outcome.recipients.keys()];
    this.#verdicts ??= [];
    for (const [index, place] of tried.entries()) this.#verdicts[place] = outcome.recipients[index];
    const repeated = again.map((index) => tried[index] ?? 0);
    const untried = (this.#open ?? [...this.fields.envelope.forwardPaths.keys()]).filter(notIn(tried));
    this.#open = [...repeated, ...untried].toSorted((a, b) => a - b);
  }

  /** Whether a recipient is left without a verdict. */
  get isOpen(): boolean {
    return this.#open === undefined || this.#open.length > 0;
  }

  /** Ends it with the verdicts that there are. */
  settle(failure?: object): void {
    const isWhole = this.#verdicts === undefined && this.#last.recipients.length > 0;
    const recipients = isWhole
      ? this.#last.recipients
      : this.fields.envelope.forwardPaths.map(
          (address, place) => this.#verdicts?.[place] ?? { address, status: "deferred" as const },
        );
    this.fields.onSettled({ ...this.#last, recipients }, failure);
  }

  /** Ends it with an error for all that has no verdict. */
  fail(error: SmtpError, failure?: object): void {
    this.#last = { recipients: [], error };
    this.settle(failure);
  }
}

function notIn(places: readonly number[]): (place: number) => boolean {
  const set = new Set(places);
  return (place) => !set.has(place);
}

/** As many of the open places as go into one transaction, in order. */
function placesWithin(
  { forwardPaths }: Envelope,
  open: readonly number[] = [...forwardPaths.keys()],
  { recipients, domains, seen }: RecipientLimits,
): number[] {
  const places: number[] = [];
  for (const place of open) {
    if (places.length === recipients) break;
    const domain = (forwardPaths[place] ?? "").replace(/^.*@/s, "").toLowerCase();
    if (!seen.has(domain) && domains !== undefined && seen.size >= domains) continue;
    seen.add(domain);
    places.push(place);
  }
  return places;
}
