// `schoolgate status`: whether the gateway runs and is well. Exit code 1 when it is not, for scripts and health checks.

import type { Command } from 'commander';
import { controlSocket, gatewayAnswers, withApi } from './api.ts';
import { print, readCommon, Refused, table, withCommon, type CommonOptions } from './options.ts';

type Health = { status: 'ok' | 'degraded'; checks: Record<string, { ok: boolean; detail: string }> };

export function addStatus(program: Command): void {
  withCommon(
    program.command('status').alias('health').description('whether the gateway runs and is well'),
  ).action(async (options: CommonOptions) => {
    const common = readCommon(options);
    if (!(await gatewayAnswers(controlSocket(common.data))))
      throw new Refused(`no gateway runs with ${common.data}`);
    await withApi(common, async (api) => {
      const health = await api.get<Health>('/health');
      print(options, health, () =>
        [
          health.status,
          table(
            Object.entries(health.checks).map(([name, check]) => [
              check.ok ? 'ok' : 'NOT OK',
              name,
              check.detail,
            ]),
          ),
        ].join('\n'),
      );
      if (health.status !== 'ok') throw new Refused('the gateway is not well');
    });
  });
}
