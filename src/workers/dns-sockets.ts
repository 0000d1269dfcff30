// The UDP sockets that DNS is answered on, opened and kept by main: one for each address and thread. A thread that dies leaves
// them open, queries wait in them, and its successor goes on reading. Where batched datagrams do not work, there are none here,
// and the threads open their own.

import { openBatchedUdp } from '../udp/self-test.ts';
import type { BatchedUdp } from '../udp/self-test.ts';
import { openBoundSocket } from '../udp/sockets.ts';
import type { Endpoint, ThreadSockets } from './messages.ts';

export type DnsSockets = {
  /** how datagrams are read and sent, and why they are not batched, if so */
  readonly udp: { readonly kind: 'batched' | 'dgram'; readonly why: string | null };
  /** for the `n`-th DNS thread: descriptors in the order of the endpoints; null when it opens sockets of its own */
  ofThread(n: number): ThreadSockets | null;
  /** closes all; every thread must be gone */
  close(): void;
};

const SOCKET_BUFFER = 4 << 20;

/** @throws Error when an address cannot be had, or `batched` is asked for and does not work here */
export async function openDnsSockets(deps: {
  readonly mode: 'auto' | 'batched' | 'dgram';
  readonly endpoints: readonly Endpoint[];
  readonly threads: number;
  readonly openBatched?: () => Promise<BatchedUdp>;
}): Promise<DnsSockets> {
  const { mode, endpoints } = deps;
  const none = (why: string): DnsSockets => ({
    udp: { kind: 'dgram', why },
    ofThread: () => null,
    close: () => {},
  });
  if (mode === 'dgram') return none('dns.udp in gateway.yaml says so');
  const batched = await (deps.openBatched ?? openBatchedUdp)();
  if (!batched.ok) {
    if (mode === 'auto') return none(batched.reason);
    throw new Error(`dns.udp is batched in gateway.yaml, but ${batched.reason}: write auto or dgram`);
  }

  const { libc } = batched;
  const open: number[] = [];
  const close = (): void => {
    for (const fd of open.splice(0)) libc.close(fd);
  };
  const sockets: ThreadSockets[] = [];
  try {
    for (let n = 0; n < deps.threads; n++) {
      const fds = endpoints.map(({ address, port }) => {
        const fd = openBoundSocket(libc, { address, port, reusePort: true, bufferBytes: SOCKET_BUFFER });
        open.push(fd);
        return fd;
      });
      sockets.push({ fds });
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    udp: { kind: 'batched', why: null },
    ofThread: (n) => sockets[n]!,
    close,
  };
}
