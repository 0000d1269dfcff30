// `schoolgate lists`: which blocklists are in force, and which of them hold a name.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, table, withCommon, type CommonOptions } from './options.ts';

type Found = { name: string; lists: { list: string; category: string; sealed: boolean; entry: string }[] };
type Lists = { items: { name: string; category: string; sealed: boolean; entries: number }[] };

export function addLists(program: Command): void {
  const lists = program.command('lists').description('the blocklists');
  withCommon(lists.command('test <name>').description('which lists and categories hold a name')).action(
    async (name: string, options: CommonOptions) => {
      await withApi(readCommon(options), async (api) => {
        const found = await api.get<Found>('/blocklists/lookup', { name });
        print(options, found, () => {
          if (found.lists.length === 0) return `${found.name}: no list holds it`;
          const rows = found.lists.map((hit) => [
            hit.category,
            hit.list,
            hit.sealed ? 'sealed' : '',
            `by ${hit.entry}`,
          ]);
          return `${found.name}:\n${table(rows)}`;
        });
      });
    },
  );
  withCommon(lists.command('show').description('the lists in force')).action(
    async (options: CommonOptions) => {
      await withApi(readCommon(options), async (api) => {
        const answer = await api.get<Lists>('/blocklists');
        print(options, answer, () =>
          table([
            ['CATEGORY', 'LIST', 'NAMES', ''],
            ...answer.items.map((item) => [
              item.category,
              item.name,
              String(item.entries),
              item.sealed ? 'sealed' : '',
            ]),
          ]),
        );
      });
    },
  );
}
