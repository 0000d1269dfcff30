// TLS on an accepted connection: one context for all, replaced without touching what is connected, and a handshake that must
// not take long. The certificate comes from outside; what is said inside TLS is not looked at.

import type { Socket } from 'node:net';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { Seat, StreamCounts } from './stream-front.ts';

/** What a server shows: PEM text, and 48 secret bytes that every thread shares, so that each can resume the others' sessions. */
export type Identity = {
  readonly cert: string;
  readonly key: string;
  readonly ticketKeys: Uint8Array;
  /** the name in the certificate; client ids are the labels below it */
  readonly host: string | null;
};

export type TlsDoor = {
  identity(): Identity;
  /** new connections get this one; those that are open stay. Throws when certificate and key do not fit. */
  renew(identity: Identity): void;
  /** begins the handshake */
  open(socket: Socket, seat: Seat): void;
};

export type TlsCounts = StreamCounts & { handshakes: number; resumed: number; failedHandshakes: number };

/** A handshake takes two exchanges; a phone on a bad link has time for some repeats. */
const HANDSHAKE_MS = 5000;

/** `onSecure` gets each connection when its handshake is done. */
export function createTlsDoor(deps: {
  readonly identity: Identity;
  readonly protocols: readonly string[];
  readonly counts: TlsCounts;
  readonly onSecure: (socket: TLSSocket, seat: Seat) => void;
}): TlsDoor {
  const { counts } = deps;
  let { identity } = deps;
  // By the two ends of the connection, which no other open one has at the same time.
  const seats = new Map<string, Seat>();
  // It listens nowhere: connections are handed to it.
  const server = process
    .getBuiltinModule('node:tls')
    .createServer({ ...contextOf(identity), ALPNProtocols: [...deps.protocols] });
  server.on('secureConnection', (secure) => {
    const seat = seats.get(endsOf(secure));
    if (seat === undefined) return void secure.destroy();
    counts.handshakes++;
    if (secure.isSessionReused()) counts.resumed++;
    secure.on('error', () => {
      counts.errors++;
      secure.destroy();
    });
    deps.onSecure(secure, seat);
  });
  server.on('tlsClientError', (_error, secure) => {
    counts.failedHandshakes++;
    secure.destroy();
  });
  return {
    identity: () => identity,
    renew(next) {
      server.setSecureContext(contextOf(next));
      identity = next;
    },
    open(socket, seat) {
      const ends = endsOf(socket);
      seats.set(ends, seat);
      socket.once('close', () => seats.delete(ends));
      seat.active(HANDSHAKE_MS);
      server.emit('connection', socket);
    },
  };
}

const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

function contextOf({ cert, key, ticketKeys }: Identity): SecureContextOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    honorCipherOrder: true,
    sessionIdContext: 'dns',
    ticketKeys: Buffer.from(ticketKeys),
    // A client that asks for new keys again and again would cost us more than it.
    secureOptions: process.getBuiltinModule('node:crypto').constants.SSL_OP_NO_RENEGOTIATION,
  };
}
