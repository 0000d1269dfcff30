// Names with an upstream of their own, found by the hashes of the question so that no string is made.

import type { NameHashes, Seed } from '../blocklist/types.ts';
import { createSuffixTable, findRow } from '../policy/suffix-table.ts';
import type { Exchange } from '../resolver/types.ts';

export type ForwardTable = { find(hashes: NameHashes): Exchange | null };

/** `forward` goes by canonical name; the longest name that is the question's or a parent of it wins. */
export function compileForwardTable(forward: Readonly<Record<string, Exchange>>, seed: Seed): ForwardTable {
  const exchanges = Object.values(forward);
  const table = createSuffixTable(
    seed,
    Object.keys(forward).map((name, value) => ({ name, value })),
  );
  if (table.rows === 0) return { find: () => null };
  return {
    find(hashes) {
      for (let suffix = hashes.count - 1; suffix >= 0; suffix--) {
        const row = findRow(table, hashes, suffix);
        if (row >= 0) return exchanges[table.values[table.rowStart[row] as number] as number] ?? null;
      }
      return null;
    },
  };
}
