// DNS over UDP on one address by Node's own sockets, one call for each datagram: for machines on which batched calls
// (udp-batch.ts) do not work. Nothing in the handler knows which of the two it is.

import { createSocket } from 'node:dgram';
import type { SocketOptions } from 'node:dgram';
import { isIP } from 'node:net';
import type { DnsServer, DnsServerOptions } from './types.ts';
import { plainAddress } from './plain-address.ts';
import { DATAGRAM_ROOM } from './types.ts';

const BLOCK = 64 * 1024;
const SOCKET_BUFFER = 4 << 20;
/** Answers that wait in the process because the system's buffer is full; beyond them, they are dropped. */
const MAX_WAITING = 1024;
/** Errors told to the log; the rest are counted. */
const TOLD_ERRORS = 3;

/** Resolves when the socket is bound; rejects with the system's error when the address cannot be had. */
export async function openDnsUdpDgram(options: DnsServerOptions): Promise<DnsServer> {
  const { address, handler } = options;
  const type = isIP(address) === 6 ? 'udp6' : 'udp4';
  const family = type === 'udp6' ? 6 : 4;
  const socket = createSocket({
    type,
    reusePort: options.reusePort ?? false,
    ipv6Only: family === 6,
    recvBufferSize: SOCKET_BUFFER,
    sendBufferSize: SOCKET_BUFFER,
    // Answers go to addresses, never to names: asking the system about them would cost a turn of the event loop each.
    lookup: ((host: string, _family: unknown, done: (error: null, ip: string, family: number) => void) =>
      done(null, host, family)) as unknown as NonNullable<SocketOptions['lookup']>,
  });
  const counts = { received: 0, sent: 0, unanswerable: 0, cut: 0, dropped: 0, errors: 0 };
  let told = 0;
  let open = true;
  // Answers one behind another, each left alone once written, as the system may take it later; a new block when one is full.
  let block = Buffer.allocUnsafeSlow(BLOCK);
  let at = 0;

  socket.on('message', (packet, sender) => {
    counts.received++;
    // Anyone can write port 0 into a packet; nobody can be answered there, and `send` throws on it.
    if (sender.port === 0) {
      counts.unanswerable++;
      return;
    }
    // No query is that long.
    if (packet.length > DATAGRAM_ROOM) {
      counts.cut++;
      return;
    }
    const { port, address: host } = sender;
    const later = () => (answer: Uint8Array) => send(new Uint8Array(answer), port, host);
    if (at + DATAGRAM_ROOM > block.length) {
      block = Buffer.allocUnsafeSlow(BLOCK);
      at = 0;
    }
    const out = block.subarray(at, at + DATAGRAM_ROOM);
    try {
      const asker = handler.asker(plainAddress(host));
      const size = handler.handle(packet, packet.length, asker, 'udp', out, later);
      if (size > DATAGRAM_ROOM) counts.errors++;
      else if (size > 0) {
        at += size;
        send(out.subarray(0, size), port, host);
      }
    } catch (error) {
      fault(error as Error);
    }
  });
  function fault(error: Error): void {
    counts.errors++;
    if (++told <= TOLD_ERRORS) options.log?.('warn', 'DNS over UDP', { address, err: error.message });
  }
  function send(answer: Uint8Array, port: number, host: string): void {
    if (!open) return;
    if (answer.length > DATAGRAM_ROOM) {
      counts.errors++;
      return;
    }
    if (socket.getSendQueueCount() > MAX_WAITING) {
      counts.dropped++;
      return;
    }
    try {
      socket.send(answer, port, host);
      counts.sent++;
    } catch {
      counts.errors++;
    }
  }
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address, port: options.port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  socket.on('error', fault);
  return {
    port: socket.address().port,
    stats: () => ({ ...counts }),
    close: () =>
      new Promise((resolve) => {
        if (!open) return resolve();
        open = false;
        socket.close(() => resolve());
      }),
  };
}
