// Who may ask, and how often: the served networks, and a bucket of queries for each client address. The table of
// addresses is bounded, so that made-up senders cannot fill the memory.

import { LRUCache } from 'lru-cache';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';

/**
 * `served`: answer. `over`: beyond its rate, ask it to come back by TCP, or refuse there. `drop`: so far beyond that
 * answering would be a service to a flood. `refused`: not from a served network.
 */
export type Admission = 'served' | 'over' | 'drop' | 'refused';

export type Gate = { admit(address: string, now: number): Admission; readonly known: () => number };

type Bucket = { readonly served: boolean; readonly limited: boolean; tokens: number; filledAt: number };

const MAX_KNOWN = 16_384;

/**
 * A token bucket for each address: `qps` queries a second, twice that at once. The next `qps` beyond it are `over`, all
 * others are dropped until the bucket fills again. Throws an Error that names an entry which is no network.
 */
export function createGate(settings: {
  serve: readonly string[];
  rateLimit: { qps: number; exempt: readonly string[] };
}): Gate {
  const serve = compileNetworks([...settings.serve]);
  const exempt = compileNetworks([...settings.rateLimit.exempt]);
  const { qps } = settings.rateLimit;
  const buckets = new LRUCache<string, Bucket>({ max: MAX_KNOWN });

  function meet(address: string, now: number): Bucket {
    const bucket: Bucket = {
      served: matchesNetworks(address, serve),
      limited: qps > 0 && !matchesNetworks(address, exempt),
      tokens: 2 * qps,
      filledAt: now,
    };
    buckets.set(address, bucket);
    return bucket;
  }

  return {
    known: () => buckets.size,
    admit(address, now) {
      const bucket = buckets.get(address) ?? meet(address, now);
      if (bucket.limited) {
        const passed = now - bucket.filledAt;
        // A clock that was set back fills nothing.
        if (passed > 0) bucket.tokens = Math.min(2 * qps, bucket.tokens + (passed * qps) / 1000);
        bucket.filledAt = now;
        if (bucket.tokens < 1) {
          if (bucket.tokens - 1 < -qps) return 'drop';
          bucket.tokens--;
          return bucket.served ? 'over' : 'drop';
        }
        bucket.tokens--;
      }
      return bucket.served ? 'served' : 'refused';
    },
  };
}
