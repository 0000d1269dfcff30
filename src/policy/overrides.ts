// Overrides in force or yet to begin, as a table by name. Who may make one and how it is recorded is the change room's.

import type { NameHashes, Seed } from '../blocklist/types.ts';
import { createSuffixTable, findRow, type SuffixTable } from './suffix-table.ts';
import type { Client, Override } from './types.ts';

type CompiledOverride = {
  readonly id: string;
  readonly groups: ReadonlySet<string>;
  readonly classes: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
  readonly from: number;
  readonly until: number;
};

export type CompiledOverrides = { readonly table: SuffixTable; readonly items: readonly CompiledOverride[] };

/** What a search found, reused: the override's place or -1, and when the next one for this name and client begins, if one does. */
export type OverrideHit = { at: number; begins: number | null };

export function compileOverrides(overrides: readonly Override[], seed: Seed): CompiledOverrides {
  const items = overrides.map((o): CompiledOverride => ({
    id: o.id,
    groups: new Set(o.scope.groups),
    classes: new Set(o.scope.classes),
    users: new Set(o.scope.users),
    from: o.from,
    until: o.until,
  }));
  const table = createSuffixTable(
    seed,
    overrides.flatMap((o, value) => o.names.map((name) => ({ name, value }))),
  );
  return { table, items };
}

/**
 * Finds the override in force (`from` ≤ now < `until`) that ends last among those that cover the name and the client.
 * `chain` is the client's group and its parents: an override for a group also holds for the groups that extend it. Names
 * shorter than the suffix `least` are passed over; 0 takes all.
 */
export function findOverride(
  overrides: CompiledOverrides,
  hashes: NameHashes,
  client: Client,
  chain: readonly string[],
  now: number,
  hit: OverrideHit,
  least: number,
): void {
  const { table, items } = overrides;
  hit.at = -1;
  hit.begins = null;
  if (table.rows === 0) return;
  for (let suffix = hashes.count - 1; suffix >= least; suffix--) {
    const row = findRow(table, hashes, suffix);
    if (row < 0) continue;
    const end = table.rowStart[row + 1] as number;
    for (let i = table.rowStart[row] as number; i < end; i++) {
      const at = table.values[i] as number;
      const item = items[at] as CompiledOverride;
      if (now >= item.until || item.until <= item.from || !concerns(item, client, chain)) continue;
      if (now < item.from) hit.begins = hit.begins === null ? item.from : Math.min(hit.begins, item.from);
      else if (hit.at < 0 || item.until > (items[hit.at] as CompiledOverride).until) hit.at = at;
    }
  }
}

/** A scope names groups, classes or users, and any of them is enough; an empty scope concerns nobody. */
function concerns(item: CompiledOverride, client: Client, chain: readonly string[]): boolean {
  if (client.class !== null && item.classes.has(client.class)) return true;
  if (client.user !== null && item.users.has(client.user)) return true;
  for (let i = 0; i < chain.length; i++) if (item.groups.has(chain[i] as string)) return true;
  return false;
}
