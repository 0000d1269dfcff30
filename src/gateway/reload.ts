// Takes edited files into a running gateway: policy, lists and the settings of the data threads, each only when it changed.
// A mistake in either file changes nothing.

import type { Logger } from 'pino';
import type { GatewayConfig } from '../config/types.ts';
import type { Engine } from '../policy/types.ts';
import type { AuditWriter } from '../workers/audit-writer.ts';
import type { Collector } from '../workers/collect-garbage.ts';
import { toDataSettings, type Listening } from '../workers/data-settings.ts';
import type { ListKeeper } from '../workers/list-keeper.ts';
import type { Pool } from '../workers/pool.ts';
import { load, type Loaded } from './load.ts';
import { localAuthor, type Records } from './open-records.ts';
import type { CertificateWatch } from './watch-certificate.ts';

/** What is settled at start: the log says so when one of them was edited. */
const AT_START = ['listen', 'workers', 'audit', 'web', 'metrics', 'school'] as const;

const differ = (a: unknown, b: unknown): boolean => JSON.stringify(a) !== JSON.stringify(b);

export type Reload = {
  /** never rejects: what went wrong is logged, and what was in force stays */
  reload(): Promise<void>;
  /** why the last one was refused, or null */
  problem(): string | null;
  /** keys that were edited and are taken up by a restart only */
  needRestart(): readonly string[];
};

export function createReload(deps: {
  readonly configFile: string;
  readonly first: Loaded;
  readonly log: Logger;
  readonly listening: Listening;
  readonly engine: Engine;
  readonly records: Records;
  readonly pool: Pool;
  readonly writer: AuditWriter;
  readonly lists: ListKeeper;
  readonly collector: Collector;
  readonly certificate: CertificateWatch;
}): Reload {
  const { log, engine, records, pool, lists } = deps;
  let loaded = deps.first;
  let problem: string | null = null;
  let edited: readonly string[] = [];

  const editedAtStart = (next: GatewayConfig): string[] => {
    const { config } = deps.first;
    const keys: string[] = AT_START.filter((key) => differ(next[key], config[key]));
    return next.dns.udp === config.dns.udp ? keys : [...keys, 'dns.udp'];
  };

  async function takePolicy({ policy: model, policyDigest: digest, config }: Loaded): Promise<void> {
    const { generation } = records.revisions.takeFile(
      { model, digest, file: config.policyFile },
      localAuthor(),
    );
    engine.setPolicy(model, generation);
    await pool.apply({ kind: 'policy', policy: { model, generation } });
  }

  const reload = async (): Promise<void> => {
    let next: Loaded;
    try {
      next = load(deps.configFile, log);
      const settings = toDataSettings(next.config, deps.listening);
      if (next.policyDigest !== loaded.policyDigest) await takePolicy(next);
      if (differ(settings, pool.inForce().settings)) await pool.apply({ kind: 'settings', settings });
      records.localRecords.takeFiles(next.config.dns.local.records);
      const local = {
        records: records.localRecords.current(),
        authoritative: next.config.dns.local.authoritative,
      };
      if (differ(local, pool.inForce().records)) await pool.apply({ kind: 'records', records: local });
    } catch (error) {
      log.error((error as Error).message);
      log.error('not reloaded: the configuration in force stays');
      problem = 'the edited files were refused and those before are in force: run config check';
      return;
    }
    edited = editedAtStart(next.config);
    for (const key of edited) log.warn(`gateway.yaml ${key}: a change here needs a restart`);
    loaded = next;
    problem = null;
    deps.collector.soon();
    deps.certificate.look();
    deps.writer.pump();
    const good = await lists.refresh(next.config.lists);
    const { policy: policyGeneration, index: indexGeneration } = engine.generations;
    log.info({ policyGeneration, indexGeneration, lists: good ? 'in force' : 'kept' }, 'reloaded');
  };

  return { reload, problem: () => problem, needRestart: () => edited };
}
