import { parsePath } from "../address/addr-spec.ts";
import type { DeliveryStatusRequest } from "../delivery.ts";
import { bad } from "./attachment.ts";

const NAMES: ReadonlySet<string> = new Set<keyof DeliveryStatusRequest>([
  "notify",
  "ret",
  "envelopeId",
  "originalRecipients",
]);
const EVENTS: readonly unknown[] = ["success", "failure", "delay"];
/** RFC 3461 section 4.4: printable ASCII, so that it survives in the header section of a report. */
const ENVELOPE_ID = /^[ -~]{1,100}$/;

type Notify = Exclude<DeliveryStatusRequest["notify"], undefined>;
type OriginalRecipients = Record<string, string>;

/**
 * A copy of the request that nobody can change, or undefined where it asks for nothing.
 *
 * @param forwardPaths of the envelope that it is for; without them, only its form is checked.
 * @throws {MessageError | AddressError} naming the field, such as `dsn.notify`.
 */
export function deliveryStatusRequest(
  given: unknown,
  forwardPaths?: readonly string[],
): DeliveryStatusRequest | undefined {
  if (given === undefined || given === null) return undefined;
  const { notify, ret, envelopeId, originalRecipients } = fieldsOf(given, "dsn");
  for (const name of Object.keys(given)) if (!NAMES.has(name)) throw bad(`dsn.${name}`, "there is no such field");
  if (ret !== undefined && ret !== "full" && ret !== "headers") throw bad("dsn.ret", "neither full nor headers");
  if (envelopeId !== undefined && !(typeof envelopeId === "string" && ENVELOPE_ID.test(envelopeId)))
    throw bad("dsn.envelopeId", "not 1 to 100 characters of printable ASCII");
  const request: DeliveryStatusRequest = {
    ...(notify !== undefined && { notify: notifyOf(notify) }),
    ...(ret !== undefined && { ret }),
    ...(envelopeId !== undefined && { envelopeId }),
    ...(originalRecipients !== undefined && {
      originalRecipients: originalRecipientsOf(originalRecipients, forwardPaths && new Set(forwardPaths)),
    }),
  };
  return Object.keys(request).length === 0 ? undefined : Object.freeze(request);
}

/** The values of a plain object, none of them computed or inherited. */
function fieldsOf(given: unknown, field: string): Record<string, unknown> {
  const prototype: unknown = typeof given === "object" && given !== null ? Object.getPrototypeOf(given) : given;
  if (prototype !== null && prototype !== Object.prototype) throw bad(field, "not a plain object");
  const values = Object.create(null) as Record<string, unknown>;
  for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(given))) {
    if (!("value" in descriptor)) throw bad(`${field}.${name}`, "a getter, not a value");
    values[name] = descriptor.value;
  }
  return values;
}

/** RFC 3461 section 4.1: NEVER stands alone, and each of the others at most once. */
function notifyOf(given: unknown): Notify {
  if (given === "never") return given;
  const events: unknown[] = Array.isArray(given) ? [...(given as unknown[])] : [];
  const isList = events.length > 0 && new Set(events).size === events.length;
  if (isList && events.every((event) => EVENTS.includes(event))) return Object.freeze(events) as Notify;
  throw bad("dsn.notify", "neither the text never nor a list of success, failure, delay, each once");
}

/** By forward-path, as the envelope has it; the recipients' own spelling stays. */
function originalRecipientsOf(given: unknown, forwardPaths: ReadonlySet<string> | undefined): OriginalRecipients {
  const found: OriginalRecipients = {};
  for (const [path, original] of Object.entries(fieldsOf(given, "dsn.originalRecipients"))) {
    const field = `dsn.originalRecipients["${path.slice(0, 100)}"]`;
    const forwardPath = parsePath(path, field);
    if (forwardPaths?.has(forwardPath) === false) throw bad(field, "not a recipient of the message");
    if (Object.hasOwn(found, forwardPath)) throw bad(field, "given twice");
    if (typeof original !== "string") throw bad(field, "not a string");
    parsePath(original, field);
    found[forwardPath] = original;
  }
  return Object.freeze(found);
}
