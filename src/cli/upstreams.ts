// `schoolgate upstreams check`: asks each configured upstream one question and says what came of it. Exit code 1 when one failed.

import type { Command } from 'commander';
import { print, readCommon, Refused, table, withCommon, type CommonOptions } from './options.ts';

export function addUpstreams(program: Command): void {
  const upstreams = program.command('upstreams').description('whom the gateway asks');
  withCommon(
    upstreams
      .command('check')
      .description('ask each configured upstream one question, with or without a running gateway'),
  ).action(async (options: CommonOptions) => {
    const { config } = readCommon(options);
    const { checkUpstreams } = await import('../gateway/check-upstreams.ts');
    const checks = await checkUpstreams({ configFile: config });
    const failed = checks.filter(({ ok }) => !ok).length;
    print(options, { ok: failed === 0, upstreams: checks }, () =>
      table([
        ['UPSTREAM', 'KIND', 'FOR', 'TOOK', 'RESULT'],
        ...checks.map(({ upstream, kind, domain, ms, reason }) => [
          upstream,
          kind,
          domain === '.' ? 'all' : domain,
          `${ms.toFixed(ms < 10 ? 1 : 0)} ms`,
          reason === null ? 'ok' : `FAILED: ${reason}`,
        ]),
      ]),
    );
    if (failed > 0)
      throw new Refused(`${failed} of ${checks.length} upstream${checks.length === 1 ? '' : 's'} failed`);
  });
}
