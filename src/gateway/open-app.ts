// The web app over the rooms it shows: the same for a running gateway and for one command while none runs.

import type { Logger } from 'pino';
import type { GatewayConfig } from '../config/types.ts';
import type { ListInfo } from '../blocklist/types.ts';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import type { Engine } from '../policy/types.ts';
import type { WebApp, WebDeps } from '../web/deps.ts';
import type { Reader } from '../workers/reader.ts';
import type { Records } from './open-records.ts';

/** `live` is what differs between a running gateway and a single command. */
export function openApp(deps: {
  config: GatewayConfig;
  records: Records;
  engine: Engine;
  /** the lists in force */
  lists: () => readonly ListInfo[];
  reader: Reader;
  log: Logger;
  live: Pick<
    WebDeps,
    'applyOverrides' | 'applyRecords' | 'purgeDns' | 'health' | 'metrics' | 'figures' | 'principalOf'
  >;
}): Promise<WebApp> {
  const { config, records, engine, reader, log, live } = deps;
  const { school, web, metrics } = config;
  const metricsNetworks = compileNetworks(metrics.allow);
  return import('../web/app.ts').then(({ createApp }) =>
    createApp({
      ...records,
      ...live,
      explain(target, who, at) {
        const id = who.client?.startsWith('id:') ? who.client.slice(3) : null;
        const client =
          who.client === undefined ? engine.clientFor(who) : engine.client(id === null ? who.client : '', id);
        return client && engine.explain(target.host, client, at, target.channel);
      },
      events: { search: (filter) => reader.events(filter) },
      verify: async () => ({ changes: records.changeLog.verify(), blocks: await reader.verify() }),
      lists: {
        all: deps.lists,
        lookup: (name) => engine.lists(name),
      },
      now: Date.now,
      log,
      settings: {
        ownHosts: web.public.host === null ? [] : [web.public.host],
        school: school.name,
        language: school.language,
        metricsAllowed: (address) => matchesNetworks(address, metricsNetworks),
      },
    }),
  );
}
