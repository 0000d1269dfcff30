// Listens, keeps count of connections and sweeps them for what has waited too long. What happens on one is handle.ts.

import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createAsks } from './asks.ts';
import { serveConnection } from './handle.ts';
import { createLive } from './live.ts';
import { createOriginPool } from './origin-pool.ts';
import { createReach } from './reach.ts';
import type { Connection, Counts, Shared } from './shared.ts';
import type { ProxyDeps, ProxyServer, ProxyTimeouts } from './types.ts';

const DEFAULT_TIMEOUTS: ProxyTimeouts = {
  head: 15_000,
  idle: 60_000,
  body: 60_000,
  connect: 10_000,
  response: 120_000,
  tunnel: 600_000,
  halfClosed: 60_000,
  spare: 4_000,
};

const SWEEP_MS = 1_000;
const MAX_CONNECTIONS = 8_192;
/** far more than any browser opens, and room for a device that speaks for several */
const MAX_PER_CLIENT = 512;

/**
 * Opens the proxy on one address; port 0 takes any free one. Rejects with the system's error when it cannot listen,
 * and with an Error that names the entry when `allowPrivate` cannot be read.
 */
export async function openProxy(
  deps: ProxyDeps & { address: string; port: number; reusePort?: boolean },
): Promise<ProxyServer> {
  const { settings } = deps;
  const timeouts = { ...DEFAULT_TIMEOUTS, ...settings.timeouts };
  const sweepMs = Math.min(SWEEP_MS, ...Object.values(timeouts).map((ms) => Math.max(10, ms / 4)));
  const connections = new Set<Connection>();
  const counts: Counts = {
    requests: 0,
    forwarded: 0,
    tunnels: 0,
    openTunnels: 0,
    blocked: 0,
    failed: 0,
    malformed: 0,
    endedByChange: 0,
    timedOut: 0,
    crowded: 0,
  };
  let clock = 0;
  let closing: Promise<void> | null = null;
  let onLastGone = () => {};

  const pool = createOriginPool({ spareMs: timeouts.spare });
  const live = createLive(deps);
  const shared: Shared = {
    ...createSettled(deps),
    pool,
    live,
    timeouts,
    counts,
    clock: () => clock,
    closing: () => closing !== null,
  };

  // one entry for each client with a connection open, so never more than there are connections
  const perClient = new Map<string, number>();
  const maxPerClient = settings.maxPerClient ?? MAX_PER_CLIENT;
  const accept = (socket: Socket) => {
    const client = socket.remoteAddress ?? '';
    const held = perClient.get(client) ?? 0;
    if (held >= maxPerClient) {
      counts.crowded++;
      socket.on('error', () => {}).resetAndDestroy();
      return;
    }
    perClient.set(client, held + 1);
    const connection = serveConnection(shared, socket, () => {
      connections.delete(connection);
      const left = perClient.get(client)! - 1;
      if (left > 0) perClient.set(client, left);
      else perClient.delete(client);
      if (connections.size === 0) onLastGone();
    });
    connections.add(connection);
  };
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 },
    accept,
  );
  server.maxConnections = settings.maxConnections ?? MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      { host: deps.address, port: deps.port, backlog: 1024, reusePort: deps.reusePort ?? false },
      resolve,
    );
  });
  server.removeAllListeners('error');
  server.on('error', () => {}); // accept() failing for want of descriptors must not end the thread

  const sweeper = setInterval(() => {
    clock += sweepMs;
    for (const connection of connections) connection.sweep(clock);
    pool.sweep(clock);
  }, sweepMs);
  sweeper.unref();

  const shut = async (graceMs: number): Promise<void> => {
    const unbound = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const connection of connections) connection.retire();
    if (connections.size > 0) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(() => {
          for (const connection of connections) connection.destroy();
        }, graceMs);
        onLastGone = () => {
          clearTimeout(limit);
          resolve();
        };
      });
    }
    clearInterval(sweeper);
    live.stop();
    pool.close();
    await unbound;
  };

  return {
    port: (server.address() as AddressInfo).port,
    configure: (next, lookup) =>
      void Object.assign(shared, createSettled({ ...deps, settings: next, lookup })),
    recheck: (now) => live.recheck(now),
    stats: () => ({ ...counts, connections: connections.size, open: live.count, spareOrigins: pool.spare }),
    close(graceMs) {
      closing ??= Promise.resolve().then(() => shut(graceMs));
      return closing;
    },
  };
}

/** What depends on the settings. */
function createSettled(deps: ProxyDeps): Pick<Shared, 'asks' | 'reach' | 'via'> {
  return {
    asks: createAsks(deps),
    reach: createReach(deps),
    via: deps.settings.own.host ?? 'schoolgate',
  };
}
