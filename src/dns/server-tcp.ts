// DNS over TCP on one address (RFC 7766): many queries on one connection, answered as they are ready; idle and slow
// connections end; one client cannot take all of them.

import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { DnsServer, DnsServerDeps } from './server-udp.ts';

const IDLE_MS = 10_000;
/** A query that has begun must be complete after so long. */
const FRAME_MS = 5_000;
const MAX_CONNECTIONS = 1_000;
const MAX_PER_CLIENT = 50;
/** Queries of one connection that wait for upstreams; further ones wait in the socket. */
const MAX_IN_FLIGHT = 100;
/** Answers that a client does not read. */
const MAX_UNREAD = 1 << 20;
const MAX_FRAME = 4_096;

export async function openDnsTcp(deps: DnsServerDeps): Promise<DnsServer> {
  const sockets = new Set<Socket>();
  const perClient = new Map<string, number>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const client = socket.remoteAddress;
    if (client === undefined) return socket.destroy();
    const own = (perClient.get(client) ?? 0) + 1;
    if (sockets.size >= MAX_CONNECTIONS || own > MAX_PER_CLIENT) return socket.destroy();
    sockets.add(socket);
    perClient.set(client, own);
    socket.once('close', () => {
      sockets.delete(socket);
      const left = (perClient.get(client) ?? 1) - 1;
      if (left === 0) perClient.delete(client);
      else perClient.set(client, left);
    });
    serve(socket, client);
  });

  function serve(socket: Socket, client: string): void {
    let rest: Buffer = Buffer.alloc(0);
    let inFlight = 0;
    let frameTimer: NodeJS.Timeout | undefined;
    let ended = false;
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => clearTimeout(frameTimer));

    const answer = (bytes: Uint8Array): void => {
      inFlight -= 1;
      if (socket.destroyed) return;
      const frame = Buffer.allocUnsafe(bytes.length + 2);
      frame.writeUInt16BE(bytes.length, 0);
      frame.set(bytes, 2);
      socket.write(frame);
      if (socket.writableLength > MAX_UNREAD) return void socket.destroy();
      if (ended && inFlight === 0) socket.end();
      else takeFrames();
    };

    const takeFrames = (): void => {
      let at = 0;
      while (rest.length - at >= 2 && inFlight < MAX_IN_FLIGHT) {
        const size = rest.readUInt16BE(at);
        if (size > MAX_FRAME) return void socket.destroy();
        if (rest.length - at - 2 < size) break;
        const packet = rest.subarray(at + 2, at + 2 + size);
        at += size + 2;
        inFlight += 1;
        let answered = false;
        deps.handler.handle(packet, size, client, 'tcp', (bytes) => {
          answered = true;
          queueMicrotask(() => answer(bytes));
        });
        // A packet that deserves no answer ends the connection: what follows it cannot be trusted to be DNS.
        if (!answered && isSilent(packet, size)) return void socket.destroy();
      }
      if (at > 0) rest = rest.subarray(at);
      if (inFlight >= MAX_IN_FLIGHT) socket.pause();
      else socket.resume();
      clearTimeout(frameTimer);
      if (rest.length > 0 && inFlight < MAX_IN_FLIGHT)
        frameTimer = setTimeout(() => socket.destroy(), FRAME_MS);
    };

    socket.on('data', (chunk) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      takeFrames();
    });
    // Half-closed by the client: it still waits for its answers.
    socket.on('end', () => {
      ended = true;
      if (inFlight === 0) socket.end();
    });
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: deps.address, port: deps.port, reusePort: deps.reusePort, ipv6Only: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) =>
    deps.log('warn', 'DNS over TCP', { address: deps.address, err: error.message }),
  );
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** What the handler passes over in silence: too short for a header, or itself an answer. */
function isSilent(packet: Buffer, size: number): boolean {
  return size < 12 || ((packet[2] as number) & 0x80) !== 0;
}
