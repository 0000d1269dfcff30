// `schoolgate dns`: what concerns the DNS part of a running gateway: forgetting answers that it keeps.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, withCommon, type CommonOptions } from './options.ts';

export function addDns(program: Command): void {
  const dns = program.command('dns').description('the DNS part');
  withCommon(
    dns
      .command('purge [names...]')
      .description('forget the cached answers of these names and all below them, or of every name'),
  ).action(async (names: string[], options: CommonOptions) => {
    await withApi(readCommon(options), async (api) => {
      const purged = await api.post<{ names: string[] | null }>(
        '/dns/purge',
        names.length > 0 ? { names } : {},
      );
      print(options, purged, () => {
        if (!api.running) return 'No gateway is running, so no answers are kept.';
        return `Forgotten in every thread: ${purged.names === null ? 'all answers' : purged.names.join(' ')}.`;
      });
    });
  });
}
