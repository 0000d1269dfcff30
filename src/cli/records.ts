// `schoolgate records`: names of the school's own, answered by the gateway itself: see, add, remove.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, table, withCommon, WrongUsage, type CommonOptions } from './options.ts';

type Item = {
  id: string | null;
  name: string;
  type: string;
  value: string;
  ttl: number;
  origin: string;
  inForce: boolean;
  note?: string;
};

const describe = ({ name, type, value, ttl }: Item): string => `${name} ${ttl} ${type} ${value}`;

/** Seconds, as they are written behind `--ttl`. */
function readTtl(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,6}$/.test(text)) throw new WrongUsage('--ttl: write a whole number of seconds, such as 300');
  return Number(text);
}

/** The values of as many records: several addresses are one each, the words of other types belong together. */
const valuesOf = (type: string, words: readonly string[]): readonly string[] =>
  /^(?:a|aaaa)$/i.test(type) ? words : [words.join(' ')];

export function addRecords(program: Command): void {
  const records = program.command('records').description("local DNS records: the school's own names");
  withCommon(records.command('list').description('all of them, by name, with where each is from')).action(
    async (options: CommonOptions) => {
      await withApi(readCommon(options), async (api) => {
        const items: Item[] = [];
        let cursor: string | undefined;
        do {
          const page = await api.get<{ items: Item[]; next: string | null }>('/records', {
            limit: '500',
            cursor,
          });
          items.push(...page.items);
          cursor = page.next ?? undefined;
        } while (cursor !== undefined);
        print(options, items, () =>
          items.length === 0
            ? 'none'
            : table([
                ['NAME', 'TTL', 'TYPE', 'FROM', 'ID', 'VALUE'],
                ...items.map((item) => [
                  item.name,
                  String(item.ttl),
                  item.type,
                  item.inForce ? item.origin : `${item.origin}, hidden by a file`,
                  item.id ?? '',
                  item.value,
                ]),
              ]),
        );
      });
    },
  );
  withCommon(
    records
      .command('add <name> <type> <value...>')
      .description(
        'add: printer.inside.example A 10.0.0.9 (several addresses are a record each); inside.example MX 10 mail.inside.example',
      )
      .option('--ttl <seconds>', 'how long clients may keep it (60 when left out)')
      .requiredOption('--reason <text>', 'why; it is in the log'),
  ).action(
    async (
      name: string,
      type: string,
      value: string[],
      options: CommonOptions & { ttl?: string; reason: string },
    ) => {
      const ttl = readTtl(options.ttl);
      await withApi(readCommon(options), async (api) => {
        const added: Item[] = [];
        const tell = (): void =>
          print(options, added.length === 1 ? added[0] : added, () => {
            const where = api.running
              ? (added.at(-1)?.note ?? 'In force in every thread.')
              : 'In force when the gateway starts.';
            return [...added.map((one) => `${one.id}  ${describe(one)}`), where].join('\n');
          });
        try {
          for (const text of valuesOf(type, value))
            added.push(
              await api.post<Item>('/records', {
                name,
                type: type.toUpperCase(),
                value: text,
                ...(ttl !== undefined && { ttl }),
                reason: options.reason,
              }),
            );
        } catch (error) {
          // what was added before stays, and is told
          if (added.length > 0) tell();
          throw error;
        }
        tell();
      });
    },
  );
  withCommon(
    records
      .command('remove <id>')
      .description('remove one that was added; those of the files are removed there')
      .requiredOption('--reason <text>', 'why; it is in the log'),
  ).action(async (id: string, options: CommonOptions & { reason: string }) => {
    await withApi(readCommon(options), async (api) => {
      const gone = await api.delete<Item>(`/records/${encodeURIComponent(id)}`, { reason: options.reason });
      print(options, gone, () => [`removed: ${describe(gone)}`, gone.note].filter(Boolean).join('\n'));
    });
  });
}
