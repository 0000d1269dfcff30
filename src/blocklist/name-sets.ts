// Which lists hold a name, as a number: every distinct set of (list, kind) pairs is kept once and shared.
// Millions of names need only a few thousand sets, so a name costs four bytes for them.

import type { EntryKind } from './types.ts';

/** More lists than this are refused: matches have room for them all, so that none is ever left out. */
export const MAX_LISTS = 4096;

const KINDS: readonly EntryKind[] = ['exact', 'suffix', 'except-exact', 'except-suffix'];
const MAX_SETS = 2 ** 26;

/** A list and what its entry covers as one number: list id * 4 + kind. */
export function memberOf(list: number, kind: EntryKind): number {
  return list * 4 + KINDS.indexOf(kind);
}

export type NameSets = {
  readonly count: number;
  /** the set with this one member */
  single(member: number): number;
  /** the set with the members of both; within a list, `suffix` takes in `exact` */
  union(a: number, b: number): number;
  /** members of a set, ascending */
  members(set: number): readonly number[];
};

/** Set 0 is the empty set. */
export function createNameSets(): NameSets {
  const sets: (readonly number[])[] = [[]];
  const ids = new Map<string, number>([['', 0]]);
  const unions = new Map<number, number>();

  function intern(members: readonly number[]): number {
    const key = members.join();
    const known = ids.get(key);
    if (known !== undefined) return known;
    if (sets.length >= MAX_SETS) throw new Error(`the lists overlap in more than ${MAX_SETS} different ways`);
    ids.set(key, sets.length);
    return sets.push(members) - 1;
  }

  return {
    get count() {
      return sets.length;
    },
    single: (member) => intern([member]),
    union(a, b) {
      if (a === b || b === 0) return a;
      if (a === 0) return b;
      const pair = a < b ? a * MAX_SETS + b : b * MAX_SETS + a;
      const known = unions.get(pair);
      if (known !== undefined) return known;
      const all = new Set([...(sets[a] as number[]), ...(sets[b] as number[])]);
      // an even kind (exact) says nothing more beside the odd one that follows it (suffix)
      const both = [...all].filter((m) => m % 2 === 1 || !all.has(m + 1)).sort((x, y) => x - y);
      const union = intern(both);
      unions.set(pair, union);
      return union;
    },
    members: (set) => sets[set] ?? [],
  };
}
