// What every command shares: where the configuration and the data are, how output and failure look.

import type { Command } from 'commander';
import { fileURLToPath } from 'node:url';
import { resolve } from 'node:path';

export type CommonOptions = { config: string; data: string; json?: boolean };

const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** A command that failed for a reason its user can act on: one line on stderr, exit code 1. */
export class Refused extends Error {}

/** A command that was not written as it must be: one line on stderr, exit code 2. */
export class WrongUsage extends Error {}

/**
 * Adds `--config` and `--data`, whose defaults an installation sets once in SCHOOLGATE_CONFIG and SCHOOLGATE_DATA, and
 * `--json` for a command that prints data.
 */
export function withCommon(command: Command, prints: 'data' | 'text' = 'data'): Command {
  command
    .option(
      '--config <file>',
      'the machine configuration',
      process.env['SCHOOLGATE_CONFIG'] ?? root('config/gateway.yaml'),
    )
    .option(
      '--data <dir>',
      'where the gateway keeps its state',
      process.env['SCHOOLGATE_DATA'] ?? root('data'),
    );
  return prints === 'data' ? command.option('--json', 'print JSON') : command;
}

export function readCommon(options: CommonOptions): CommonOptions {
  return { ...options, config: resolve(options.config), data: resolve(options.data) };
}

/** Prints `data` as JSON with `--json`, else as `asText` words it. */
export function print(options: { json?: boolean }, data: unknown, asText: () => string): void {
  process.stdout.write((options.json ? JSON.stringify(data, null, 2) : asText()) + '\n');
}

/** Columns padded to the widest cell; the last one is left as it is. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
