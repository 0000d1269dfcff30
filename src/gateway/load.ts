// Reads the configuration for the gateway: complete, or an error with every mistake in it.

import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { Logger } from 'pino';
import { formatError, loadConfig } from '../config/load.ts';
import type { GatewayConfig } from '../config/types.ts';
import type { PolicyModel } from '../policy/types.ts';

export type GatewayOptions = { readonly configFile: string; readonly dataDir: string };

export type Loaded = {
  readonly config: GatewayConfig;
  readonly policy: PolicyModel;
  readonly policyDigest: string;
};

/** Makes the data directory for its owner alone, and every file that comes into it from now on. */
export function prepareDataDir(dataDir: string): void {
  process.umask(0o077);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
}

/** @throws Error with every mistake of both files, one a line */
export function load(configFile: string, log: Logger): Loaded {
  const loaded = loadConfig(configFile);
  if (!loaded.ok)
    throw new Error(['the configuration has mistakes:', ...loaded.errors.map(formatError)].join('\n'));
  for (const warning of loaded.warnings) log.warn(formatError(warning));
  const policyDigest = createHash('sha256').update(JSON.stringify(loaded.policy)).digest('hex');
  return { config: loaded.config, policy: loaded.policy, policyDigest };
}
