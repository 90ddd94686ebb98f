import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { stringify } from "csv-stringify/sync";
import { type Row, rowsOf } from "./row.ts";

let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), "posthaste-rows-"))));
after(() => rm(folder, { recursive: true, force: true }));

async function read(content: string | Uint8Array, name = "rows.csv", encoding = "utf-8"): Promise<Row[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  return await Array.fromAsync(rowsOf({ path, name, encoding }));
}

const values = (rows: readonly Row[]): unknown[] => rows.map(({ columns, error }) => error ?? Object.values(columns));

const FILES: readonly [name: string, content: string, rows: unknown[]][] = [
  [
    "LF",
    "a,b\n1,2\n3,4\n",
    [
      ["1", "2"],
      ["3", "4"],
    ],
  ],
  [
    "CRLF, and no line end at the end",
    "a,b\r\n1,2\r\n3,4",
    [
      ["1", "2"],
      ["3", "4"],
    ],
  ],
  ["a byte order mark", "\ufeffa,b\n1,2\n", [["1", "2"]]],
  ["empty fields", "a,b\n,\n", [["", ""]]],
  ["blank lines", "\na,b\n\n\r\n1,2\n\n", [["1", "2"]]],
  ["quotes", 'a,b\n"x, ""y""","1\r\n\n2"\n', [['x, "y"', "1\r\n\n2"]]],
  ["a header of several lines", '"a\nb",c\n1,2\n', []],
  ["a lone CR inside of a field", 'a,b\n"1\r2",3\n', [["1\r2", "3"]]],
  [
    "a quote that opens and never closes",
    'a,b\n1,"2\n3,4\n5,6',
    ["a quote that opens does not close", ["3", "4"], ["5", "6"]],
  ],
  [
    "a quote that another line closes",
    'a,b\n1,"2\n3,"4\n5,6\n',
    [
      "something follows a closing quote; inside of a field a quote is doubled",
      "a quote that opens does not close",
      ["5", "6"],
    ],
  ],
  ["a column that is called __proto__", "__proto__,b\n1,2\n", [["1", "2"]]],
];

for (const [name, content, expected] of FILES) {
  test(`CSV with ${name}`, async () => {
    if (expected.length === 0) await assert.rejects(read(content), /control character/);
    else assert.deepEqual(values(await read(content)), expected);
  });
}

test("a row knows its number and the line that it begins in", async () => {
  const rows = await read('a,b\n"1\n1",2\n\nbroken\n3,4\n');
  assert.deepEqual(
    rows.map(({ number, line }) => [number, line]),
    [
      [1, 2],
      [2, 5],
      [3, 6],
    ],
  );
});

test("what csv-stringify writes comes back, whatever is in it", async () => {
  let seed = Date.now() % 2_147_483_647;
  const begun = seed;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const pieces = ['"', ",", "\n", "\r\n", "\r", "김", "x", " ", "'", ";", "\t", "=", "😀", "\ufeff"];
  const cell = (): string => Array.from({ length: random(6) }, () => pieces[random(pieces.length)] ?? "").join("");
  const table = Array.from({ length: 500 }, () => ["row", cell(), cell(), cell()]);
  const rows = await read(stringify([["a", "b", "c", "d"], ...table]));
  assert.deepEqual(values(rows), table, `seed ${begun}`);
});

test("a line without end is one fault, held in no memory, and the rows behind it are read", async () => {
  const rows = await read(`a,b\n1,${"x".repeat(5_000_000)}\n3,4\n`);
  assert.deepEqual(values(rows), ["the line is longer than 1048576 octets", ["3", "4"]]);
});

test("a quote that opens in a file of two megabytes costs one line", async () => {
  const rows = await read(`a,b\n1,"2\n${`3,${"4".repeat(100)}\n`.repeat(20_000)}`);
  assert.equal(rows.length, 20_001);
  assert.equal(rows.filter(({ error }) => error !== undefined).length, 1);
});

test("timers and signals have their turn, however long each row takes and though nothing is waited for", async () => {
  const path = join(folder, "slow.csv");
  await writeFile(path, `a,b\n${"1,2\n".repeat(5)}`);
  let turns = 0;
  let timer: NodeJS.Immediate | undefined;
  const turn = (): void => {
    turns++;
    timer = setImmediate(turn);
  };
  for await (const { number } of rowsOf({ path, name: "slow.csv", encoding: "utf-8" })) {
    if (number === 1) turn();
    const end = performance.now() + 25;
    while (performance.now() < end);
  }
  clearImmediate(timer);
  assert.ok(turns >= 4, `${turns} turns`);
});

test("octets that are not of the encoding are a fault of their row, with its line", async () => {
  const korean = Buffer.concat([Buffer.from('a,b\n"1\n'), Buffer.from([0xb1, 0xe8]), Buffer.from('",2\n3,4\n')]);
  const [bad, good] = await read(korean);
  assert.match(bad?.error ?? "", /^line 3 is not UTF-8; .*--encoding euc-kr$/);
  assert.deepEqual(good?.columns.a, "3");
  assert.deepEqual(values(await read(korean, "rows.csv", "EUC-KR")), [
    ["1\n김", "2"],
    ["3", "4"],
  ]);
  await assert.rejects(read(korean, "rows.csv", "utf-16le"), /--encoding/);
});
