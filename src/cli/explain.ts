// `schoolgate explain`: the verdict on an address for somebody, and the numbered steps that led to it.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, WrongUsage, withCommon, type CommonOptions } from './options.ts';
import { readUntil } from './times.ts';

type Who = { group?: string; class?: string; user?: string; client?: string; at?: string };
type Explained = {
  host: string;
  at: string;
  verdict: {
    action: string;
    reason: string;
    category: string | null;
    list: string | null;
    rule: string;
    group: string;
    until: string | null;
  };
  dns: string[];
  trace: { step: number; title: string; outcome: 'passed' | 'decided'; detail: string }[];
};

export function addExplain(program: Command): void {
  withCommon(
    program
      .command('explain <url>')
      .description('what the filter says of an address to a group, class, user or client, and why')
      .option('--group <name>', 'as a member of this group')
      .option('--class <name>', 'as this class')
      .option('--user <name>', 'as this user')
      .option(
        '--client <address or name>',
        'as the device with this address or name, or with id: and its client id',
      )
      .option('--at <time>', 'at this time instead of now (2026-11-22T12:15:00Z, or 2h from now)'),
  ).action(async (url: string, options: CommonOptions & Who) => {
    const { group, class: className, user, client } = options;
    if (![group, className, user, client].some((name) => name !== undefined)) {
      throw new WrongUsage('say for whom: --group ks1, --class hedgehogs, --user NAME or --client 10.2.0.7');
    }
    const at = options.at === undefined ? undefined : readUntil(options.at, '--at', Date.now());
    await withApi(readCommon(options), async (api) => {
      const answer = await api.get<Explained>('/explain', { url, group, class: className, user, client, at });
      print(options, answer, () => describe(answer));
    });
  });
}

function describe({ host, verdict, dns, trace }: Explained): string {
  const where = [
    verdict.category && `category ${verdict.category}`,
    verdict.list && `list ${verdict.list}`,
  ].filter(Boolean);
  const lines = [
    `${host} for ${verdict.group}: ${verdict.action.toUpperCase()} (${verdict.reason})${where.length > 0 ? `, ${where.join(', ')}` : ''}`,
    `rule: ${verdict.rule}`,
  ];
  if (verdict.until !== null) lines.push(`may change by itself at ${verdict.until}`);
  for (const line of dns) lines.push(`dns: ${line}`);
  for (const { step, title, outcome, detail } of trace) {
    lines.push(`${outcome === 'decided' ? '>' : ' '}${String(step).padStart(3)}. ${title}: ${detail}`);
  }
  return lines.join('\n');
}
