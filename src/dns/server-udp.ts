// DNS over UDP on one address by `dgram`. The seam towards the handler is one function, so that another way to read the
// socket can take this one's place.

import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import type { DnsHandler } from './handle.ts';

export type DnsServer = { readonly port: number; close(): Promise<void> };

export type DnsServerDeps = {
  readonly address: string;
  /** 0 for any free one */
  readonly port: number;
  readonly handler: Pick<DnsHandler, 'handle'>;
  /** several threads share the port (SO_REUSEPORT) */
  readonly reusePort: boolean;
  readonly log: (level: 'warn' | 'error', msg: string, fields: Record<string, unknown>) => void;
};

const RECEIVE_BUFFER = 4 << 20;

/** @throws the system's error when the address cannot be had */
export async function openDnsUdp(deps: DnsServerDeps): Promise<DnsServer> {
  const type = isIP(deps.address) === 6 ? 'udp6' : 'udp4';
  const socket = createSocket({
    type,
    reusePort: deps.reusePort,
    ipv6Only: true,
    recvBufferSize: RECEIVE_BUFFER,
    sendBufferSize: RECEIVE_BUFFER,
  });
  let closed = false;
  socket.on('message', (packet, { address, port }) => {
    // `send` throws on port 0, which anyone can write into a packet; nobody can be answered there.
    if (port === 0) return;
    deps.handler.handle(packet, packet.length, address, 'udp', (answer) => {
      if (!closed) socket.send(answer, port, address, ignoreError);
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ address: deps.address, port: deps.port, exclusive: true }, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  socket.on('error', (error) =>
    deps.log('warn', 'DNS over UDP', { address: deps.address, err: error.message }),
  );
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        closed = true;
        socket.close(resolve);
      }),
  };
}

/** An answer that cannot be sent is an answer that is asked for again. */
function ignoreError(): void {}
