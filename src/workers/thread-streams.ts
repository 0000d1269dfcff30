// The stream servers of a DNS thread: TCP on the addresses of UDP, DoT and DoH where they are asked for, all on ports shared
// with the other threads. What they answer is the handler's.

import { createDiscovery } from '../dns/discovery.ts';
import type { Discovery } from '../dns/discovery.ts';
import { openDnsDoh } from '../dns/server-doh.ts';
import { openDnsDot } from '../dns/server-dot.ts';
import { openDnsTcp } from '../dns/server-tcp.ts';
import type { DnsServer, DnsServerOptions } from '../dns/types.ts';
import { parseAddress } from '../policy/networks.ts';
import type { DataSettings, DataThreadStart, Endpoint, StreamStart } from './messages.ts';

export type ThreadStreams = {
  readonly servers: Readonly<Record<'tcp' | 'dot' | 'doh', readonly DnsServer[]>>;
  /** new connections are shown this certificate */
  renew(tls: DataSettings['tls']): void;
};

/** What clients are told of DoT and DoH: nothing without a name that they can check the certificate by. */
export function discoveryOf({ dot, doh }: StreamStart, { tls, page }: DataSettings): Discovery | null {
  if (tls === null || tls.host === null) return null;
  const offered = [...dot, ...doh].map(({ address }) => address);
  const addresses = [
    ...new Set([...offered.filter((one) => one !== '0.0.0.0' && one !== '::'), page.v4, page.v6]),
  ];
  const bytes = (family: 4 | 6) =>
    addresses.flatMap((text) => {
      const address = text === null ? null : parseAddress(text);
      if (address?.family !== family) return [];
      return [Uint8Array.from(address.words.flatMap((word) => [word >>> 24, word >>> 16, word >>> 8, word]))];
    });
  return createDiscovery({
    host: tls.host,
    dot: dot[0]?.port ?? null,
    doh: doh[0]?.port ?? null,
    v4: bytes(4),
    v6: bytes(6),
  });
}

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
