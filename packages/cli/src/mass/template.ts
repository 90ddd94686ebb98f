import { Liquid, type LiquidOptions } from "liquidjs";
import { MessageError } from "posthaste";
import { badSetting } from "../exit.ts";

/** A Liquid template that a flag gave. */
export interface Template {
  /** The flag that it came by, such as `--subject`. */
  readonly flag: string;
  readonly source: string;
  /** The columns that it uses, each with the place of its first use. */
  readonly uses: readonly { readonly name: string; readonly at: string }[];
  /** @throws {MessageError} with the flag, line and column. */
  render(columns: Readonly<Record<string, unknown>>): string;
}

/** A template of a megabyte is a mistake. */
const SOURCE_LIMIT = 1_000_000;
/** For each rendering; a loop without end is a fault of its row, not the end of the mailing. */
const RENDER_LIMIT = 2000;
const MEMORY_LIMIT = 50_000_000;
/** In UTF-16 code units: Liquid does not count what a template puts out, and rendering a mail of it takes many times as much. */
const OUTPUT_LIMIT = 5_000_000;
/** Tags that read files. */
const READING = ["include", "render", "layout", "block"];

/** A column that is missing or misspelt is an error, and no template can read a file. */
const STRICT = {
  strictVariables: true,
  strictFilters: true,
  ownPropertyOnly: true,
  templates: {},
  parseLimit: SOURCE_LIMIT,
  renderLimit: RENDER_LIMIT,
  memoryLimit: MEMORY_LIMIT,
} as const;

const TEXT = engineWith({});
/** What a row holds is text, and not markup, unless the template says `| raw`. */
const HTML = engineWith({ outputEscape: "escape" });

function engineWith(options: LiquidOptions): Liquid {
  const engine = new Liquid({ ...STRICT, ...options });
  for (const name of READING) Reflect.deleteProperty(engine.tags, name);
  return engine;
}

/** @throws {SettingsError} naming the flag, line and column of what is wrong. */
export function compileTemplate(flag: string, source: string, kind: "text" | "html" = "text"): Template {
  const engine = kind === "html" ? HTML : TEXT;
  const parsed = attempt(
    () => engine.parse(source),
    (fault) => badSetting(flag, fault),
  );
  const globals = engine.analyzeSync(parsed, { partials: false }).globals;
  const uses = Object.entries(globals).map(([name, [first]]) => ({
    name,
    at: `line ${first?.location.row ?? 1}, column ${first?.location.col ?? 1}`,
  }));
  return {
    flag,
    source,
    uses,
    render: (columns) =>
      attempt(
        () => bounded(String(engine.renderSync(parsed, columns))),
        (fault) => new MessageError("bad-value", `${flag}: ${fault}`, { field: flag }),
      ),
  };
}

function bounded(output: string): string {
  if (output.length > OUTPUT_LIMIT) throw new Error(`it makes more than ${OUTPUT_LIMIT} characters`);
  return output;
}

/** Refuses a template that uses a column which no row has. @throws {SettingsError} */
export function checkUses({ flag, uses }: Template, columns: readonly string[], file: string): void {
  const missing = uses.find(({ name }) => !columns.includes(name));
  if (missing === undefined) return;
  const has = columns
    .slice(0, 20)
    .map((name) => JSON.stringify(name))
    .join(", ");
  throw badSetting(flag, `${missing.at}: ${file} has no column ${JSON.stringify(missing.name)}; it has ${has}`);
}

function attempt<T>(does: () => T, errorOf: (fault: string) => Error): T {
  try {
    return does();
  } catch (error) {
    throw Object.assign(errorOf(faultOf(error as Error)), { cause: error });
  }
}

/** Liquid puts the place behind. */
function faultOf({ message }: Error): string {
  const [first = ""] = message.split("\n");
  const place = /^(.*), line:(\d+), col:(\d+)$/.exec(first);
  return place === null ? first : `line ${place[2]}, column ${place[3]}: ${place[1]}`;
}
