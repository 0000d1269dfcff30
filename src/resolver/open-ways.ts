// The ways to an upstream by what it is: a pool of UDP sockets with TCP beside it, or kept connections over TLS or HTTPS.

import { connect } from 'node:net';
import type { Attempt, Way } from './asking.ts';
import { createHttpsWay } from './https-way.ts';
import { createSecureDial } from './secure-dial.ts';
import { createStreamWay } from './stream-way.ts';
import type { AnyUpstream, SecureUpstream } from './types.ts';
import { createUdpPool } from './udp-pool.ts';
import type { UdpPool, UdpPoolDeps } from './udp-pool.ts';

export type WayDeps = {
  /** an unpredictable number from 0 to 65535 */
  readonly randomId: () => number;
  /** UDP sockets for each upstream, and queries before one is replaced by another with another port */
  readonly sockets?: number;
  readonly socketUses?: number;
  /** what makes UDP pools; the plain one unless said otherwise */
  readonly createPool?: <T>(deps: UdpPoolDeps<T>) => UdpPool<T>;
  /** for encrypted upstreams: authorities to trust as well, and where to find a host that was written without address */
  readonly authorities?: string | null;
  readonly findHost?: (host: string) => Promise<readonly string[]>;
  readonly onAnswer: (answer: Uint8Array, attempt: Attempt) => boolean;
  readonly onUnreachable: (attempt: Attempt, error: Error) => void;
};

/** TCP is the exception towards these servers, and many keep only a few connections. */
const TCP_IDLE_MS = 2000;
/** A handshake costs more than to keep what there is. */
const SECURE_IDLE_MS = 20_000;
/** RFC 8467, section 4.1 */
const PADDING = 128;

export function openWays(
  upstream: AnyUpstream,
  deps: WayDeps,
): { way: Way<Attempt>; tcp: Way<Attempt> | null } {
  const { randomId, onAnswer, onUnreachable } = deps;
  if ('kind' in upstream) return { way: openSecureWay(upstream, deps), tcp: null };
  const createPool = deps.createPool ?? createUdpPool;
  return {
    way: createPool<Attempt>({
      upstream,
      sockets: deps.sockets ?? 8,
      uses: deps.socketUses ?? 512,
      randomId,
      onAnswer,
      onUnreachable,
    }),
    tcp: createStreamWay<Attempt>({
      connect: (ready) => {
        const socket = connect({ host: upstream.address, port: upstream.port, noDelay: true });
        return socket.once('connect', ready);
      },
      idleMs: TCP_IDLE_MS,
      padding: 0,
      randomId,
      onAnswer,
      onUnreachable,
    }),
  };
}

function openSecureWay(upstream: SecureUpstream, deps: WayDeps): Way<Attempt> {
  const { randomId, onAnswer, onUnreachable, authorities, findHost } = deps;
  const shared = { idleMs: SECURE_IDLE_MS, padding: PADDING, onAnswer, onUnreachable };
  if (upstream.kind === 'https') {
    const dial = createSecureDial({ upstream, protocols: ['h2', 'http/1.1'], authorities, findHost });
    return createHttpsWay<Attempt>({ upstream, dial, ...shared });
  }
  const dial = createSecureDial({ upstream, protocols: ['dot'], authorities, findHost });
  return createStreamWay<Attempt>({ connect: (ready) => dial.open(ready), randomId, ...shared });
}
