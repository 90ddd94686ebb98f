import type { Envelope, RecipientOutcome } from "../../delivery.ts";
import type { SmtpError } from "../../errors.ts";
import type { TransactionOutcome } from "../protocol/transaction.ts";
import type { Delivery } from "./delivery.ts";
import type { SmtpSession } from "./session.ts";

/** What a server takes of recipients (RFC 9422). */
export interface RecipientLimits {
  /** In one transaction. */
  readonly recipients: number;
  /** Domains in one session, and those that it has seen, to which a transaction adds its own; undefined: any number. */
  readonly domains?: { readonly limit: number; readonly seen: Set<string> } | undefined;
}

/** What became of a mail object. */
export type MailObjectOutcome = Pick<TransactionOutcome, "recipients" | "reply" | "error">;

/** What a mail object is made of. */
export interface MailObjectContent extends Pick<Delivery, "envelope" | "content" | "size" | "eightBit" | "smtpUtf8"> {
  /** Its place among those of its owner. */
  readonly index: number;
  readonly messageId: string;
}

/** Who wants mail objects delivered. */
export interface MailObjectOwner {
  /** Whether its end of data may leave: undefined where it may, else what is to be awaited. */
  mark(object: MailObject): Promise<void> | undefined;
  /**
   * What became of it, once, whatever number of transactions it took.
   *
   * @param failure stands for the connection that failed under it, if that is why; the same for all that met it.
   */
  onSettled(object: MailObject, outcome: MailObjectOutcome, failure: object | undefined): void;
}

/** Who carries mail objects out. */
export interface MailObjectCarrier {
  onOutcome(object: MailObject, session: SmtpSession, outcome: TransactionOutcome): void;
}

const NOTHING: TransactionOutcome = { recipients: [] };

let objects = 0;

/**
 * An envelope with its content (RFC 5321 section 2.3.1) on its way. It takes one transaction, or several where the
 * server does not take all recipients at once; each time it is the delivery that the session carries out.
 */
export class MailObject implements Delivery {
  /** The order in which they came. */
  readonly number = ++objects;
  readonly source: MailObjectContent;
  readonly #owner: MailObjectOwner;
  /** Of the transaction under way. */
  envelope: Envelope;
  readonly content: Delivery["content"];
  readonly size: number | undefined;
  readonly eightBit: boolean;
  readonly smtpUtf8: boolean;
  chunk: Uint8Array | undefined = undefined;
  /** What its end of data waits for; undefined: nobody was asked yet, null: nothing. */
  leave: Promise<void> | undefined | null = undefined;
  /** The places of the recipients without a verdict, the last first; undefined: all of them. */
  #open: number[] | undefined;
  /** The places of those in the transaction under way; undefined: all of them, as nearly always. */
  #tried: readonly number[] | undefined;
  /** By place, where there is more than one transaction. */
  #verdicts: (RecipientOutcome | undefined)[] | undefined;
  #last: TransactionOutcome = NOTHING;
  /** Which carries it out at the moment. */
  session: SmtpSession | undefined = undefined;
  #carrier: MailObjectCarrier | undefined;
  /** How often a connection ended under it before its end of data had left. */
  losses = 0;
  /** How often it moved to another connection, since the one before had taken its fill. */
  moves = 0;
  /** Nobody wants it delivered any more. */
  withdrawn: SmtpError | undefined = undefined;

  constructor(source: MailObjectContent, owner: MailObjectOwner) {
    this.source = source;
    this.#owner = owner;
    this.envelope = source.envelope;
    this.content = source.content;
    this.size = source.size;
    this.eightBit = source.eightBit;
    this.smtpUtf8 = source.smtpUtf8;
  }

  mark(): Promise<void> | undefined {
    return this.#owner.mark(this);
  }

  /**
   * Prepares its next transaction.
   *
   * @returns false where the session may have none of its recipients.
   */
  begin(limits: RecipientLimits, carrier: MailObjectCarrier): boolean {
    const { envelope } = this.source;
    const fits = limits.domains === undefined && envelope.forwardPaths.length <= limits.recipients;
    const isWhole = fits && this.#open === undefined;
    this.#carrier = carrier;
    this.chunk = undefined;
    this.#tried = isWhole ? undefined : placesWithin(envelope, this.#openPlaces(), limits);
    this.envelope = this.#tried === undefined ? envelope : partOf(envelope, this.#tried);
    return this.envelope.forwardPaths.length > 0;
  }

  settle(outcome: TransactionOutcome, session: SmtpSession): void {
    this.#carrier?.onOutcome(this, session, outcome);
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
    this.#decide(tried, repeated);
  }

  /** Those that were tried have a verdict, but for those that are to be tried again. */
  #decide(tried: readonly number[], repeated: readonly number[]): void {
    const open = this.#openPlaces();
    // Nearly always the first were tried. Copying the rest each time took 20 s for 100 000 recipients, one at a time.
    if (open.at(-tried.length) === tried.at(-1)) {
      open.length -= tried.length;
      for (const place of repeated.toReversed()) open.push(place);
    } else this.#open = open.filter(notIn(tried.filter(notIn(repeated))));
  }

  #openPlaces(): number[] {
    return (this.#open ??= [...this.source.envelope.forwardPaths.keys()].reverse());
  }

  /** Whether a recipient is left without a verdict. */
  get isOpen(): boolean {
    return this.#open === undefined || this.#open.length > 0;
  }

  /** Ends it with the verdicts that there are. */
  end(failure?: object): void {
    const { forwardPaths } = this.source.envelope;
    // Whatever went wrong, each forward-path has an outcome.
    const isWhole = this.#verdicts === undefined && this.#last.recipients.length === forwardPaths.length;
    if (isWhole) return this.#owner.onSettled(this, this.#last, failure);
    this.#owner.onSettled(this, { ...this.#last, recipients: this.#recipients() }, failure);
  }

  /** Ends it with an error for all that has no verdict. */
  fail(error: SmtpError, failure?: object): void {
    this.#owner.onSettled(this, { recipients: this.#recipients(), error }, failure);
  }

  /** The verdicts that there are; who has none had nothing sent. */
  #recipients(): RecipientOutcome[] {
    return this.source.envelope.forwardPaths.map(
      (address, place) => this.#verdicts?.[place] ?? { address, status: "deferred" },
    );
  }
}

function notIn(places: readonly number[]): (place: number) => boolean {
  const set = new Set(places);
  return (place) => !set.has(place);
}

function takesDomain({ limit, seen }: NonNullable<RecipientLimits["domains"]>, forwardPath: string): boolean {
  const domain = forwardPath.replace(/^.*@/s, "").toLowerCase();
  if (!seen.has(domain) && seen.size >= limit) return false;
  seen.add(domain);
  return true;
}

function partOf(envelope: Envelope, places: readonly number[]): Envelope {
  return { ...envelope, forwardPaths: places.map((place) => envelope.forwardPaths[place] ?? "") };
}

/** As many of the open places as go into one transaction, in order. */
function placesWithin(
  { forwardPaths }: Envelope,
  open: readonly number[],
  { recipients, domains }: RecipientLimits,
): number[] {
  const places: number[] = [];
  for (let index = open.length - 1; index >= 0 && places.length < recipients; index--) {
    const place = open[index] ?? 0;
    if (domains === undefined || takesDomain(domains, forwardPaths[place] ?? "")) places.push(place);
  }
  return places;
}
