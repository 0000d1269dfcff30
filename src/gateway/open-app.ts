// The web app over the rooms it shows: the same for a running gateway and for one command while none runs.

import type { Logger } from 'pino';
import type { GatewayConfig } from '../config/types.ts';
import type { ListInfo } from '../blocklist/types.ts';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import type { Engine } from '../policy/types.ts';
import type { WebApp, WebDeps } from '../web/deps.ts';
import type { Reader } from '../workers/reader.ts';
import { isIP } from 'node:net';
import type { Client } from '../policy/types.ts';
import type { ExplainWho } from '../web/deps.ts';
import { createDnsSide } from './explain-dns.ts';
import type { DnsInForce } from './explain-dns.ts';
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
  dnsInForce: () => DnsInForce;
  live: Pick<
    WebDeps,
    'applyOverrides' | 'applyRecords' | 'purgeDns' | 'health' | 'metrics' | 'figures' | 'principalOf'
  >;
}): Promise<WebApp> {
  const { config, records, engine, reader, log, live } = deps;
  const { school, web, metrics } = config;
  const dnsSide = createDnsSide({ seed: engine.seed, inForce: deps.dnsInForce });
  const metricsNetworks = compileNetworks(metrics.allow);
  return import('../web/app.ts').then(({ createApp }) =>
    createApp({
      ...records,
      ...live,
      explain(target, who, at) {
        const client = clientOf(engine, who);
        if (client === null) return null;
        const { verdict, trace } = engine.explain(target.host, client, at, target.channel);
        return { ...dnsSide(target.host, verdict, client.address === '' ? null : client.address), trace };
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

/** Whom `explain` is about; null when the policy has nobody like that. A device goes by its name in the policy, too. */
function clientOf(engine: Engine, who: ExplainWho): Client | null {
  const { client } = who;
  if (client === undefined) return engine.clientFor(who);
  const at = (match: string): Client =>
    match.startsWith('id:') ? engine.client('', match.slice(3)) : engine.client(match.replace(/\/.*$/, ''));
  if (isIP(client) !== 0 || client.startsWith('id:')) return at(client);
  const entry = engine.model()?.clients.find(({ name }) => name === client);
  // the first address of a network may belong to a narrower entry
  return entry?.match.map(at).find(({ device }) => device === client) ?? null;
}
