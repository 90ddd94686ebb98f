import { en, type Catalogue } from "./catalogue/en.ts";
import { ko } from "./catalogue/ko.ts";

/** The languages that people are spoken to in. */
export type Locale = "ko" | "en";

const CATALOGUES: Record<Locale, Catalogue> = { ko, en };

/** The texts of a language. */
export function catalogueOf(locale: Locale): Catalogue {
  return CATALOGUES[locale];
}

/** The language of a tag such as `ko-KR` (RFC 5646), if it is one of ours. */
export function localeOf(tag: unknown): Locale | undefined {
  const primary = typeof tag === "string" && tag.length <= 35 ? /^(ko|en)(?:-[a-z0-9-]+)?$/i.exec(tag)?.[1] : undefined;
  return primary?.toLowerCase() as Locale | undefined;
}

/** The language that an Accept-Language header (RFC 9110 section 12.5.4) likes best, if it names one of ours. */
export function acceptedLocale(header: string | undefined): Locale | undefined {
  let best: Locale | undefined;
  let bestQuality = 0;
  for (const { value, quality } of qualityValues(header)) {
    const locale = localeOf(value);
    if (locale === undefined || quality <= bestQuality) continue;
    best = locale;
    bestQuality = quality;
  }
  return best;
}

/** A list with quality values (RFC 9110 section 12.4.2), lower-cased; what cannot be read counts as not named. */
export function qualityValues(header: string | undefined): { value: string; quality: number }[] {
  return (header ?? "")
    .slice(0, 1000)
    .toLowerCase()
    .split(",")
    .map((element) => {
      const [value = "", ...parameters] = element.split(";").map((part) => part.trim());
      const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
      return { value, quality: /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0 };
    });
}
