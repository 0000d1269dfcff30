// Thread entry: the forward proxy on the ports it is given. What it does with a request is the proxy room's; here it is wired.

import { openProxy } from '../proxy/server.ts';
import type { ProxyServer, ProxySettings } from '../proxy/types.ts';
import { createLookup } from '../resolver/lookup.ts';
import { createRoutes } from '../resolver/routing.ts';
import { runDataThread } from './data-thread.ts';
import type { DataSettings } from './messages.ts';
import { openExchange } from './open-exchange.ts';

function toProxySettings(settings: DataSettings): ProxySettings {
  return {
    connectPorts: settings.connectPorts,
    allowPrivate: settings.allowPrivate,
    forwarded: Object.keys(settings.forward),
    own: settings.own,
    school: settings.school.name,
    language: settings.school.language,
    publicUrl: settings.publicUrl,
  };
}

await runDataThread(async ({ start, engine, record, now }) => {
  const openResolver = (settings: DataSettings) => {
    const exchange = openExchange({ upstreams: settings.upstreams, now });
    // Inside names resolve as they do for DNS clients.
    const forward = Object.entries(settings.forward).map(
      ([name, upstreams]) => [name, openExchange({ upstreams, now })] as const,
    );
    return {
      lookup: createLookup({ exchange, now, routes: createRoutes(Object.fromEntries(forward)) }),
      /** queries in flight get their answers first */
      close: () => {
        exchange.close();
        for (const [, inside] of forward) inside.close();
      },
    };
  };

  let resolver = openResolver(start.inForce.settings);
  const settings = toProxySettings(start.inForce.settings);
  const servers: ProxyServer[] = await Promise.all(
    start.listen.map(({ address, port }) =>
      openProxy({
        engine,
        lookup: resolver.lookup,
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
      for (const server of servers) server.configure(toProxySettings(next), opened.lookup);
    } catch (error) {
      opened.close();
      throw error;
    }
    resolver.close();
    resolver = opened;
  };

  return {
    async updated(update) {
      if (update.kind === 'settings') takeUp(update.settings);
      for (const server of servers) server.recheck(now());
    },
    stats() {
      const sum: Record<string, number> = {};
      for (const server of servers) {
        for (const [name, value] of Object.entries(server.stats())) sum[name] = (sum[name] ?? 0) + value;
      }
      return sum;
    },
    async drain(graceMs) {
      await Promise.all(servers.map((server) => server.close(graceMs)));
      resolver.close();
    },
  };
});
