// How many queries one address may ask: a bucket that fills at the configured rate and holds two seconds' worth, so that a
// page with a hundred names is never held up. Bounded: the addresses seen longest ago are forgotten first.

import { LRUCache } from 'lru-cache';

const MAX_ADDRESSES = 20_000;
const BURST_S = 2;

type Bucket = { tokens: number; at: number };

/** Gives a check that takes one query of `address` at `now` (UTC ms): false when it is over the limit. `qps` 0 is no limit. */
export function createRateLimit(qps: number): (address: string, now: number) => boolean {
  if (qps === 0) return () => true;
  const buckets = new LRUCache<string, Bucket>({ max: MAX_ADDRESSES });
  const full = qps * BURST_S;
  return (address, now) => {
    const bucket = buckets.get(address);
    if (bucket === undefined) {
      buckets.set(address, { tokens: full - 1, at: now });
      return true;
    }
    // A clock that was set back fills nothing and takes nothing.
    bucket.tokens = Math.min(full, bucket.tokens + (Math.max(0, now - bucket.at) * qps) / 1000);
    bucket.at = now;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };
}
