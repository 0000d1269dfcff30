// Who sends packets: for each address whether it is served, how many queries it has left, and who the policy takes it
// for, all found by one look-up. The table is bounded, so that made-up senders cannot fill the memory.

import { LRUCache } from 'lru-cache';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import type { Client, Engine } from '../policy/types.ts';
import type { Asker, LimitedClient } from './types.ts';

/**
 * `served`: answer. `over`: beyond its rate, ask it to come back by TCP, or refuse there. `drop`: so far beyond that
 * answering would be a service to a flood. `refused`: not from a served network.
 */
export type Admission = 'served' | 'over' | 'drop' | 'refused';

/** What is known of an asker; `client` and `profile` are the policy's, made anew when it changes. */
export type KnownAsker = Asker & {
  client: Client;
  profile: number;
  epoch: number;
  readonly bucket: Bucket;
};

/** Shared by all client ids of one address. */
type Bucket = {
  readonly served: boolean;
  /** many stand behind this address, such as those of a forwarder inside: nothing is to be concluded from how much it asks */
  readonly exempt: boolean;
  readonly limited: boolean;
  tokens: number;
  filledAt: number;
  /** queries turned away since `takeLimited` */
  over: number;
  /** queries that wait for an upstream */
  waiting: number;
};

export type Askers = {
  find(address: string, clientId: string | null): KnownAsker;
  find4(address: number): KnownAsker;
  admit(asker: KnownAsker, now: number): Admission;
  /** the asker with the policy's present view of it */
  refresh(asker: KnownAsker): void;
  /** those that were served until they met the limit, since this was last asked; the first few hundred */
  takeLimited(): LimitedClient[];
  known(): number;
};

const MAX_KNOWN = 16_384;
/** A client may ask at once what it may ask in so many seconds: a lesson begins for a class behind one address. */
const BURST_SECONDS = 10;
const MAX_LIMITED = 256;

/**
 * A token bucket for each address: `qps` queries a second, ten seconds' worth of them at once. The next `qps` beyond it are
 * `over`, all others are dropped until the bucket fills again. Throws an Error that names an entry which is no network.
 */
export function createAskers(deps: {
  engine: Pick<Engine, 'client' | 'profile' | 'epoch'>;
  settings: { serve: readonly string[]; rateLimit: { qps: number; exempt: readonly string[] } };
  now: () => number;
}): Askers {
  const { engine, settings, now } = deps;
  const serve = compileNetworks([...settings.serve]);
  const exempt = compileNetworks([...settings.rateLimit.exempt]);
  const { qps } = settings.rateLimit;
  const buckets = new LRUCache<string, Bucket>({ max: MAX_KNOWN });
  const byText = new LRUCache<string, KnownAsker>({ max: MAX_KNOWN });
  const byNumber = new Map<number, KnownAsker>();
  let limited: KnownAsker[] = [];

  function bucketOf(address: string): Bucket {
    const held = buckets.get(address);
    if (held !== undefined) return held;
    const isExempt = matchesNetworks(address, exempt);
    const bucket: Bucket = {
      served: matchesNetworks(address, serve),
      exempt: isExempt,
      limited: qps > 0 && !isExempt,
      tokens: BURST_SECONDS * qps,
      filledAt: now(),
      waiting: 0,
      over: 0,
    };
    buckets.set(address, bucket);
    return bucket;
  }

  function noteLimited(asker: KnownAsker): void {
    const { bucket } = asker;
    if (bucket.over === 0) {
      if (limited.length === MAX_LIMITED) return;
      limited.push(asker);
    }
    bucket.over++;
  }

  function meet(address: string, clientId: string | null): KnownAsker {
    const client = engine.client(address, clientId);
    const { epoch } = engine;
    return { address, clientId, client, profile: engine.profile(client), epoch, bucket: bucketOf(address) };
  }

  function find(address: string, clientId: string | null): KnownAsker {
    const key = clientId === null ? address : `${address} ${clientId}`;
    let asker = byText.get(key);
    if (asker === undefined) {
      asker = meet(address, clientId);
      byText.set(key, asker);
    }
    return asker;
  }

  return {
    find,
    find4(address) {
      let asker = byNumber.get(address);
      if (asker !== undefined) return asker;
      const text = `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
      asker = find(text, null);
      // All at once and seldom: the text table behind it remembers those that still matter.
      if (byNumber.size >= MAX_KNOWN) byNumber.clear();
      byNumber.set(address, asker);
      return asker;
    },
    admit(asker, at) {
      const { bucket } = asker;
      if (bucket.limited) {
        const passed = at - bucket.filledAt;
        // A clock that was set back fills nothing.
        if (passed > 0) bucket.tokens = Math.min(BURST_SECONDS * qps, bucket.tokens + (passed * qps) / 1000);
        bucket.filledAt = at;
        if (bucket.tokens < 1) {
          // Strangers are refused anyway, and their addresses can be made up.
          if (bucket.served) noteLimited(asker);
          if (bucket.tokens - 1 < -qps) return 'drop';
          bucket.tokens--;
          return bucket.served ? 'over' : 'drop';
        }
        bucket.tokens--;
      }
      return bucket.served ? 'served' : 'refused';
    },
    refresh(asker) {
      if (asker.epoch === engine.epoch) return;
      asker.client = engine.client(asker.address, asker.clientId);
      asker.profile = engine.profile(asker.client);
      asker.epoch = engine.epoch;
    },
    takeLimited() {
      if (limited.length === 0) return [];
      const taken = limited.map(({ address, bucket }) => ({ client: address, queries: bucket.over }));
      for (const { bucket } of limited) bucket.over = 0;
      limited = [];
      return taken;
    },
    known: () => buckets.size,
  };
}
