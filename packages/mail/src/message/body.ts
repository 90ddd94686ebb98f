import type { MediaType } from "../mime/media-type.ts";
import { type Alternative, type Attachment } from "./attachment.ts";
import { type BodyPart, type BoundarySource, multipart } from "./body-part.ts";
import { alternativePart, attachmentPart, textPart } from "./part.ts";

const PLAIN: MediaType = { type: "text", subtype: "plain", parameters: new Map() };
const HTML: MediaType = { type: "text", subtype: "html", parameters: new Map() };

/** What the body is made of. */
export interface BodyFields {
  readonly text: string;
  readonly html: string;
  readonly alternatives: readonly Alternative[];
  readonly attachments: readonly Attachment[];
  readonly charset: string;
}

/**
 * The tree of parts (RFC 2046 section 5.1, RFC 2387), each level only where it is needed:
 *
 *     mixed
 *       alternative
 *         text/plain
 *         related
 *           text/html
 *           images that it names by cid
 *         further alternatives
 *       attachments
 */
export function bodyOf(fields: BodyFields, boundaryOf: BoundarySource): BodyPart {
  const { html, alternatives, attachments } = fields;
  if (html === "" && alternatives.length === 0 && attachments.length === 0) return plainPart(fields);
  const parts = fields.attachments.map((attachment, index) => ({
    attachment,
    part: attachmentPart(attachment, `attachments[${index}]`),
  }));
  const hasHtml =
    fields.html !== "" || fields.alternatives.some(({ contentType }) => /^text\/html\b/i.test(contentType));
  const isRelated = ({ attachment }: { attachment: Attachment }): boolean => hasHtml && attachment.cid !== undefined;
  const related = parts.filter(isRelated).map(({ part }) => part);
  const mixed = parts.filter((each) => !isRelated(each)).map(({ part }) => part);
  const versions = versionsOf(fields, related, boundaryOf);
  // An empty body beside attachments is none, as in Django.
  const [only, ...others] = versions;
  if (only === undefined) return mixed.length > 0 ? multipart("mixed", mixed, boundaryOf) : plainPart(fields);
  const body = others.length > 0 ? multipart("alternative", versions, boundaryOf) : only;
  return mixed.length > 0 ? multipart("mixed", [body, ...mixed], boundaryOf) : body;
}

function plainPart({ text, charset }: BodyFields): BodyPart {
  return textPart(text, PLAIN, charset, "text");
}

function versionsOf(fields: BodyFields, related: readonly BodyPart[], boundaryOf: BoundarySource): BodyPart[] {
  const { text, html, alternatives, charset } = fields;
  let images = related;
  const withImages = (part: BodyPart): BodyPart => {
    if (images.length === 0) return part;
    const parts = [part, ...images];
    images = [];
    return multipart("related", parts, boundaryOf, ' type="text/html";');
  };
  const versions: BodyPart[] = text === "" ? [] : [plainPart(fields)];
  if (html !== "") versions.push(withImages(textPart(html, HTML, charset, "html")));
  alternatives.forEach((alternative, index) => {
    const part = alternativePart(alternative, charset, `alternatives[${index}]`);
    versions.push(/^text\/html\b/i.test(alternative.contentType) ? withImages(part) : part);
  });
  return versions;
}
