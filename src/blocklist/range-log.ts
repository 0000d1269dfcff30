// Holds the address ranges of all lists while an index is built: appended in any order, given back sorted and disjoint,
// each with the set of lists that hold it. One log for each address family.

import { memberOf } from './name-sets.ts';
import type { NameSets } from './name-sets.ts';

/** Sorted by address, no two overlap; `first` and `last` have `words` words a range, `set` one. */
export type DisjointRanges = {
  readonly count: number;
  readonly first: Uint32Array;
  readonly last: Uint32Array;
  readonly set: Uint32Array;
};

export type RangeLog = {
  /** both ends belong to the range */
  append(list: number, first: readonly number[], last: readonly number[]): void;
  /** sorts, cuts and merges all but what abandoned lists brought; tells `entry` of each list's distinct ranges */
  settle(sets: NameSets, abandoned: ReadonlySet<number>, entry: (list: number) => void): DisjointRanges;
};

/** `words` is the number of 32-bit words in an address: 1 for IPv4, 4 for IPv6. */
export function createRangeLog(words: 1 | 4): RangeLog {
  const width = words * 2 + 1;
  let rows = new Uint32Array(0);
  let count = 0;

  /** -1, 0 or 1 for two addresses in `rows`, given by where they begin */
  function compare(a: number, b: number): number {
    for (let i = 0; i < words; i++) {
      const x = rows[a + i] as number;
      const y = rows[b + i] as number;
      if (x !== y) return x < y ? -1 : 1;
    }
    return 0;
  }
  const listOf = (row: number): number => rows[row * width + words * 2] as number;

  return {
    append(list, first, last) {
      const at = count * width;
      if (at + width > rows.length) {
        const grown = new Uint32Array(Math.max(256 * width, rows.length * 2));
        grown.set(rows);
        rows = grown;
      }
      rows.set(first, at);
      rows.set(last, at + words);
      rows[at + words * 2] = list;
      count++;
    },

    settle(sets, abandoned, entry) {
      const kept: number[] | Uint32Array = Uint32Array.from({ length: count }, (_, row) => row).filter(
        (row) => !abandoned.has(listOf(row)),
      );
      const byFirst = Uint32Array.from(kept).sort(
        (a, b) =>
          compare(a * width, b * width) ||
          compare(a * width + words, b * width + words) ||
          listOf(a) - listOf(b),
      );
      byFirst.forEach((row, at) => {
        const before = byFirst[at - 1];
        const same =
          before !== undefined &&
          compare(before * width, row * width) === 0 &&
          compare(before * width + words, row * width + words) === 0 &&
          listOf(before) === listOf(row);
        if (!same) entry(listOf(row));
      });
      const byLast = Uint32Array.from(kept).sort((a, b) => compare(a * width + words, b * width + words));
      const out = sweep(byFirst, byLast, sets);
      rows = new Uint32Array(0);
      count = 0;
      return out;
    },
  };

  /** Walks the beginnings and the ends in order and writes a range whenever the lists that hold it change. */
  function sweep(byFirst: Uint32Array, byLast: Uint32Array, sets: NameSets): DisjointRanges {
    const most = byFirst.length * 2;
    const first = new Uint32Array(most * words);
    const last = new Uint32Array(most * words);
    const set = new Uint32Array(most);
    let written = 0;
    const open = new Map<number, number>();
    let current = 0;
    // where the range to be written next begins
    const from = new Uint32Array(words);
    const to = new Uint32Array(words);

    const recount = (): void => {
      current = 0;
      for (const list of open.keys()) current = sets.union(current, sets.single(memberOf(list, 'exact')));
    };
    const step = (address: Uint32Array, by: 1 | -1): void => {
      for (let i = words - 1; i >= 0; i--) {
        address[i]! += by;
        // a carry or a borrow goes on to the next word
        if (address[i] !== (by === 1 ? 0 : 0xffffffff)) return;
      }
    };
    const isBefore = (a: Uint32Array, aAt: number, b: Uint32Array, bAt: number): boolean => {
      for (let i = 0; i < words; i++) {
        const x = a[aAt + i] as number;
        const y = b[bAt + i] as number;
        if (x !== y) return x < y;
      }
      return false;
    };
    const write = (): void => {
      if (current === 0 || isBefore(to, 0, from, 0)) return;
      if (written > 0 && set[written - 1] === current) {
        const next = last.slice((written - 1) * words, written * words);
        step(next, 1);
        if (next.every((word, i) => word === from[i])) {
          last.set(to, (written - 1) * words);
          return;
        }
      }
      first.set(from, written * words);
      last.set(to, written * words);
      set[written++] = current;
    };

    let starting = 0;
    let ending = 0;
    while (ending < byLast.length) {
      const end = (byLast[ending] as number) * width + words;
      const start = starting < byFirst.length ? (byFirst[starting] as number) * width : -1;
      if (start >= 0 && !isBefore(rows, end, rows, start)) {
        const begins = rows.subarray(start, start + words);
        if (isBefore(from, 0, begins, 0)) {
          to.set(begins);
          step(to, -1);
          write();
        }
        from.set(begins);
        while (starting < byFirst.length && compare((byFirst[starting] as number) * width, start) === 0) {
          const list = listOf(byFirst[starting++] as number);
          open.set(list, (open.get(list) ?? 0) + 1);
        }
      } else {
        to.set(rows.subarray(end, end + words));
        write();
        from.set(to);
        step(from, 1);
        while (ending < byLast.length && compare((byLast[ending] as number) * width + words, end) === 0) {
          const list = listOf(byLast[ending++] as number);
          const more = (open.get(list) as number) - 1;
          if (more > 0) open.set(list, more);
          else open.delete(list);
        }
      }
      recount();
    }
    return {
      count: written,
      first: first.slice(0, written * words),
      last: last.slice(0, written * words),
      set: set.slice(0, written),
    };
  }
}
