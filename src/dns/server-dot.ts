// DNS over TLS on one address (RFC 7858): the framing of TCP inside TLS, with answers padded and the client's id in the name it
// asks the server for.

import { clientIdOfServerName } from './client-id.ts';
import { serveStream } from './stream-connection.ts';
import { createStreamCounts, openStreamFront } from './stream-front.ts';
import type { StreamOptions } from './stream-front.ts';
import { createTlsDoor } from './tls-door.ts';
import type { Identity } from './tls-door.ts';
import type { DnsServer } from './types.ts';

/** Longer than by TCP, for a handshake is dear. */
const IDLE_MS = 30_000;
/** Each takes some 50 KB while it rests, most of it in the TLS library. */
const MAX_CONNECTIONS = 6144;

/** A server whose certificate can be replaced while it runs. */
export type SecureDnsServer = DnsServer & { renew(identity: Identity): void };

/** Resolves when the port is open; rejects with the system's error when the address cannot be had. */
export async function openDnsDot(
  options: StreamOptions & { readonly identity: Identity },
): Promise<SecureDnsServer> {
  const { handler, idleMs = IDLE_MS } = options;
  const counts = { ...createStreamCounts(), handshakes: 0, resumed: 0, failedHandshakes: 0 };
  const door = createTlsDoor({
    identity: options.identity,
    protocols: ['dot'],
    counts,
    onSecure(socket, seat) {
      seat.active(idleMs);
      seat.leave = () => socket.end();
      const name = typeof socket.servername === 'string' ? socket.servername : null;
      const clientId = clientIdOfServerName(name, door.identity().host);
      serveStream({ socket, seat, handler, transport: 'dot', clientId, idleMs, counts });
    },
  });
  const front = await openStreamFront({
    maxConnections: MAX_CONNECTIONS,
    ...options,
    what: 'DNS over TLS',
    idleMs,
    halfOpen: true,
    counts,
    serve: (socket, seat) => door.open(socket, seat),
  });
  return { ...front, renew: (identity) => door.renew(identity) };
}
