/**
 * RFC 5322 section 3.2, the lexical tokens of a structured field, as a scanner over one string.
 *
 *     atext         = ALPHA / DIGIT / "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "/" /
 *                     "=" / "?" / "^" / "_" / "`" / "{" / "|" / "}" / "~"        (and UTF8-non-ascii, RFC 6532 3.2)
 *     atom          = [CFWS] 1*atext [CFWS]
 *     quoted-string = [CFWS] DQUOTE *([FWS] qcontent) [FWS] DQUOTE [CFWS]
 *     comment       = "(" *([FWS] ccontent) [FWS] ")"
 *     CFWS          = (1*([FWS] comment) [FWS]) / FWS
 *
 * Time is linear and the stack constant: comments are counted, not recursed into. Line breaks never come here, since
 * the caller has refused them, so folding white space is space and TAB.
 */

const ATEXT = /[^\0-\x20\x7f"(),.:;<>@[\]\\]+/y;
const WHITE_SPACE = /[ \t]+/y;
/** No alternation under a star: on a long quoted string it would use up the stack of the regular expression. */
const QUOTED_CONTENT = /[^"\\]*/y;
const DOMAIN_LITERAL = /\[[^[\]\\]*\]/y;

/** A word of a phrase or local-part, or the dot between two. `spaced`: CFWS stood before it. */
export interface Word {
  readonly kind: "atom" | "quoted-string" | "dot";
  readonly value: string;
  readonly spaced: boolean;
}

/** Thrown inside the parser only; what leaves it is an AddressError. */
export class TokenError extends Error {}

/** A cursor in the text. */
export class Scanner {
  readonly text: string;
  position = 0;

  constructor(text: string) {
    this.text = text;
  }

  get atEnd(): boolean {
    return this.position >= this.text.length;
  }

  peek(): string {
    return this.text.charAt(this.position);
  }

  /** Takes the character if it comes next. */
  take(character: string): boolean {
    if (this.peek() !== character) return false;
    this.position++;
    return true;
  }

  /** Skips CFWS. @returns whether there was any. */
  skipCfws(): boolean {
    const start = this.position;
    for (;;) {
      this.match(WHITE_SPACE);
      if (this.peek() !== "(") return this.position > start;
      this.#skipComment();
    }
  }

  #skipComment(): void {
    let depth = 0;
    do {
      const character = this.text[this.position++];
      if (character === undefined) throw new TokenError("a comment is not closed");
      if (character === "\\") this.position++;
      else if (character === "(") depth++;
      else if (character === ")") depth--;
    } while (depth > 0);
  }

  /** The next atom, quoted-string or dot, or undefined where something else stands. */
  word(): Word | undefined {
    const spaced = this.skipCfws();
    if (this.take(".")) return { kind: "dot", value: ".", spaced };
    if (this.peek() === '"') return { kind: "quoted-string", value: this.#quotedString(), spaced };
    const atom = this.match(ATEXT);
    return atom === undefined ? undefined : { kind: "atom", value: atom, spaced };
  }

  #quotedString(): string {
    this.position++;
    let content = this.match(QUOTED_CONTENT) ?? "";
    while (this.take("\\")) {
      content += this.text.charAt(this.position++) + (this.match(QUOTED_CONTENT) ?? "");
    }
    if (!this.take('"')) throw new TokenError("a quoted string is not closed");
    return content;
  }

  /** The next domain-literal with its brackets, or undefined. */
  domainLiteral(): string | undefined {
    return this.match(DOMAIN_LITERAL);
  }

  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.position += found.length;
    return found;
  }
}
