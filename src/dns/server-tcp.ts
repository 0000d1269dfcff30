// DNS over TCP on one address. The door is stream-front.ts, what is said on a connection is stream-connection.ts.

import { serveStream } from './stream-connection.ts';
import { createStreamCounts, openStreamFront } from './stream-front.ts';
import type { StreamOptions } from './stream-front.ts';
import type { DnsServer } from './types.ts';

const IDLE_MS = 10_000;

/** Resolves when the port is open; rejects with the system's error when the address cannot be had. */
export function openDnsTcp(options: StreamOptions): Promise<DnsServer> {
  const { handler, idleMs = IDLE_MS } = options;
  const counts = createStreamCounts();
  return openStreamFront({
    ...options,
    what: 'DNS over TCP',
    idleMs,
    halfOpen: true,
    counts,
    serve: (socket, seat) =>
      serveStream({ socket, seat, handler, transport: 'tcp', clientId: null, idleMs, counts }),
  });
}
