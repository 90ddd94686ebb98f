import { AddressError } from "posthaste";
import { z } from "zod";
import type { Body } from "./body.ts";
import { parseEmail } from "./email-key.ts";
import { localeOf } from "./locale.ts";
import { passwordFault } from "./password.ts";
import { RequestError, type FieldFault } from "./request-error.ts";

/** C0 and C1 controls, DEL, and U+2028 and U+2029, at which Unicode breaks lines. */
const CONTROL = /[\0-\x1f\x7f-\x9f\u2028\u2029]/;

const fault = (name: FieldFault): FieldFault => name;

/** A fault after which the value is looked at no further: what follows may rely on what was asked before. */
const stop = (name: FieldFault): { message: FieldFault; abort: true } => ({ message: name, abort: true });

/** A text of at most so many characters, without controls and lone surrogates. */
function text(characters: number): z.ZodType<string, string> {
  return z
    .string({ error: (issue) => fault(issue.input === undefined ? "required" : "notText") })
    .refine((value) => value.length <= 2 * characters && Array.from(value).length <= characters, stop("tooLong"))
    .refine((value) => value.isWellFormed() && !CONTROL.test(value), stop("control"));
}

function filledText(characters: number): z.ZodType<string, string> {
  return text(characters).refine((value) => value !== "", stop("required"));
}

const email = filledText(254).transform((typed, context) => {
  try {
    return parseEmail(typed);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    context.addIssue({ code: "custom", message: fault("email") });
    return z.NEVER;
  }
});

const locale = text(35).transform((tag, context) => {
  const known = localeOf(tag);
  if (known !== undefined) return known;
  context.addIssue({ code: "custom", message: fault("locale") });
  return z.NEVER;
});

const token = filledText(200);
/** What was once set can be no longer than this, so nothing longer needs to be compared. */
const password = filledText(256);
const newPassword = password.superRefine((value, context) => {
  const weak = passwordFault(value);
  if (weak !== undefined) context.addIssue({ code: "custom", message: weak });
});
const next = text(512).optional();

/** The bodies of the routes. */
export const SIGNUP = z
  .object({
    email,
    password: newPassword,
    password2: text(256).optional(),
    name: text(64).default(""),
    locale: locale.optional(),
    next,
  })
  .superRefine(({ email, password, password2 }, context) => {
    if (password2 !== undefined && password2 !== password) {
      context.addIssue({ code: "custom", path: ["password2"], message: fault("passwordsDiffer") });
    }
    if ([email.typed, email.key].some((address) => address.toLowerCase() === password.toLowerCase())) {
      context.addIssue({ code: "custom", path: ["password"], message: fault("passwordIsAddress") });
    }
  });
export const ACTIVATE = z.object({ token, password: text(256).optional(), locale: locale.optional() });
export const DECLINE = z.object({ token, locale: locale.optional() });
export const RESEND = z.object({ email, locale: locale.optional() });
export const LOGIN = z.object({ email, password, next, locale: locale.optional() });
export const LOGOUT = z.object({});

/** The names that a body may hold. */
export function fieldNames(schema: z.ZodObject): string[] {
  return Object.keys(schema.shape);
}

/**
 * The body as the schema describes it.
 *
 * @throws {RequestError} invalid_fields, with every fault of every field.
 */
export function parseFields<Schema extends z.ZodType>(schema: Schema, body: Body): z.output<Schema> {
  const result = schema.safeParse({ ...body });
  if (result.success) return result.data;
  const faults: Record<string, FieldFault[]> = {};
  for (const issue of result.error.issues) {
    (faults[String(issue.path[0])] ??= []).push(issue.message as FieldFault);
  }
  throw new RequestError("invalid_fields", { faults });
}
