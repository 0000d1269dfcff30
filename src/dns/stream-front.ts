// The door of every stream server (TCP, DoT, DoH): accepts connections, learns from a trusted forwarder whom they are for,
// counts them by client, and ends those that rest too long. What is said on a connection is its server's business.

import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import { LONGEST_PROXY_HEADER, readProxyHeader } from './proxy-protocol.ts';
import type { DnsServer, DnsServerOptions } from './types.ts';

export type StreamOptions = DnsServerOptions & {
  readonly maxConnections?: number;
  readonly maxPerClient?: number;
  /** without a complete query for so long, a connection ends; a query that trickles in counts for nothing */
  readonly idleMs?: number;
  /** networks of forwarders: from them every connection begins with a PROXY header, from others none is taken */
  readonly proxyFrom?: readonly string[];
};

/** A connection's place at the door. */
export type Seat = {
  readonly client: string;
  /** a complete query came, or the connection came to its next stage, which may rest for so long */
  active(restMs: number): void;
  /** what ends the connection in its own way; when that has not happened a moment later, it is cut */
  leave: () => void;
};

/** Every stream server's counters, and by name those of its own. */
export type StreamCounts = Record<
  'accepted' | 'turnedAway' | 'badHeaders' | 'queries' | 'answers' | 'idle' | 'errors',
  number
>;

export function createStreamCounts(): StreamCounts {
  return { accepted: 0, turnedAway: 0, badHeaders: 0, queries: 0, answers: 0, idle: 0, errors: 0 };
}

type Place = { readonly socket: Socket; restsUntil: number; restMs: number; leaving: boolean; seat: Seat };

const HEADER_MS = 3000;
/** How often resting connections are looked for, and how long one may take to end in its own way. */
const SWEEP_MS = 1000;
/** When so much of the room is taken, those that rest must go sooner, by so much. */
const CROWDED = 0.75;
const HURRY = 5;
const MAPPED = '::ffff:';
const BACKLOG = 1024;

/**
 * Resolves when the port is open; rejects with the system's error when the address cannot be had. `serve` takes over each
 * connection, from which nothing was read beyond the header of a forwarder.
 */
export async function openStreamFront(
  options: StreamOptions & {
    /** for the log: `DNS over TCP` */
    readonly what: string;
    readonly idleMs: number;
    readonly halfOpen: boolean;
    readonly counts: Record<string, number> & StreamCounts;
    readonly serve: (socket: Socket, seat: Seat) => void;
  },
): Promise<DnsServer> {
  const { address, port, reusePort = false, what, counts, idleMs } = options;
  const { maxConnections = 8192, maxPerClient = 64 } = options;
  const forwarders = compileNetworks([...(options.proxyFrom ?? [])]);
  const hasForwarders = (options.proxyFrom ?? []).length > 0;
  const places = new Set<Place>();
  const perClient = new Map<string, number>();

  function enter(socket: Socket, client: string): boolean {
    const held = perClient.get(client) ?? 0;
    if (held >= maxPerClient) return false;
    perClient.set(client, held + 1);
    socket.once('close', () => {
      const left = (perClient.get(client) ?? 1) - 1;
      if (left > 0) perClient.set(client, left);
      else perClient.delete(client);
    });
    return true;
  }

  function turnAway(socket: Socket, count: 'turnedAway' | 'badHeaders'): void {
    counts[count]++;
    socket.destroy();
  }

  function seatFor(place: Place, client: string): Seat {
    return {
      client,
      active(restMs) {
        place.restMs = restMs;
        place.restsUntil = performance.now() + restMs;
      },
      leave: () => place.socket.destroy(),
    };
  }

  const server = createServer({ noDelay: true, allowHalfOpen: options.halfOpen }, (socket) => {
    const remote = socket.remoteAddress ?? '';
    const peer = remote.startsWith(MAPPED) ? remote.slice(MAPPED.length) : remote;
    socket.on('error', () => {
      counts.errors++;
      socket.destroy();
    });
    if (peer === '' || places.size >= maxConnections) return turnAway(socket, 'turnedAway');
    const forwarded = hasForwarders && matchesNetworks(peer, forwarders);
    if (!forwarded && !enter(socket, peer)) return turnAway(socket, 'turnedAway');
    counts.accepted++;
    const place = { socket, restMs: 0, restsUntil: 0, leaving: false } as Place;
    place.seat = seatFor(place, peer);
    place.seat.active(forwarded ? HEADER_MS : idleMs);
    places.add(place);
    socket.once('close', () => places.delete(place));
    if (!forwarded) return options.serve(socket, place.seat);
    takeHeader(socket, (found) => {
      if (found === null) return turnAway(socket, 'badHeaders');
      const client = found.address ?? peer;
      if (found.address !== null && !enter(socket, client)) return turnAway(socket, 'turnedAway');
      place.seat = seatFor(place, client);
      place.seat.active(idleMs);
      options.serve(socket, place.seat);
    });
  });

  const sweep = setInterval(
    () => {
      const now = performance.now();
      const crowded = places.size > maxConnections * CROWDED;
      for (const place of places) {
        const over = now - place.restsUntil;
        if (over < 0 && (!crowded || -over > place.restMs * (1 - 1 / HURRY))) continue;
        if (place.leaving) place.socket.destroy();
        else {
          counts.idle++;
          place.leaving = true;
          place.seat.leave();
        }
      }
    },
    Math.min(SWEEP_MS, idleMs / 4),
  );
  sweep.unref();

  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(
        { host: address, port, reusePort, ipv6Only: true, exclusive: true, backlog: BACKLOG },
        () => {
          server.off('error', reject);
          resolve();
        },
      );
    });
  } catch (error) {
    clearInterval(sweep);
    throw error;
  }
  server.on('error', (error) => {
    counts.errors++;
    options.log?.('warn', what, { address, err: error.message });
  });
  return {
    port: (server.address() as AddressInfo).port,
    stats: () => ({ ...counts, open: places.size }),
    close: () =>
      new Promise((resolve) => {
        clearInterval(sweep);
        server.close(() => resolve());
        for (const { socket } of places) socket.destroy();
      }),
  };
}

/** Reads a forwarder's header off a connection and puts back what follows it; `null` when it is none. */
function takeHeader(socket: Socket, then: (found: { readonly address: string | null } | null) => void): void {
  let held: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const header = readProxyHeader(held, held.length);
    if (header === 'more' && held.length < LONGEST_PROXY_HEADER) return;
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.pause();
    if (header === 'more' || header === 'bad') return then(null);
    if (held.length > header.size) socket.unshift(held.subarray(header.size));
    then(header);
  };
  const onEnd = (): void => then(null);
  socket.on('data', onData);
  socket.once('end', onEnd);
}
