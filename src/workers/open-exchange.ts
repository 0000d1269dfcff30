// The way to the upstreams as the data threads open it: with the system's randomness, and a plain refusal when the
// configuration and the system name no upstream at all, so that blocks and local answers go on.

import { createExchange } from '../resolver/exchange.ts';
import type { ExchangeDeps } from '../resolver/exchange.ts';
import { createRandomIds } from '../resolver/random-ids.ts';
import type { Exchange, Upstream } from '../resolver/types.ts';

export function openExchange(deps: {
  readonly upstreams: readonly Upstream[];
  readonly now: () => number;
  readonly createPool?: ExchangeDeps['createPool'];
}): Exchange {
  if (deps.upstreams.length > 0) return createExchange({ ...deps, randomId: createRandomIds() });
  return {
    query: () =>
      Promise.reject(new Error('no upstream is known: name one under dns.upstreams in gateway.yaml')),
    ask: (_packet, done) => queueMicrotask(() => done(null)),
    stats: () => ({}),
    upstreams: () => [],
    close: () => {},
  };
}
