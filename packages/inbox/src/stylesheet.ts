import { createHash } from "node:crypto";

const STYLE = `
:root{color-scheme:light dark;--line:#d5d9e0;--soft:#5b6472;--fill:#f3f5f8;--link:#0b57d0;--danger:#b3261e;--page:#fff;--text:#1b1f26}
@media (prefers-color-scheme:dark){:root{--line:#3a414d;--soft:#a4adbb;--fill:#20252d;--link:#8ab4f8;--danger:#f2938c;--page:#15181d;--text:#e6e9ee}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:64rem;padding:1rem;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,-apple-system,"Apple SD Gothic Neo","Malgun Gothic","Noto Sans KR",sans-serif;overflow-wrap:anywhere;word-break:keep-all}
h1{font-size:1.4rem;line-height:1.3;margin:0}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
input,button,.button{font:inherit;color:inherit;padding:.35rem .75rem;border:1px solid var(--line);border-radius:.4rem;background:var(--page)}
button,.button{background:var(--fill);cursor:pointer;text-decoration:none;display:inline-block;white-space:nowrap}
button:hover,.button:hover{border-color:var(--soft)}
.danger{color:var(--danger)}
header{display:flex;flex-wrap:wrap;gap:.75rem 1rem;align-items:center;padding-bottom:1rem;border-bottom:1px solid var(--line)}
header.message{display:block}
header.message h1{margin:1rem 0}
header nav{display:flex;flex-wrap:wrap;gap:.5rem}
form{margin:0}
form[role=search]{display:flex;gap:.5rem;flex:1 1 16rem;min-width:0}
input[type=search]{flex:1;min-width:0}
.note{color:var(--soft);font-size:.875rem}
.blank{padding:2rem 0;text-align:center;color:var(--soft)}
.warning{padding:.75rem 1rem;border-left:4px solid var(--danger);background:var(--fill)}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.list{list-style:none;margin:0;padding:0}
.list li{position:relative;display:grid;grid-template-columns:minmax(0,1fr) auto;gap:.1rem 1rem;padding:.7rem .5rem;border-bottom:1px solid var(--line)}
.list li:hover{background:var(--fill)}
.list .subject{grid-column:1/-1;font-weight:600;text-decoration:none;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:2;overflow:hidden}
.list .subject::after{content:"";position:absolute;inset:0}
.list .from,.list .to{font-size:.9rem}
.list .to,.list time{color:var(--soft)}
.list .from{grid-column:1}
.list .to{grid-column:1/-1}
.list time{grid-column:2;grid-row:2;font-size:.875rem;text-align:end;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.25rem 1rem;margin:0}
dt{color:var(--soft)}
dd{margin:0}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"D2Coding",monospace;font-size:.9em}
details{margin:1rem 0;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.4rem}
summary{cursor:pointer;font-weight:600}
details ul{margin:.5rem 0;padding-left:1.25rem}
details dl{margin:.5rem 0;font-size:.875rem}
.tabs{display:flex;gap:.25rem;border-bottom:1px solid var(--line);margin-top:1.5rem}
.tabs a{padding:.4rem 1rem;border:1px solid transparent;border-bottom:0;border-radius:.4rem .4rem 0 0;text-decoration:none;margin-bottom:-1px}
.tabs a[aria-current]{border-color:var(--line);background:var(--page);color:var(--text);font-weight:600}
.content{padding:1rem 0}
iframe{display:block;width:100%;height:min(70vh,48rem);border:1px solid var(--line);border-radius:.4rem;background:#fff;color-scheme:light}
pre{white-space:pre-wrap;margin:0;padding:1rem;background:var(--fill);border-radius:.4rem;word-break:normal}
pre.text{font:inherit}
@media (max-width:34rem){
dl{grid-template-columns:minmax(0,1fr)}
dt{margin-top:.35rem;font-size:.8rem}
.list li{grid-template-columns:minmax(0,1fr)}
.list time{grid-column:1;grid-row:auto;text-align:start}
}
`;

/** The one stylesheet, as each page holds it. */
export const STYLE_ELEMENT = `<style>${STYLE}</style>`;

/** Allows this stylesheet and no other (CSP Level 3, section 2.3.1). */
export const STYLE_HASH = `sha256-${createHash("sha256").update(STYLE).digest("base64")}`;
