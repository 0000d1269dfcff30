// "Did you mean": the nearest of a few known words to one that is not known. Nothing else.

function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}

/** The known word that a mistyped one most likely stands for, or null. */
export function suggest(word: string, known: readonly string[]): string | null {
  if (word.length > 60) return null;
  const plain = (text: string): string => text.toLowerCase().replace(/[-_ ]/g, '');
  const wanted = plain(word);
  // `monday` for mon, `acc` for acceptable
  const begun = known.filter((candidate) => {
    const [short, long] = [wanted, plain(candidate)].sort((a, b) => a.length - b.length) as [string, string];
    return short.length >= 3 && long.startsWith(short);
  });
  if (begun.length === 1) return begun[0]!;
  let best: string | null = null;
  let bestCost = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known) {
    const cost = distance(wanted, plain(candidate));
    if (cost < bestCost) [best, bestCost] = [candidate, cost];
  }
  return best;
}

/** Advice for a word that is none of the known ones. */
export function adviseKnown(word: string, known: readonly string[], what: string): string {
  const near = suggest(word, known);
  if (near !== null) return `did you mean ${near}?`;
  if (known.length === 0) return `there is no ${what} yet: add one or leave this out`;
  const shown = known.slice(0, 12).join(', ');
  return `write one of: ${shown}${known.length > 12 ? ', …' : ''}`;
}
