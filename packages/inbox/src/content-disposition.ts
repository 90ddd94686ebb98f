/** Enough for any file system; the rest of a longer name is left out. */
const MAX_NAME_LENGTH = 120;

/**
 * The value of a Content-Disposition field that makes a browser save, never show (RFC 6266): the name in ASCII for those
 * that know no better, and in UTF-8 (RFC 8187). The name comes from a stranger: it loses its path, its controls and
 * whatever a file system or shell could take for more than a name.
 */
export function attachmentDisposition(filename: string | null, fallback: string): string {
  const name = safeName(filename ?? "") || fallback;
  const ascii = name.replace(/[^\x20-\x7e]/g, "_").replace(/["%]/g, "_");
  return `attachment; filename="${ascii}"; filename*=UTF-8''${extendedValue(name)}`;
}

/** The last step of the path, without controls, bidirectional overrides, reserved characters and leading dots. */
function safeName(filename: string): string {
  const last = filename.toWellFormed().split(/[/\\]/).at(-1) ?? "";
  const name = last.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}<>:"|?*]/gu, "_").replace(/^[.\s]+|[.\s]+$/g, "");
  return [...name].slice(0, MAX_NAME_LENGTH).join("");
}

/** `value-chars` of RFC 8187 section 3.2.1: encodeURIComponent leaves four characters that are no `attr-char`. */
function extendedValue(name: string): string {
  return encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
