import { MessageError } from "../errors.ts";

/** RFC 5322 section 3.3 `date-time`, without the obsolete forms but `GMT` and `UT`. */
const DATE_TIME =
  /^(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), )?[0-9]{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}(?::[0-9]{2})? (?:[+-][0-9]{4}|GMT|UT)$/;

/**
 * The date as the Date field has it: `Mon, 23 Nov 2026 09:00:00 +0000`.
 *
 * @param local in the time zone of this process instead of UTC; Django's `EMAIL_USE_LOCALTIME`.
 */
export function dateTime(date: Date, local = false): string {
  if (!local) return utcDateTime(date);
  const offset = -date.getTimezoneOffset();
  const shifted = new Date(date.getTime() + offset * 60_000).toUTCString();
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  return shifted.replace("GMT", `${offset < 0 ? "-" : "+"}${twoDigits(hours)}${twoDigits(minutes)}`);
}

/** The last second's, for many messages are made in one. */
let lastSecond = { second: Number.NaN, text: "" };

function utcDateTime(date: Date): string {
  const second = Math.floor(date.getTime() / 1000);
  if (lastSecond.second !== second) lastSecond = { second, text: date.toUTCString().replace("GMT", "+0000") };
  return lastSecond.text;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}

/** Whether the text is a date-time, and a day that there is. */
export function isDateTime(text: string): boolean {
  return DATE_TIME.test(text) && !Number.isNaN(Date.parse(text.replace(/UT$/, "UTC")));
}

/** RFC 5322 section 3.3: a year has four digits or more and is not before 1900. */
export function checkDate(date: Date, field = "date"): Date {
  const valid = date instanceof Date && date.getUTCFullYear() >= 1900 && date.getUTCFullYear() <= 9999;
  if (!valid)
    throw new MessageError("bad-value", `${field}: not a valid Date between the years 1900 and 9999`, { field });
  return date;
}
