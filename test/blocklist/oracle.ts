// What the index should answer, said plainly: a Map from each name to its entries. Slow, large and easy to believe.

import type { EntryKind } from '../../src/blocklist/types.ts';

const KINDS: readonly EntryKind[] = ['exact', 'suffix', 'except-exact', 'except-suffix'];

export type Oracle = {
  /** distinct names with any entry */
  readonly names: ReadonlyMap<string, number | number[]>;
  add(list: number, name: string, kind: EntryKind): void;
  /** the lists that hold a name, each as `list` and the longest entry's number of labels less one, as `list:suffix` */
  matches(name: string): string[];
};

export function createOracle(): Oracle {
  const names = new Map<string, number | number[]>();
  return {
    names,
    add(list, name, kind) {
      const code = list * 4 + KINDS.indexOf(kind);
      const before = names.get(name);
      if (before === undefined) names.set(name, code);
      else if (typeof before === 'number') {
        if (before !== code) names.set(name, [before, code]);
      } else if (!before.includes(code)) before.push(code);
    },
    matches(name) {
      if (name === '') return [];
      const labels = name.split('.');
      const found = new Map<number, number>();
      const excepted = new Set<number>();
      for (let from = 0; from < labels.length; from++) {
        const entries = names.get(labels.slice(from).join('.')) ?? [];
        for (const code of typeof entries === 'number' ? [entries] : entries) {
          const list = Math.floor(code / 4);
          const kind = KINDS[code % 4] as EntryKind;
          if (from > 0 && (kind === 'exact' || kind === 'except-exact')) continue;
          if (kind.startsWith('except')) excepted.add(list);
          else if (!found.has(list)) found.set(list, labels.length - 1 - from);
        }
      }
      return [...found].filter(([list]) => !excepted.has(list)).map(([list, suffix]) => `${list}:${suffix}`);
    },
  };
}
