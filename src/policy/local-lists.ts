// The policy's own allow and deny lists, of every group and of the school, in one table: one pass over a query's name
// finds the rule that decides for a group.

import type { NameHashes, Seed } from '../blocklist/types.ts';
import { FAR, type Group } from './groups.ts';
import { createSuffixTable, findRow, type SuffixTable } from './suffix-table.ts';
import type { PolicyModel } from './types.ts';

type LocalRule = {
  readonly name: string;
  readonly deny: boolean;
  /** group index, or the number of groups for the school */
  readonly scope: number;
  readonly scopeName: string;
};

export type LocalLists = { readonly table: SuffixTable; readonly rules: readonly LocalRule[] };

export function compileLocalLists(
  model: PolicyModel,
  groups: ReadonlyMap<string, Group>,
  seed: Seed,
): LocalLists {
  const rules: LocalRule[] = [];
  const add = (names: readonly string[], deny: boolean, scope: number, scopeName: string): void => {
    for (const name of names) rules.push({ name, deny, scope, scopeName });
  };
  for (const [name, group] of groups) {
    const { allow = [], deny = [] } = model.groups[name] ?? {};
    add(allow, false, group.index, name);
    add(deny, true, group.index, name);
  }
  add(model.allow, false, groups.size, 'school');
  add(model.deny, true, groups.size, 'school');
  const table = createSuffixTable(
    seed,
    rules.map(({ name }, value) => ({ name, value })),
  );
  return { table, rules };
}

/**
 * The rule that decides for the group, or -1: the nearest scope first (own group, each parent, the school), within a
 * scope the longest name, on a tie the deny. Names shorter than the suffix `least` are passed over; 0 takes all.
 */
export function findLocalRule(lists: LocalLists, hashes: NameHashes, group: Group, least: number): number {
  const { table, rules } = lists;
  if (table.rows === 0) return -1;
  let best = -1;
  let bestNear = FAR;
  let bestSuffix = -1;
  for (let suffix = hashes.count - 1; suffix >= least; suffix--) {
    const row = findRow(table, hashes, suffix);
    if (row < 0) continue;
    const end = table.rowStart[row + 1] as number;
    for (let i = table.rowStart[row] as number; i < end; i++) {
      const at = table.values[i] as number;
      const rule = rules[at] as LocalRule;
      const near = group.nearness[rule.scope] as number;
      // suffixes come longest first, so within a scope only a deny of the same name can still win
      if (near < bestNear || (near === bestNear && suffix === bestSuffix && rule.deny)) {
        best = at;
        bestNear = near;
        bestSuffix = suffix;
      }
    }
  }
  return best;
}
