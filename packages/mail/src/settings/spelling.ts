/**
 * The one among the known names that another is most likely a misspelling of: one letter wrong, missing, too many or
 * two in each other's place; in names of six letters and more, two such mistakes.
 *
 * @param prefix what all of them begin with, which says nothing.
 */
export function nearestOf(name: string, known: readonly string[], prefix = ""): string | undefined {
  const own = name.slice(prefix.length);
  const limit = own.length < 6 ? 1 : 2;
  return known.find((each) => {
    const other = each.slice(prefix.length);
    return Math.abs(other.length - own.length) <= limit && distance(own, other) <= limit;
  });
}

/** Damerau's and Levenshtein's, where no piece is changed twice. */
function distance(one: string, other: string): number {
  let [before, last] = [new Array<number>(), Array.from({ length: other.length + 1 }, (_, index) => index)];
  for (let row = 1; row <= one.length; row++) {
    const next = [row];
    for (let column = 1; column <= other.length; column++) {
      const differs = one[row - 1] === other[column - 1] ? 0 : 1;
      const steps = [at(last, column) + 1, at(next, column - 1) + 1, at(last, column - 1) + differs];
      const isSwapped = row > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      next.push(Math.min(...steps, isSwapped ? at(before, column - 2) + 1 : Number.POSITIVE_INFINITY));
    }
    [before, last] = [last, next];
  }
  return at(last, other.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
