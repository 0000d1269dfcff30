// The way to the upstreams as the data threads open it: with the system's randomness, and a plain refusal when the configuration
// and the system name no upstream at all, so that blocks and local answers go on.

import { createExchange } from '../resolver/exchange.ts';
import type { ExchangeDeps } from '../resolver/exchange.ts';
import { createHostFinder } from '../resolver/host-finder.ts';
import { createRandomIds } from '../resolver/random-ids.ts';
import type { AnyUpstream, Exchange } from '../resolver/types.ts';
import type { DataSettings } from './messages.ts';

export function openExchange(deps: {
  readonly upstreams: readonly AnyUpstream[];
  /** what encrypted upstreams need besides */
  readonly settings: Pick<DataSettings, 'upstreams' | 'bootstrap' | 'upstreamCa'>;
  readonly now: () => number;
  /** what makes UDP pools; the plain one unless said otherwise */
  readonly createPool?: ExchangeDeps['createPool'];
  /** how long a question may take in all */
  readonly timeoutMs?: number;
}): Exchange {
  const { upstreams, settings, now, createPool, timeoutMs } = deps;
  const randomId = createRandomIds();
  if (upstreams.length > 0) {
    const plain = settings.upstreams.flatMap((upstream) => ('kind' in upstream ? [] : [upstream]));
    const bootstrap = settings.bootstrap.length > 0 ? settings.bootstrap : plain;
    const finder = createHostFinder({
      // Opened when a host is looked for, which most schools never need.
      open: () => (bootstrap.length === 0 ? null : createExchange({ upstreams: bootstrap, now, randomId })),
      now,
    });
    const exchange = createExchange({
      upstreams,
      now,
      randomId,
      createPool,
      timeoutMs,
      authorities: settings.upstreamCa,
      findHost: finder.find,
    });
    return {
      ...exchange,
      close() {
        exchange.close();
        finder.close();
      },
    };
  }
  return {
    query: () =>
      Promise.reject(new Error('no upstream is known: name one under dns.upstreams in gateway.yaml')),
    ask: (_packet, done) => queueMicrotask(() => done(null)),
    stats: () => ({}),
    upstreams: () => [],
    close: () => {},
  };
}
