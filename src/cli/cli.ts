// The command line: which commands there are, and how a failure looks. Each command has a file of its own.

import { Command, CommanderError } from 'commander';
import { addAccounts } from './accounts.ts';
import { addAudit } from './audit.ts';
import { addConfig } from './config.ts';
import { addDns } from './dns.ts';
import { addExplain } from './explain.ts';
import { addLists } from './lists.ts';
import { Refused, WrongUsage } from './options.ts';
import { addOverrides } from './overrides.ts';
import { addRecords } from './records.ts';
import { addServe } from './serve.ts';
import { addStatus } from './status.ts';
import { addUpstreams } from './upstreams.ts';

/** Runs one command; sets the exit code: 0 done, 1 refused or failed with one clear line on stderr, 2 wrong usage. */
export async function runCli(argv: readonly string[]): Promise<void> {
  const program = new Command('schoolgate')
    .description(
      "A school's internet gateway: DNS and web proxy that filter by category and by who is asking.",
    )
    .exitOverride();
  for (const add of [
    addServe,
    addStatus,
    addExplain,
    addLists,
    addOverrides,
    addRecords,
    addDns,
    addUpstreams,
    addAccounts,
    addAudit,
    addConfig,
  ])
    add(program);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.exitCode = error instanceof WrongUsage ? 2 : 1;
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`schoolgate: ${message}\n`);
    if (!(error instanceof Refused || error instanceof WrongUsage) && process.env['SCHOOLGATE_DEBUG'])
      process.stderr.write(`${(error as Error).stack}\n`);
  }
}
