// `schoolgate config check`: every mistake of the two files at once. `schoolgate docs write`: the files made from the
// schema and from the catalogue of metrics.

import type { Command } from 'commander';
import { formatError, loadConfig } from '../config/load.ts';
import { writeReference } from '../config/reference.ts';
import { writeMetricReference } from '../workers/metric-reference.ts';
import { print, readCommon, Refused, withCommon, type CommonOptions } from './options.ts';

export function addConfig(program: Command): void {
  const config = program.command('config').description('the configuration files');
  withCommon(config.command('check').description('read both files and name every mistake')).action(
    (options: CommonOptions) => {
      const { config: file } = readCommon(options);
      const loaded = loadConfig(file);
      const problems = loaded.ok ? loaded.warnings : loaded.errors;
      print(options, { ok: loaded.ok, problems }, () =>
        [
          ...problems.map((one) => `${loaded.ok ? 'warning: ' : ''}${formatError(one)}`),
          ...(loaded.ok ? [`${file}: no mistakes`] : []),
        ].join('\n'),
      );
      if (!loaded.ok) throw new Refused(`${problems.length} to correct; a running gateway keeps what it has`);
    },
  );
  const docs = program.command('docs').description('the files made from the code');
  docs
    .command('write')
    .description('write docs/reference.md, docs/metrics.md and the JSON Schemas')
    .action(() => {
      for (const file of [...writeReference(), writeMetricReference()]) process.stdout.write(`${file}\n`);
    });
}
