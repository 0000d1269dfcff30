// Reads the configuration for the gateway: complete, or an error with every mistake in it.

import { createHash } from 'node:crypto';
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

/** @throws Error with every mistake of both files, one a line */
export function load(configFile: string, log: Logger): Loaded {
  const loaded = loadConfig(configFile);
  if (!loaded.ok)
    throw new Error(['the configuration has mistakes:', ...loaded.errors.map(formatError)].join('\n'));
  for (const warning of loaded.warnings) log.warn(formatError(warning));
  const policyDigest = createHash('sha256').update(JSON.stringify(loaded.policy)).digest('hex');
  return { config: loaded.config, policy: loaded.policy, policyDigest };
}
