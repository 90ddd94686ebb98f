/** One thing that is measured against others: what it does once, and how often it is done in a round. */
export interface Contender {
  readonly name: string;
  readonly run: (count: number) => Promise<void> | void;
}

/** The median microseconds of CPU time that each takes for one, over alternating rounds; two rounds warm up. */
export async function cpuMedians(
  contenders: readonly Contender[],
  count: number,
  rounds: number,
): Promise<Map<string, number>> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -2; round < rounds; round++) {
    for (const { name, run } of contenders) {
      // So that nobody pays for another's garbage.
      globalThis.gc?.();
      const before = process.cpuUsage();
      await run(count);
      const { user, system } = process.cpuUsage(before);
      if (round >= 0) times.get(name)?.push((user + system) / count);
    }
  }
  return new Map([...times].map(([name, list]) => [name, median(list)]));
}

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
