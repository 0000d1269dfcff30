// Answers of upstreams kept as they came, in wire form, without OPT. Policy has always spoken before anyone asks here, so
// that nothing in this file knows of clients. What is kept beyond its TTL is only for when the upstreams are silent.

import { LRUCache } from 'lru-cache';
import { hostOfKey } from './question-text.ts';
import type { Response } from './response.ts';
import { putUint16, uint32 } from './wire.ts';

/** An answer ready to be given: everything about it that is the same for every asker. */
export type Entry = {
  /** header, question and records, without OPT */
  readonly bytes: Uint8Array;
  readonly rcode: number;
  readonly ttls: Uint16Array;
  readonly extendedErrors: Uint8Array | null;
  readonly chain: readonly Uint8Array[];
  /** it leads into the inside network, and the name has no leave to */
  readonly guarded: boolean;
  /** UTC ms */
  readonly storedAt: number;
  readonly freshUntil: number;
  /** a failure that is remembered for a moment, not an answer */
  readonly failure: boolean;
  /** after a failed attempt to renew it, the stale answer is given without asking again until then; UTC ms */
  retryAt: number;
};

export type AnswerCache = {
  /** an entry, fresh or stale; null when there is none or it is too old for any use */
  get(key: string, now: number): Entry | null;
  /** keeps an answer for as long as it allows; one that allows nothing is not kept */
  put(key: string, entry: Entry): void;
  /** after a failure: an answer that is still there is given stale for a while, otherwise the failure itself is kept */
  fail(key: string, failure: Entry, now: number): Entry | null;
  purge(names?: readonly string[]): void;
  stats(): { entries: number; bytes: number };
};

const MAX_TTL = 86_400;
/** RFC 8767 suggests one to three days. */
const STALE_MS = 86_400_000;
const RETRY_MS = 5_000;
/** What an entry takes beside its bytes, roughly. */
const OVERHEAD = 300;

/** Bounded by entries and by bytes, whichever comes first. */
export function createAnswerCache(limits: { maxEntries: number; maxBytes: number }): AnswerCache {
  const cache = new LRUCache<string, Entry>({
    max: limits.maxEntries,
    maxSize: limits.maxBytes,
    sizeCalculation: (entry, key) => entry.bytes.length + entry.ttls.length * 2 + key.length + OVERHEAD,
  });

  function get(key: string, now: number): Entry | null {
    const entry = cache.get(key);
    if (entry === undefined) return null;
    const useless = entry.failure ? entry.freshUntil <= now : entry.freshUntil + STALE_MS <= now;
    if (!useless) return entry;
    cache.delete(key);
    return null;
  }

  return {
    get,
    put(key, entry) {
      if (entry.freshUntil > entry.storedAt) cache.set(key, entry);
    },
    fail(key, failure, now) {
      const kept = get(key, now);
      if (kept === null || kept.failure) {
        cache.set(key, failure);
        return null;
      }
      kept.retryAt = now + RETRY_MS;
      return kept;
    },
    purge(names) {
      if (names === undefined) return cache.clear();
      for (const key of [...cache.keys()]) {
        const host = hostOfKey(key);
        if (names.some((name) => host === name || host.endsWith(`.${name}`))) cache.delete(key);
      }
    },
    stats: () => ({ entries: cache.size, bytes: cache.calculatedSize }),
  };
}

/** Makes the entry of an upstream's answer. */
export function createEntry(message: Uint8Array, response: Response, guarded: boolean, now: number): Entry {
  // A copy, so that a small answer does not hold on to a large buffer.
  const bytes = new Uint8Array(message.subarray(0, response.bodyEnd));
  putUint16(bytes, 10, response.additional);
  return {
    bytes,
    rcode: response.rcode,
    ttls: response.ttls,
    extendedErrors: response.extendedErrors,
    chain: response.chain,
    guarded,
    storedAt: now,
    freshUntil: now + Math.min(response.lifetime, MAX_TTL) * 1000,
    failure: false,
    retryAt: 0,
  };
}

/** The TTL of a record of the entry, as the upstream gave it, within bounds. */
export function originalTtl(entry: Entry, at: number): number {
  const ttl = uint32(entry.bytes, at);
  return ttl > 0x7fffffff ? 0 : Math.min(ttl, MAX_TTL);
}
