// DNS over TCP on one address (RFC 7766): many queries on one connection, answered as they are ready, in any order. One
// client cannot take all connections, and a slow or idle one loses its own.

import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { DnsServer, DnsServerOptions } from './types.ts';
import { ANSWER_ROOM } from './types.ts';
import { MAX_QUERY } from './wire.ts';

export type DnsTcpOptions = DnsServerOptions & {
  readonly maxConnections?: number;
  readonly maxPerClient?: number;
  /** without a complete query for so long, a connection ends; a query that trickles in counts for nothing */
  readonly idleMs?: number;
};

/** Queries of one connection that wait for answers; further ones wait in the socket. */
const MAX_IN_FLIGHT = 64;
/** Bytes of answers that a client has not read; it is not asked for more queries until it has. */
const MAX_UNREAD = 256 * 1024;
const MAPPED = '::ffff:';

type Counts = {
  accepted: number;
  turnedAway: number;
  queries: number;
  answers: number;
  idle: number;
  errors: number;
};

/** Every answer that is there at once is written here first: it is copied into its frame before the next query is taken. */
const out = new Uint8Array(ANSWER_ROOM);

/** Resolves when the port is open; rejects with the system's error when the address cannot be had. */
export async function openDnsTcp(options: DnsTcpOptions): Promise<DnsServer> {
  const { address, maxConnections = 512, maxPerClient = 32, idleMs = 10_000 } = options;
  const sockets = new Set<Socket>();
  const perClient = new Map<string, number>();
  const counts: Counts = { accepted: 0, turnedAway: 0, queries: 0, answers: 0, idle: 0, errors: 0 };

  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const remote = socket.remoteAddress ?? '';
    const client = remote.startsWith(MAPPED) ? remote.slice(MAPPED.length) : remote;
    const held = perClient.get(client) ?? 0;
    if (client === '' || sockets.size >= maxConnections || held >= maxPerClient) {
      counts.turnedAway++;
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    counts.accepted++;
    sockets.add(socket);
    perClient.set(client, held + 1);
    socket.on('close', () => {
      sockets.delete(socket);
      const left = (perClient.get(client) ?? 1) - 1;
      if (left > 0) perClient.set(client, left);
      else perClient.delete(client);
    });
    serveConnection(socket, client, options.handler, idleMs, counts);
  });

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    const { port, reusePort = false } = options;
    server.listen({ host: address, port, reusePort, ipv6Only: true, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => {
    counts.errors++;
    options.log?.('warn', 'DNS over TCP', { address, err: error.message });
  });
  return {
    port: (server.address() as AddressInfo).port,
    stats: () => ({ ...counts, open: sockets.size }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function serveConnection(
  socket: Socket,
  client: string,
  handler: DnsServerOptions['handler'],
  idleMs: number,
  counts: Counts,
): void {
  let rest: Buffer = Buffer.alloc(0);
  let inFlight = 0;
  let ended = false;
  let reading = false;
  const idle = setTimeout(() => {
    counts.idle++;
    socket.destroy();
  }, idleMs);

  const isFull = (): boolean => inFlight >= MAX_IN_FLIGHT || socket.writableLength > MAX_UNREAD;

  function answer(bytes: Uint8Array): void {
    inFlight--;
    if (socket.destroyed) return;
    const frame = Buffer.allocUnsafe(bytes.length + 2);
    frame.writeUInt16BE(bytes.length, 0);
    frame.set(bytes, 2);
    socket.write(frame);
    counts.answers++;
    goOn();
  }

  /** Takes the complete queries out of `rest`, as far as the connection may have more of them under way. */
  function takeFrames(): void {
    let at = 0;
    while (!socket.destroyed && !isFull() && rest.length - at >= 2) {
      const size = rest.readUInt16BE(at);
      // Too long for any query, or nothing that deserves an answer: what follows cannot be trusted to be DNS.
      if (size > MAX_QUERY || size < 12) return void socket.destroy();
      if (rest.length - at - 2 < size) break;
      const packet = rest.subarray(at + 2, at + 2 + size);
      if (((packet[2] as number) & 0x80) !== 0) return void socket.destroy();
      at += size + 2;
      inFlight++;
      counts.queries++;
      idle.refresh();
      const length = handler.handle(packet, size, handler.asker(client), 'tcp', out, () => answer);
      if (length > 0) answer(out.subarray(0, length));
    }
    if (at > 0) rest = rest.subarray(at);
  }

  /** After anything that changed: reads on, holds back or ends. An answer given at once comes back in here, once. */
  function goOn(): void {
    if (reading) return;
    reading = true;
    takeFrames();
    reading = false;
    if (socket.destroyed) return;
    if (isFull()) socket.pause();
    else if (!ended) socket.resume();
    // Half-closed by the client, which still waits for its answers; half a query at the end will never be whole.
    else if (inFlight === 0) socket.end();
  }

  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    goOn();
  });
  socket.on('drain', goOn);
  socket.on('end', () => {
    ended = true;
    goOn();
  });
  socket.on('error', () => {
    counts.errors++;
    socket.destroy();
  });
  socket.on('close', () => clearTimeout(idle));
}
