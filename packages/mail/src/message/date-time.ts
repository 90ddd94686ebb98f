import { MessageError } from "../errors.ts";

/** RFC 5322 section 3.3 `date-time`, in UTC: `Mon, 23 Nov 2026 09:00:00 +0000`. */
export function dateTime(date: Date): string {
  return date.toUTCString().replace("GMT", "+0000");
}

/** RFC 5322 section 3.3: a year has four digits or more and is not before 1900. */
export function checkDate(date: Date): Date {
  const valid = date instanceof Date && date.getUTCFullYear() >= 1900 && date.getUTCFullYear() <= 9999;
  if (!valid)
    throw new MessageError("bad-value", "date: not a valid Date between the years 1900 and 9999", { field: "date" });
  return date;
}
