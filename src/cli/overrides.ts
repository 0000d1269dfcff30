// `schoolgate overrides`: open names for a group, class or user until a time, see what is open, end it.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, table, withCommon, type CommonOptions } from './options.ts';
import { readUntil } from './times.ts';

type Override = {
  id: string;
  state: string;
  names: string[];
  scope: { groups: string[]; classes: string[]; users: string[] };
  until: string;
  reason: string;
  decidedBy: string;
  note?: string;
};

const collect = (value: string, before: string[] = []): string[] => [...before, value];

function describe(override: Override): string {
  return `${override.id}  ${override.state}: ${override.names.join(' ')} for ${whom(override)} until ${override.until} (${override.reason})`;
}

function whom({ scope }: Override): string {
  return [...scope.groups, ...scope.classes, ...scope.users].join(' ');
}

export function addOverrides(program: Command): void {
  const overrides = program.command('overrides').description('time-limited unblocks');
  withCommon(
    overrides
      .command('grant <names...>')
      .description('open names, and what is below them, for a time')
      .option('--group <name>', 'for this group (may be repeated)', collect)
      .option('--class <name>', 'for this class (may be repeated)', collect)
      .option('--user <name>', 'for this user (may be repeated)', collect)
      .requiredOption('--until <time>', 'how long (45m, 2h, 3d) or until when (2026-11-22T15:00:00Z)')
      .requiredOption('--reason <text>', 'why; it is in the log'),
  ).action(
    async (
      names: string[],
      options: CommonOptions & {
        group?: string[];
        class?: string[];
        user?: string[];
        until: string;
        reason: string;
      },
    ) => {
      const until = readUntil(options.until, '--until', Date.now());
      const scope = { groups: options.group, classes: options.class, users: options.user };
      await withApi(readCommon(options), async (api) => {
        const made = await api.post<Override>('/overrides', { names, scope, until, reason: options.reason });
        print(options, made, () => {
          const where = api.running
            ? (made.note ?? 'In force in every thread.')
            : 'It will be in force when the gateway starts.';
          return `${describe(made)}\n${where}`;
        });
      });
    },
  );
  withCommon(
    overrides
      .command('list')
      .description('what is open, newest first')
      .option('--state <state>', 'scheduled, in-force or ended', 'in-force')
      .option('--all', 'whatever its state'),
  ).action(async (options: CommonOptions & { state: string; all?: boolean }) => {
    await withApi(readCommon(options), async (api) => {
      const items: Override[] = [];
      let cursor: string | undefined;
      do {
        const page = await api.get<{ items: Override[]; next: string | null }>('/overrides', {
          state: options.all ? undefined : options.state,
          limit: '200',
          cursor,
        });
        items.push(...page.items);
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      print(options, items, () =>
        items.length === 0
          ? 'none'
          : table([
              ['ID', 'STATE', 'UNTIL', 'FOR', 'BY', 'NAMES AND REASON'],
              ...items.map((o) => [
                o.id,
                o.state,
                o.until,
                whom(o),
                o.decidedBy,
                `${o.names.join(' ')} (${o.reason})`,
              ]),
            ]),
      );
    });
  });
  withCommon(
    overrides
      .command('revoke <id>')
      .description('end one now')
      .requiredOption('--reason <text>', 'why; it is in the log'),
  ).action(async (id: string, options: CommonOptions & { reason: string }) => {
    await withApi(readCommon(options), async (api) => {
      const ended = await api.post<Override>(`/overrides/${encodeURIComponent(id)}/revoke`, {
        reason: options.reason,
      });
      print(options, ended, () => [describe(ended), ended.note].filter(Boolean).join('\n'));
    });
  });
}
