// The gateway's API without threads or sockets, for one command while no gateway runs.

import { join } from 'node:path';
import { pino } from 'pino';
import { createEngine } from '../policy/engine.ts';
import { takeDataLock } from '../state/data-lock.ts';
import { createListKeeper } from '../workers/list-keeper.ts';
import { createReader } from '../workers/reader.ts';
import { load, prepareDataDir, type GatewayOptions } from './load.ts';
import { openApp } from './open-app.ts';
import { localAuthor, openRecords } from './open-records.ts';

/** @throws Error when the files cannot be used or a gateway holds them */
export async function openOffline({ configFile, dataDir }: GatewayOptions) {
  const log = pino({ level: 'fatal' });
  const loaded = load(configFile, log);
  prepareDataDir(dataDir);
  const lock = takeDataLock(dataDir);
  if (lock === null)
    throw new Error(
      `a gateway holds ${dataDir} but does not answer on its control socket: it is starting or stopping`,
    );
  const lists = createListKeeper({
    log,
    snapshotFile: join(dataDir, 'index.snapshot'),
    now: Date.now,
    onIndex: async (index, generation) => engine.setIndex(index, generation),
  });
  const engine = createEngine({ seed: lists.seed });
  const { config } = loaded;
  const records = openRecords({ dataDir, config, engine, log, webUrl: () => '' });
  const held = lists.index();
  if (held !== null) engine.setIndex(held.index, held.generation);
  await lists.refresh(config.lists);
  const { generation } = records.revisions.takeFile(
    { model: loaded.policy, digest: loaded.policyDigest, file: config.policyFile },
    localAuthor(),
  );
  engine.setPolicy(loaded.policy, generation);
  engine.setOverrides(records.overrides.current(), 1);
  const reader = createReader({ file: join(dataDir, 'audit.db') });
  const { forward, serve, local } = config.dns;
  const inForce = {
    records: { records: records.localRecords.current(), authoritative: local.authoritative },
    ownNames: [],
    forward,
    serve,
  };
  const app = await openApp({
    config,
    records,
    engine,
    lists: () => lists.index()?.index.lists ?? [],
    reader,
    log,
    dnsInForce: () => inForce,
    live: {
      applyOverrides: async () => {},
      applyRecords: async () => {},
      purgeDns: async () => {},
      health: () => ({ gateway: { ok: false, detail: 'not running' } }),
      metrics: async () => '',
      figures: () => null,
      principalOf: localAuthor,
    },
  });
  return {
    async send(method: 'GET' | 'POST' | 'DELETE', url: string, body?: unknown) {
      const answer = await app.inject({
        method,
        url,
        ...(body !== undefined && { payload: body as object }),
      });
      return { status: answer.statusCode, body: answer.body === '' ? null : (answer.json() as unknown) };
    },
    async close() {
      await app.close();
      await reader.close();
      records.state.close();
      lock.release();
    },
  };
}
