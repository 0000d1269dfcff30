// Thread entry: the forward proxy on the ports it is given. What it does with a request is the proxy room's; here it is wired.

import { createLocalLookup } from '../dns/local-lookup.ts';
import { compileLocalRecords } from '../dns/local-records.ts';
import { openProxy } from '../proxy/server.ts';
import type { ProxyServer, ProxySettings } from '../proxy/types.ts';
import { createLookup } from '../resolver/lookup.ts';
import type { LocalData } from '../resolver/local-record.ts';
import { createRoutes } from '../resolver/routing.ts';
import { runDataThread } from './data-thread.ts';
import type { DataSettings } from './messages.ts';
import { openExchange } from './open-exchange.ts';
import { withOwnNames } from './own-names.ts';
import { ALL_DOMAINS, reportUpstreams, sumUpstreams } from './upstream-reports.ts';
import type { NamedExchange } from './upstream-reports.ts';

function toProxySettings(settings: DataSettings, local: LocalData): ProxySettings {
  return {
    connectPorts: settings.connectPorts,
    allowPrivate: settings.allowPrivate,
    forwarded: [
      ...Object.keys(settings.forward),
      ...local.authoritative,
      ...local.records.map(({ name }) => name.replace(/^\*\./, '')),
    ],
    own: settings.own,
    school: settings.school.name,
    language: settings.school.language,
    publicUrl: settings.publicUrl,
  };
}

await runDataThread(async ({ start, engine, record, now }) => {
  const { seed } = start.inForce;
  const openLocal = (data: LocalData, settings: DataSettings) => {
    const forward = Object.keys(settings.forward);
    const source = { ...withOwnNames(data, settings.ownNames), forward };
    return createLocalLookup({ records: compileLocalRecords(source, seed), seed, forward });
  };
  let inForce = start.inForce;
  let local = openLocal(inForce.records, inForce.settings);
  const openResolver = (settings: DataSettings) => {
    const exchange = openExchange({ upstreams: settings.upstreams, settings, now });
    // Inside names resolve as they do for DNS clients.
    const forward = Object.entries(settings.forward).map(
      ([name, upstreams]) => [name, openExchange({ upstreams, settings, now })] as const,
    );
    const exchanges: NamedExchange[] = [
      { domain: ALL_DOMAINS, exchange },
      ...forward.map(([domain, inside]) => ({ domain, exchange: inside })),
    ];
    return {
      exchanges,
      lookup: createLookup({
        exchange,
        now,
        routes: createRoutes(Object.fromEntries(forward)),
        local: (name) => local(name),
      }),
      /** queries in flight get their answers first */
      close: () => {
        for (const one of exchanges) one.exchange.close();
      },
    };
  };

  let resolver = openResolver(inForce.settings);
  const settings = toProxySettings(inForce.settings, inForce.records);
  const servers: ProxyServer[] = await Promise.all(
    start.listen.map(({ address, port }) =>
      openProxy({
        engine,
        lookup: resolver.lookup,
        isLocal: (name) => (local(name)?.addresses.length ?? 0) > 0,
        record,
        now,
        settings,
        address,
        port,
        reusePort: true,
      }),
    ),
  );

  /** The ports stay open and nothing is cut off: the next request is served by the new settings. */
  const takeUp = (next: DataSettings): void => {
    const opened = openResolver(next);
    try {
      for (const server of servers) server.configure(toProxySettings(next, inForce.records), opened.lookup);
    } catch (error) {
      opened.close();
      throw error;
    }
    resolver.close();
    resolver = opened;
    inForce = { ...inForce, settings: next };
    local = openLocal(inForce.records, next);
  };

  const takeRecords = (records: LocalData): void => {
    local = openLocal(records, inForce.settings);
    inForce = { ...inForce, records };
    const next = toProxySettings(inForce.settings, records);
    for (const server of servers) server.configure(next, resolver.lookup);
  };

  return {
    async updated(update) {
      if (update.kind === 'settings') takeUp(update.settings);
      if (update.kind === 'records') takeRecords(update.records);
      if (update.kind === 'purge') resolver.lookup.clear();
      for (const server of servers) server.recheck(now());
    },
    report() {
      const { exchanges } = resolver;
      const stats = sumUpstreams(exchanges);
      for (const server of servers) {
        for (const [name, value] of Object.entries(server.stats())) stats[name] = (stats[name] ?? 0) + value;
      }
      return { stats, upstreams: reportUpstreams(exchanges), limited: [] };
    },
    async drain(graceMs) {
      await Promise.all(servers.map((server) => server.close(graceMs)));
      resolver.close();
    },
  };
});
