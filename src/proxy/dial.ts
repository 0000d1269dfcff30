// Connects to one of several checked addresses, the next one shortly after the last (RFC 8305, simply). It resolves
// nothing: addresses come from reach.ts and nothing else is ever connected to.

import { connect } from 'node:net';
import type { Socket } from 'node:net';

export type DialFault = { readonly kind: 'timeout' | 'unreachable'; readonly detail: string };

const HEAD_START_MS = 250;
const MAX_ADDRESSES = 6;

/**
 * Calls `done` once, with the first socket that connected and its address, or with why none did. The socket allows
 * half-open ends and has no listeners. The function returned gives up without calling `done`.
 */
export function dial(
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
  done: (socket: Socket | null, address: string, fault: DialFault | null) => void,
): () => void {
  const queue = addresses.slice(0, MAX_ADDRESSES);
  const trying = new Set<Socket>();
  let lastError = 'no address';
  let next: NodeJS.Timeout | null = null;
  let settled = false;

  const settle = () => {
    settled = true;
    clearTimeout(limit);
    if (next !== null) clearTimeout(next);
    for (const socket of trying) socket.destroy();
    trying.clear();
  };
  const fail = (kind: DialFault['kind'], detail: string) => {
    settle();
    done(null, '', { kind, detail });
  };
  const attempt = () => {
    if (next !== null) clearTimeout(next);
    next = null;
    const address = queue.shift();
    if (address === undefined) return;
    const socket = connect({
      host: address,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
      allowHalfOpen: true,
    });
    trying.add(socket);
    const onError = (error: Error) => {
      lastError = error.message;
      trying.delete(socket);
      if (settled) return;
      if (queue.length > 0) attempt();
      else if (trying.size === 0) fail('unreachable', lastError);
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.off('error', onError);
      trying.delete(socket);
      settle();
      done(socket, address, null);
    });
    if (queue.length > 0) next = setTimeout(attempt, HEAD_START_MS);
  };
  const limit = setTimeout(() => fail('timeout', `no connection within ${timeoutMs} ms`), timeoutMs);
  attempt();
  return () => {
    if (!settled) settle();
  };
}
