// How a DNS thread reads and sends datagrams: batched on the sockets that main gave it, or by sockets of its own.

import type { DnsServer, DnsServerOptions } from '../dns/types.ts';
import { openDnsUdpBatch } from '../dns/udp-batch.ts';
import { openDnsUdpDgram } from '../dns/udp-dgram.ts';
import type { ExchangeDeps } from '../resolver/exchange.ts';
import { createBatchedPools } from '../resolver/udp-pool-batched.ts';
import { loadLibc } from '../udp/libc.ts';
import { createTurn } from '../udp/turn.ts';
import type { ThreadSockets } from './messages.ts';

export type ThreadUdp = {
  /** a server on the thread's `n`-th endpoint */
  openServer(n: number, options: Omit<DnsServerOptions, 'reusePort'>): Promise<DnsServer>;
  /** makes the pools towards upstreams; undefined for the plain ones */
  readonly createPool: ExchangeDeps['createPool'];
};

/** @throws Error when main has given sockets and this thread cannot use them */
export async function openThreadUdp(sockets: ThreadSockets | null): Promise<ThreadUdp> {
  if (sockets === null) {
    return {
      openServer: (_n, options) => openDnsUdpDgram({ ...options, reusePort: true }),
      createPool: undefined,
    };
  }
  const libc = await loadLibc();
  const turn = createTurn();
  const servers: DnsServer[] = [];
  // A thread that ends in whatever way it can still notice takes nothing more out of the sockets: it is its successor's.
  process.on('exit', () => {
    for (const server of servers) void server.close();
  });
  return {
    async openServer(n, options) {
      const server = openDnsUdpBatch({ ...options, libc, turn, fd: sockets.fds[n]! });
      servers.push(server);
      return server;
    },
    createPool: createBatchedPools({ libc, turn }),
  };
}
