// Holds the entries of all lists while an index is built: appended in any order, given back sorted and without
// duplicates. Buckets by the top bits of the hash keep every step within the processor's cache and make no garbage:
// chunks are small, never copied to grow, and 12 bytes an entry is nearly all there is. They are cut from large slabs,
// which go back to the system whole when the log is done with: small pieces would stay with the program.

import { homeSlot } from './layout.ts';

const BUCKET_BITS = 10;
const BUCKETS = 1 << BUCKET_BITS;
const CHUNK_ENTRIES = 512;
const CHUNK_WORDS = CHUNK_ENTRIES * 3;
const SLAB_CHUNKS = 256;
/** A bucket is settled early when it has grown to this, or to twice what the last settling left. */
const SETTLE_AT = 8192;

type Bucket = { chunks: Uint32Array[]; entries: number; settleAt: number };

export type EntryLog = {
  append(lo: number, hi: number, set: number): void;
  /** sorts and merges what is left to merge; gives the number of distinct hashes. Nothing may be appended after it. */
  settle(): number;
  /** every distinct hash in ascending order with its set; after `settle` */
  each(visit: (lo: number, hi: number, set: number) => void): void;
};

/** `union` merges the sets of two entries with the same hash. */
export function createEntryLog(union: (a: number, b: number) => number): EntryLog {
  const buckets: (Bucket | undefined)[] = new Array<Bucket | undefined>(BUCKETS).fill(undefined);
  let scratch = new Uint32Array(0);
  const free: Uint32Array[] = [];
  let slab = new Uint32Array(0);
  let cut = 0;

  function newChunk(): Uint32Array {
    const reused = free.pop();
    if (reused !== undefined) return reused;
    if (cut === slab.length) {
      slab = new Uint32Array(SLAB_CHUNKS * CHUNK_WORDS);
      cut = 0;
    }
    cut += CHUNK_WORDS;
    return slab.subarray(cut - CHUNK_WORDS, cut);
  }

  /** Sorts a bucket through a table of its own, in the order the index will have, and writes it back. */
  function settleBucket(bucket: Bucket): void {
    const capacity = bucket.entries + (bucket.entries >> 1) + 1;
    // a run can pass the last home slot by at most the number of entries
    const words = (capacity + bucket.entries) * 3;
    if (scratch.length < words) scratch = new Uint32Array(words + (words >> 2));
    else scratch.fill(0, 0, words);
    for (let i = 0; i < bucket.entries; i++) {
      const chunk = bucket.chunks[Math.floor(i / CHUNK_ENTRIES)] as Uint32Array;
      const at = (i % CHUNK_ENTRIES) * 3;
      insert(chunk[at] as number, chunk[at + 1] as number, chunk[at + 2] as number, capacity);
    }
    let kept = 0;
    for (let at = 0; at < words; at += 3) {
      if (scratch[at + 2] === 0) continue;
      const chunk = bucket.chunks[Math.floor(kept / CHUNK_ENTRIES)] as Uint32Array;
      const to = (kept % CHUNK_ENTRIES) * 3;
      chunk[to] = scratch[at] as number;
      chunk[to + 1] = scratch[at + 1] as number;
      chunk[to + 2] = scratch[at + 2] as number;
      kept++;
    }
    bucket.entries = kept;
    free.push(...bucket.chunks.splice(Math.ceil(kept / CHUNK_ENTRIES)));
    bucket.settleAt = Math.max(SETTLE_AT, kept * 2);
  }

  function insert(newLo: number, newHi: number, newSet: number, capacity: number): void {
    let lo = newLo;
    let hi = newHi;
    let set = newSet;
    let at = homeSlot((lo << BUCKET_BITS) >>> 0, capacity) * 3;
    for (;;) {
      const otherSet = scratch[at + 2] as number;
      if (otherSet === 0) break;
      const otherLo = scratch[at] as number;
      const otherHi = scratch[at + 1] as number;
      if (otherLo === lo && otherHi === hi) {
        scratch[at + 2] = union(otherSet, set);
        return;
      }
      // the greater hash moves on, so that runs stay sorted
      if (otherLo > lo || (otherLo === lo && otherHi > hi)) {
        scratch[at] = lo;
        scratch[at + 1] = hi;
        scratch[at + 2] = set;
        lo = otherLo;
        hi = otherHi;
        set = otherSet;
      }
      at += 3;
    }
    scratch[at] = lo;
    scratch[at + 1] = hi;
    scratch[at + 2] = set;
  }

  return {
    append(lo, hi, set) {
      const number = lo >>> (32 - BUCKET_BITS);
      const bucket = (buckets[number] ??= { chunks: [], entries: 0, settleAt: SETTLE_AT });
      if (bucket.entries >= bucket.settleAt) settleBucket(bucket);
      const at = (bucket.entries % CHUNK_ENTRIES) * 3;
      const place = Math.floor(bucket.entries / CHUNK_ENTRIES);
      if (place === bucket.chunks.length) bucket.chunks.push(newChunk());
      const chunk = bucket.chunks[place] as Uint32Array;
      chunk[at] = lo;
      chunk[at + 1] = hi;
      chunk[at + 2] = set;
      bucket.entries++;
    },
    settle() {
      let distinct = 0;
      for (const bucket of buckets) {
        if (!bucket) continue;
        settleBucket(bucket);
        distinct += bucket.entries;
      }
      scratch = new Uint32Array(0);
      return distinct;
    },
    each(visit) {
      for (const bucket of buckets) {
        if (!bucket) continue;
        for (let i = 0; i < bucket.entries; i++) {
          const chunk = bucket.chunks[Math.floor(i / CHUNK_ENTRIES)] as Uint32Array;
          const at = (i % CHUNK_ENTRIES) * 3;
          visit(chunk[at] as number, chunk[at + 1] as number, chunk[at + 2] as number);
        }
      }
    },
  };
}
