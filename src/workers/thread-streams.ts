// The stream servers of a DNS thread: TCP on the addresses of UDP, DoT and DoH where they are asked for, all on ports shared
// with the other threads. What they answer is the handler's.

import { openDnsDoh } from '../dns/server-doh.ts';
import { openDnsDot } from '../dns/server-dot.ts';
import { openDnsTcp } from '../dns/server-tcp.ts';
import type { DnsServer, DnsServerOptions } from '../dns/types.ts';
import type { DataSettings, DataThreadStart, Endpoint } from './messages.ts';

export type ThreadStreams = {
  readonly servers: Readonly<Record<'tcp' | 'dot' | 'doh', readonly DnsServer[]>>;
  /** new connections are shown this certificate */
  renew(tls: DataSettings['tls']): void;
};

export async function openThreadStreams(
  { listen, streams, inForce }: DataThreadStart,
  common: Pick<DnsServerOptions, 'handler' | 'log'>,
): Promise<ThreadStreams> {
  const { dot, doh, proxyProtocol, ticketKeys } = streams;
  const { tls } = inForce.settings;
  const at = (endpoint: Endpoint, on: 'dns-tcp' | 'dot' | 'doh') => ({
    ...common,
    ...endpoint,
    reusePort: true,
    proxyFrom: proxyProtocol.on.includes(on) ? proxyProtocol.from : [],
  });
  const plain = await Promise.all(listen.map((endpoint) => openDnsTcp(at(endpoint, 'dns-tcp'))));
  if (tls === null) return { servers: { tcp: plain, dot: [], doh: [] }, renew() {} };
  const identity = { ...tls, ticketKeys };
  const tlsServers = await Promise.all(
    dot.map((endpoint) => openDnsDot({ ...at(endpoint, 'dot'), identity })),
  );
  const httpsServers = await Promise.all(
    doh.map((endpoint) => openDnsDoh({ ...at(endpoint, 'doh'), identity })),
  );
  return {
    servers: { tcp: plain, dot: tlsServers, doh: httpsServers },
    renew(next) {
      if (next === null) return;
      for (const server of [...tlsServers, ...httpsServers]) server.renew({ ...next, ticketKeys });
    },
  };
}
