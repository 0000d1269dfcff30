// `schoolgate audit`: who was blocked from what, when and by which rule; and whether the logs are whole.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, Refused, table, WrongUsage, withCommon, type CommonOptions } from './options.ts';
import { readSince } from './times.ts';

type EventRow = {
  at: string;
  channel: string;
  client: string;
  device: string | null;
  user: string | null;
  grp: string;
  class: string | null;
  host: string;
  qtype_or_method: string;
  category: string | null;
  action: string;
  reason: string;
  rule: string;
  count: number;
};
type Page = { items: EventRow[]; next: string | null };

const FILTERS = ['user', 'group', 'class', 'client', 'host', 'category', 'verdict', 'channel'] as const;
type Filters = Partial<Record<(typeof FILTERS)[number], string>>;

type Verified = { ok: boolean; logs: { log: string; ok: boolean; rows: number; detail: string }[] };

const MAX_ROWS = 100_000;

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('the audit log');
  const search = audit
    .command('search')
    .description('what was asked for and what the filter said, newest first')
    .option('--since <time>', 'how long back (1h, 7d) or from when', '24h')
    .option('--to <time>', 'up to when')
    .option('--limit <n>', 'at most so many rows', '100');
  for (const filter of FILTERS) search.option(`--${filter} <value>`);
  withCommon(search).action(
    async (options: CommonOptions & Filters & { since: string; to?: string; limit: string }) => {
      const most = Number(options.limit);
      if (!Number.isInteger(most) || most < 1 || most > MAX_ROWS) {
        throw new WrongUsage(`--limit "${options.limit}": write a whole number from 1 to ${MAX_ROWS}`);
      }
      const query: Record<string, string | undefined> = {
        from: readSince(options.since, '--since', Date.now()),
      };
      if (options.to !== undefined) query['to'] = readSince(options.to, '--to', Date.now());
      for (const filter of FILTERS) query[filter] = options[filter];
      await withApi(readCommon(options), async (api) => {
        const items: EventRow[] = [];
        let cursor: string | undefined;
        do {
          const limit = String(Math.min(most - items.length, 200));
          const page = await api.get<Page>('/events', { ...query, limit, cursor });
          items.push(...page.items);
          cursor = page.next ?? undefined;
        } while (cursor !== undefined && items.length < most);
        // The end of a tunnel is a row that counts nothing: of use to a program, not to a reader.
        const visits = items.filter((item) => item.count > 0);
        print(options, items, () => (visits.length === 0 ? 'nothing in this period' : describe(visits)));
      });
    },
  );
  withCommon(
    audit
      .command('verify')
      .description('whether the change log and the log of blocks are whole and unchanged'),
  ).action(async (options: CommonOptions) => {
    await withApi(readCommon(options), async (api) => {
      const result = await api.get<Verified>('/audit/verify');
      print(options, result, () =>
        result.logs
          .map((one) => `${one.log}: ${one.ok ? 'whole' : 'NOT WHOLE'}, ${one.rows} rows; ${one.detail}`)
          .join('\n'),
      );
      if (!result.ok)
        throw new Refused('a log is not whole; keep the files as they are and tell the coordinator');
    });
  });
}

function describe(items: EventRow[]): string {
  return table([
    ['TIME', 'WHO', 'GROUP', 'WHAT', 'ASKED FOR', 'VERDICT', 'RULE'],
    ...items.map((row) => [
      row.at,
      row.user ?? row.class ?? row.device ?? row.client,
      row.grp,
      `${row.channel} ${row.qtype_or_method}`,
      row.count > 1 ? `${row.host} (${row.count} times)` : row.host,
      `${row.action} (${[row.reason, row.category].filter(Boolean).join(', ')})`,
      row.rule,
    ]),
  ]);
}
