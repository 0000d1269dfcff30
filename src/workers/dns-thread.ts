// Thread entry: answers DNS over UDP, TCP, TLS and HTTPS on the ports it is given. The answers are the dns room's; here they are wired.

import { createCounts } from '../dns/counts.ts';
import { createDnsHandler } from '../dns/handle.ts';
import type { DnsHandler, DnsServer, DnsSettings } from '../dns/types.ts';
import { runDataThread } from './data-thread.ts';
import type { DataSettings } from './messages.ts';
import { openExchange } from './open-exchange.ts';
import { discoveryOf, openThreadStreams } from './thread-streams.ts';
import { withOwnNames } from './own-names.ts';
import { openThreadUdp } from './thread-udp.ts';
import { ALL_DOMAINS, reportUpstreams, sumUpstreams } from './upstream-reports.ts';
import type { NamedExchange } from './upstream-reports.ts';

/** The counters of all servers in one; the mean size of a batch is made anew. */
function totals(servers: readonly DnsServer[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const server of servers)
    for (const [name, value] of Object.entries(server.stats())) sum[name] = (sum[name] ?? 0) + value;
  const { received = 0, batches } = sum;
  if (batches !== undefined) sum['perBatch'] = Math.round((received / Math.max(1, batches)) * 100) / 100;
  return sum;
}

await runDataThread(async ({ start, engine, note, now, log }) => {
  const udp = await openThreadUdp(start.sockets);
  let exchanges: NamedExchange[] = [];
  const counts = createCounts();
  let local = start.inForce.records;

  const createHandler = (settings: DataSettings): DnsHandler => {
    const open = (domain: string, upstreams: DataSettings['upstreams']) => {
      const exchange = openExchange({ upstreams, settings, now, createPool: udp.createPool });
      exchanges.push({ domain, exchange });
      return exchange;
    };
    const exchange = open(ALL_DOMAINS, settings.upstreams);
    const dnsSettings: DnsSettings = {
      block: settings.block,
      page: settings.page,
      serve: settings.serve,
      rateLimit: settings.rateLimit,
      allowPrivate: settings.allowPrivate,
      local: withOwnNames(local, settings.ownNames),
      discovery: discoveryOf(start.streams, settings),
      cache: settings.cache,
      tunnel: settings.tunnel,
      forward: Object.fromEntries(
        Object.entries(settings.forward).map(([name, to]) => [name, open(name, to)]),
      ),
    };
    return createDnsHandler({ engine, exchange, note, now, log, settings: dnsSettings, counts });
  };

  let handler = createHandler(start.inForce.settings);
  // The servers outlive a reload of the settings; the handler behind them is replaced.
  const current: Pick<DnsHandler, 'handle' | 'asker' | 'asker4'> = {
    asker: (address, clientId) => handler.asker(address, clientId),
    asker4: (address) => handler.asker4(address),
    handle: (packet, length, asker, transport, out, later) =>
      handler.handle(packet, length, asker, transport, out, later),
  };
  const datagrams = await Promise.all(
    start.listen.map((endpoint, n) => udp.openServer(n, { ...endpoint, handler: current, log })),
  );
  const streams = await openThreadStreams(start, { handler: current, log });
  const servers = Object.values(streams.servers).flat();

  const { tls: shown, ...first } = start.inForce.settings;
  let settings = JSON.stringify([first, shown?.host]);
  let names = first.ownNames;

  return {
    async updated(update) {
      if (update.kind === 'purge') handler.purge(update.names ?? undefined);
      if (update.kind === 'records') {
        local = update.records;
        handler.setLocal(withOwnNames(local, names));
      }
      if (update.kind !== 'settings') return;
      const { tls, ...others } = update.settings;
      names = others.ownNames;
      streams.renew(tls);
      // A new certificate is no reason to forget what is cached.
      const before = settings;
      settings = JSON.stringify([others, tls?.host]);
      if (settings === before) return;
      const old = exchanges;
      exchanges = [];
      handler = createHandler(update.settings);
      for (const { exchange } of old) exchange.close();
    },
    report() {
      const stats = { ...handler.stats(), ...sumUpstreams(exchanges) };
      const udpTotals = totals(datagrams);
      for (const [name, value] of Object.entries(udpTotals)) stats[`udp_${name}`] = value;
      const { received = 0, unanswerable = 0, cut = 0 } = udpTotals;
      stats['queries_udp'] = received - unanswerable - cut;
      for (const [kind, of] of Object.entries(streams.servers)) {
        if (of.length === 0) continue;
        for (const [name, value] of Object.entries(totals(of)))
          stats[name === 'queries' ? `queries_${kind}` : `${kind}_${name}`] = value;
      }
      return { stats, upstreams: reportUpstreams(exchanges), limited: handler.takeLimited() };
    },
    async drain() {
      await Promise.all([...datagrams, ...servers].map((server) => server.close()));
      for (const { exchange } of exchanges) exchange.close();
    },
  };
});
