import { createHash } from "node:crypto";

/** The one stylesheet. */
const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--ground:#f4f5f7;--line:#8c959f;--action:#1a56c4;--on-action:#fff;--bad:#b42318;--bad-ground:#fdecea;--good:#116329;--good-ground:#e6f4ea}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a3abb5;--paper:#1c2026;--ground:#12151a;--line:#6e7781;--action:#8ab4ff;--on-action:#0b1a33;--bad:#ff9a91;--bad-ground:#3a1a18;--good:#7ee2a0;--good-ground:#14301e}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI","Apple SD Gothic Neo","Malgun Gothic","Noto Sans KR",sans-serif;word-break:keep-all;overflow-wrap:anywhere}
main{max-width:27rem;margin:clamp(1rem,8vh,5rem) auto;padding:clamp(1.25rem,5vw,2rem);background:var(--paper);border-radius:.75rem}
h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.25}
p,ul,dl{margin:0 0 1rem}
form{margin:0 0 1rem}
label{display:block;margin:0 0 .25rem;font-weight:600}
.field{margin:0 0 1.1rem}
.hint,.fault{margin:.3rem 0 0;font-size:.9rem}
form>.hint{margin-bottom:.6rem}
.hint,dt,footer{color:var(--soft)}
.fault{color:var(--bad);font-weight:600}
input{display:block;width:100%;min-height:2.75rem;padding:.5rem .7rem;border:1px solid var(--line);border-radius:.4rem;background:var(--paper);color:inherit;font:inherit}
input[aria-invalid=true]{border-color:var(--bad);border-width:2px}
button,.button{display:inline-block;min-height:2.75rem;padding:.6rem 1.2rem;border:1px solid var(--action);border-radius:.4rem;background:var(--action);color:var(--on-action);font:inherit;font-weight:600;line-height:1.4;text-decoration:none;cursor:pointer}
button.quiet,.button.quiet{background:none;color:var(--action)}
a{color:var(--action)}
:focus-visible{outline:3px solid var(--action);outline-offset:2px}
.alert,.status{margin:0 0 1.1rem;padding:.7rem .9rem;border-radius:.4rem}
.alert{background:var(--bad-ground);color:var(--bad)}
.status{background:var(--good-ground);color:var(--good);font-weight:600}
.row{display:flex;flex-wrap:wrap;gap:.75rem}
dt{font-size:.9rem}dd{margin:0 0 .75rem}
hr{border:0;border-top:1px solid var(--line);opacity:.5;margin:1.5rem 0}
footer{font-size:.95rem}footer p:last-child{margin:0}
`;

const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** Inline, so that a page is one request. As one string: a single space more, and its hash were another. */
export const STYLE_ELEMENT = `<style>${STYLE}</style>`;

/** No script, no frame, no foreign resource; forms post to this origin only. */
export const CONTENT_SECURITY_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;
