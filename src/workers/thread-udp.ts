// How a DNS thread reads and sends datagrams: batched on the sockets that main gave it, or by sockets of its own.

import type { DnsServer, DnsServerOptions } from '../dns/types.ts';
import { openDnsUdpBatch } from '../dns/udp-batch.ts';
import { openDnsUdpDgram } from '../dns/udp-dgram.ts';
import type { ExchangeDeps } from '../resolver/exchange.ts';
import { createBatchedPools } from '../resolver/udp-pool-batched.ts';
import { loadLibc } from '../udp/libc.ts';
import { createTurn } from '../udp/turn.ts';
import { keepDescriptors } from './descriptor-table.ts';
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
  const descriptors = keepDescriptors(sockets.table);
  return {
    openServer: async (n, options) => openDnsUdpBatch({ ...options, libc, turn, fd: sockets.fds[n]! }),
    createPool: createBatchedPools({ libc, turn, descriptors }),
  };
}
