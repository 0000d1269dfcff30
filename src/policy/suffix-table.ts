// A small table of names that each cover themselves and all below them: local lists, overrides, names of bypasses.
// Keyed by the same hashes as the index, so that one pass over a query's name serves every table and no string is made.

import { createNameHashes, hashName } from '../blocklist/hash.ts';
import { canonicalName, isIpLiteral } from '../blocklist/names.ts';
import type { NameHashes, Seed } from '../blocklist/types.ts';
import { formatAddress, parseAddress } from './networks.ts';

/** Open addressing, three words a slot: hash low, hash high, row + 1 (0 is empty). Read only once built. */
export type SuffixTable = {
  readonly slots: Uint32Array;
  readonly mask: number;
  /** row r has values[rowStart[r] .. rowStart[r + 1]), in the order they were given */
  readonly rowStart: Uint32Array;
  readonly values: Uint32Array;
  readonly rows: number;
};

/**
 * Builds the table; a name given twice has one row with both values. `name` is in canonical form (A-labels); a name that
 * is not usable is left out, which the check of the policy reports.
 */
export function createSuffixTable(
  seed: Seed,
  entries: Iterable<{ name: string; value: number }>,
): SuffixTable {
  const byName = new Map<string, number[]>();
  for (const { name, value } of entries) {
    const canonical = localName(name);
    if (canonical === null) continue;
    const values = byName.get(canonical);
    if (values === undefined) byName.set(canonical, [value]);
    else values.push(value);
  }
  let size = 8;
  while (size < byName.size * 2) size *= 2;
  const slots = new Uint32Array(size * 3);
  const rowStart = new Uint32Array(byName.size + 1);
  const values: number[] = [];
  const hashes = createNameHashes();
  let row = 0;
  for (const [name, held] of byName) {
    hashName(seed, name, hashes);
    const lo = hashes.lo[hashes.count - 1] ?? 0;
    const hi = hashes.hi[hashes.count - 1] ?? 0;
    let slot = lo & (size - 1);
    while (slots[slot * 3 + 2] !== 0) slot = (slot + 1) & (size - 1);
    slots[slot * 3] = lo;
    slots[slot * 3 + 1] = hi;
    slots[slot * 3 + 2] = ++row;
    values.push(...held);
    rowStart[row] = values.length;
  }
  return { slots, mask: size - 1, rowStart, values: Uint32Array.from(values), rows: row };
}

/** The row of the name's suffix `suffix` (0 is the last label), or -1. */
export function findRow(table: SuffixTable, hashes: NameHashes, suffix: number): number {
  const { slots, mask } = table;
  const lo = hashes.lo[suffix] as number;
  const hi = hashes.hi[suffix] as number;
  let slot = lo & mask;
  for (;;) {
    const row = slots[slot * 3 + 2] as number;
    if (row === 0) return -1;
    if (slots[slot * 3] === lo && slots[slot * 3 + 1] === hi) return row - 1;
    slot = (slot + 1) & mask;
  }
}

/** A name or an IP literal in the form it is hashed in, or null when it is neither; Unicode names are neither here. */
export function localName(text: string): string | null {
  if (isIpLiteral(text)) {
    const address = parseAddress(text);
    return address === null ? null : formatAddress(address);
  }
  return canonicalName(text, (name) => name);
}
