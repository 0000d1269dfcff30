// Thread entry: the forward proxy on the ports it is given. What it does with a request is the proxy room's; here it is wired.

import { openProxy } from '../proxy/server.ts';
import type { ProxyServer, ProxySettings } from '../proxy/types.ts';
import { createLookup } from '../resolver/lookup.ts';
import { createRoutes } from '../resolver/routing.ts';
import { runDataThread } from './data-thread.ts';
import type { DataSettings } from './messages.ts';
import { openExchange } from './open-exchange.ts';

/** How long what was under way under the old settings may go on after a reload changed them. */
const OLD_SETTINGS_MS = 10_000;

function toProxySettings(settings: DataSettings): ProxySettings {
  return {
    connectPorts: settings.connectPorts,
    allowPrivate: settings.allowPrivate,
    own: settings.own,
    school: settings.school.name,
    language: settings.school.language,
    publicUrl: settings.publicUrl,
  };
}

await runDataThread(async ({ start, engine, record, now }) => {
  const open = async (settings: DataSettings) => {
    const exchange = openExchange({ upstreams: settings.upstreams, now });
    // Inside names resolve as they do for DNS clients.
    const forward = Object.entries(settings.forward).map(
      ([name, upstreams]) => [name, openExchange({ upstreams, now })] as const,
    );
    const lookup = createLookup({ exchange, now, routes: createRoutes(Object.fromEntries(forward)) });
    const servers: ProxyServer[] = await Promise.all(
      start.listen.map(({ address, port }) =>
        openProxy({
          engine,
          lookup,
          record,
          now,
          settings: toProxySettings(settings),
          address,
          port,
          reusePort: true,
        }),
      ),
    );
    return {
      servers,
      close: async (graceMs: number) => {
        await Promise.all(servers.map((server) => server.close(graceMs)));
        exchange.close();
        for (const [, inside] of forward) inside.close();
      },
    };
  };

  let current = await open(start.inForce.settings);
  const closing = new Set<typeof current>();

  return {
    async updated(update) {
      if (update.kind === 'settings') {
        // The new one listens before the old one stops: the port is never unanswered.
        const old = current;
        current = await open(update.settings);
        closing.add(old);
        void old.close(OLD_SETTINGS_MS).finally(() => closing.delete(old));
      }
      for (const { servers } of [current, ...closing]) for (const server of servers) server.recheck(now());
    },
    stats() {
      const sum: Record<string, number> = {};
      for (const server of current.servers) {
        for (const [name, value] of Object.entries(server.stats())) sum[name] = (sum[name] ?? 0) + value;
      }
      return sum;
    },
    drain: (graceMs) => current.close(graceMs),
  };
});
