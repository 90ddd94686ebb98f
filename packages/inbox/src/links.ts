/** Bounds of a mail that is not hostile; a link beyond them is left out, never cut. */
const MAX_LINKS = 1000;
const MAX_LINK_LENGTH = 8192;

/** The absolute http and https links of a message: those of the text, then those of the HTML, each once. */
export function extractLinks(text: string, html: string): string[] {
  const links = new Set<string>();
  for (const { link } of textLinks(text)) {
    if (links.add(link).size === MAX_LINKS) return [...links];
  }
  for (const link of htmlLinks(html)) {
    if (links.add(link).size === MAX_LINKS) return [...links];
  }
  return [...links];
}

/**
 * The characters of a URI (RFC 3986 section 2). Not those of an IRI: in Korean a particle follows the link without a
 * space ("https://example.com/a를"), and whoever writes a link into a mail percent-encodes it.
 */
const URI_IN_TEXT = /\bhttps?:\/\/[\w\-.~:/?#[\]@!$&'()*+,;=%]+/gi;

/** The links of a text with their places. Punctuation that ends a sentence or closes a bracket is no part of a link. */
export function* textLinks(text: string): Generator<{ link: string; start: number; end: number }> {
  for (const match of text.matchAll(URI_IN_TEXT)) {
    const link = withoutClosingPunctuation(match[0]);
    if (isWebLink(link)) yield { link, start: match.index, end: match.index + link.length };
  }
}

function isWebLink(link: string): boolean {
  return link.length <= MAX_LINK_LENGTH && /^https?:\/\//i.test(link) && URL.canParse(link);
}

function withoutClosingPunctuation(link: string): string {
  let surplusRound = count(link, ")") - count(link, "(");
  let surplusSquare = count(link, "]") - count(link, "[");
  let end = link.length;
  for (; end > 0; end -= 1) {
    const last = link.charAt(end - 1);
    if (last === ")" && surplusRound > 0) surplusRound -= 1;
    else if (last === "]" && surplusSquare > 0) surplusSquare -= 1;
    else if (!".,;:!?'*".includes(last)) break;
  }
  return link.slice(0, end);
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

const TAG_NAME = /[a-z][^\s/>]*/iy;
/** One attribute, or the end of the tag (HTML standard, section 13.2.5.32 onward). */
const ATTRIBUTE = /[\s/]*(?:(>)|([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*)?))?)/y;
/** Elements whose content is not markup. */
const RAW_TEXT = new Set(["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"]);

/**
 * The links of `<a>` and `<area>`. A scanner, not a parser: it lists, and nothing is made safe by it. It goes forward
 * only, and stops at a tag, comment or script that never ends, so its time is proportional to the length of the HTML.
 */
function* htmlLinks(html: string): Generator<string> {
  let at = html.indexOf("<");
  while (at !== -1) {
    if (html.startsWith("<!--", at)) {
      at = html.indexOf("-->", at + 4);
      if (at === -1) return;
    }
    const name = matchAt(TAG_NAME, html, at + 1)?.[0];
    if (name !== undefined) {
      const tag = readTag(html, at + 1 + name.length);
      if (tag === undefined) return;
      const link = tag.href === undefined ? "" : asLink(tag.href);
      if (/^(?:a|area)$/i.test(name) && isWebLink(link)) yield link;
      at = RAW_TEXT.has(name.toLowerCase()) ? endOfRawText(html, name, tag.end) : tag.end - 1;
      if (at === -1) return;
    }
    at = html.indexOf("<", at + 1);
  }
}

function readTag(html: string, start: number): { href: string | undefined; end: number } | undefined {
  let href: string | undefined;
  for (let at = start; ; at = ATTRIBUTE.lastIndex) {
    const match = matchAt(ATTRIBUTE, html, at);
    if (match === null) return undefined;
    const [, close, name, ...values] = match;
    if (close !== undefined) return { href, end: ATTRIBUTE.lastIndex };
    if (name?.toLowerCase() === "href") href ??= values.find((value) => value !== undefined) ?? "";
  }
}

/** The last character of the content of a raw text element, or -1 when the element never ends. */
function endOfRawText(html: string, name: string, start: number): number {
  const closing = new RegExp(`</${name}`, "gi");
  closing.lastIndex = start;
  const match = closing.exec(html);
  return match === null ? -1 : match.index - 1;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}

const CHARACTER_REFERENCE = /&(?:#x([0-9a-f]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));/gi;
const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** An attribute's value as a URL parser takes it: references resolved, outer space and inner line breaks gone. */
function asLink(value: string): string {
  return value
    .replace(CHARACTER_REFERENCE, (whole, hex?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return NAMED[name.toLowerCase()] ?? whole;
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    })
    .trim()
    .replace(/[\t\r\n]/g, "");
}
