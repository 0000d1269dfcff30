import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAnswerStore } from '../../src/dns/answer-store.ts';
import type { AnswerStore, Key } from '../../src/dns/answer-store.ts';
import { readResponse } from '../../src/dns/response.ts';
import { NONE } from '../../src/dns/slab.ts';
import { query } from './fixture.ts';

const TTL = { least: 0, most: 86_400 };

/** An answer with so many addresses of one name. */
function answer(name: string, count: number): Buffer {
  const head = query(name, { edns: null });
  head.set([0x81, 0x80, 0, 1, count >> 8, count & 255], 2);
  const records = Array.from({ length: count }, (_, i) =>
    Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, i >> 8, i & 255]),
  );
  return Buffer.concat([head, ...records]);
}

function put(
  store: AnswerStore,
  key: Key,
  message: Buffer,
  more: { failure?: boolean; at?: number } = {},
): void {
  const response = readResponse(message);
  if (response === null) throw new Error('unreadable');
  const { failure = false, at = 1000 } = more;
  store.put(key, message, response, { guarded: false, failure, storedAt: at, freshUntil: at + 60_000 });
}

/** What the store has for a key, as bytes; null when it has nothing. */
function got(store: AnswerStore, key: Key, name: string): Buffer | null {
  const asked = query(name, { edns: null });
  const place = store.find(key, asked, asked.length - 4);
  if (place === NONE) return null;
  const at = store.bodyAt(place);
  return Buffer.from(store.bytes.subarray(at, at + store.bodyLength(place)));
}

const keyOf = (n: number, variant = 0, type = 1): Key => ({
  // Few different homes, so that runs in the table are long.
  lo: n % 7,
  hi: n,
  type,
  variant,
});
const nameOf = (n: number): string => `n${n}.example`;

describe('the store of answers', () => {
  it('never gives anything but what was kept last under a key (property)', () => {
    const step = fc.record({
      n: fc.nat(400),
      variant: fc.nat(3),
      count: fc.oneof(fc.nat(4), fc.nat(60), fc.nat(4000)),
      what: fc.constantFrom('put', 'put', 'put', 'find', 'find', 'purge', 'touch'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const store = createAnswerStore({ maxBytes: 512 * 1024, ttl: TTL });
        const kept = new Map<string, Buffer>();
        for (const { n, variant, count, what } of steps) {
          const key = keyOf(n, variant);
          const id = `${n} ${variant}`;
          if (what === 'put') {
            const message = answer(nameOf(n), count);
            put(store, key, message);
            kept.set(id, message);
            expect(got(store, key, nameOf(n))).toEqual(message);
          } else if (what === 'purge') {
            store.purge([nameOf(n)]);
            for (let other = 0; other < 4; other++) kept.delete(`${n} ${other}`);
          } else {
            const found = got(store, key, nameOf(n));
            if (found !== null) expect(found).toEqual(kept.get(id));
            if (what === 'touch' && found !== null) {
              const asked = query(nameOf(n), { edns: null });
              store.touch(store.find(key, asked, asked.length - 4));
            }
          }
          expect(store.stats().bytes).toBeLessThanOrEqual(512 * 1024);
          expect(store.stats().entries).toBeLessThanOrEqual(kept.size);
        }
        store.purge();
        expect(store.stats()).toMatchObject({ entries: 0, bytes: 0 });
      }),
      { numRuns: 150 },
    );
  });

  it('keeps what is asked for while a flood of made-up names comes by', () => {
    const store = createAnswerStore({ maxBytes: 4 << 20, ttl: TTL });
    const popular = Array.from({ length: 2000 }, (_, n) => n);
    for (const n of popular) put(store, { ...keyOf(n), lo: n * 977 }, answer(nameOf(n), 2));
    let lost = 0;
    for (let made = 0; made < 200_000; made++) {
      const n = 100_000 + made;
      put(store, { ...keyOf(n), lo: n * 977 }, answer(nameOf(n), 1));
      const wanted = popular[made % popular.length] as number;
      const asked = query(nameOf(wanted), { edns: null });
      const place = store.find({ ...keyOf(wanted), lo: wanted * 977 }, asked, asked.length - 4);
      if (place === NONE) {
        lost++;
        put(store, { ...keyOf(wanted), lo: wanted * 977 }, answer(nameOf(wanted), 2));
      } else store.touch(place);
    }
    expect(lost).toBeLessThan(2000);
    expect(store.stats().bytes).toBeLessThanOrEqual(4 << 20);
    expect(store.stats().evicted).toBeGreaterThan(100_000);
  });

  it('holds a hundred thousand answers in sixteen megabytes', () => {
    const store = createAnswerStore({ maxBytes: 16_000_000, ttl: TTL });
    for (let n = 0; n < 100_000; n++) {
      put(
        store,
        { lo: Math.imul(n, 0x9e3779b1) >>> 0, hi: n, type: 1, variant: 0 },
        answer(`host${n}.some-school.example`, 1),
      );
    }
    expect(store.stats().entries).toBe(100_000);
  });

  it('takes the largest message there is, and evicts for it', () => {
    const store = createAnswerStore({ maxBytes: 512 * 1024, ttl: TTL });
    for (let n = 0; n < 4000; n++) put(store, { ...keyOf(n), lo: n }, answer(nameOf(n), 1));
    for (let n = 0; n < 20; n++) {
      const large = answer(nameOf(n), 4090);
      put(store, keyOf(n, 1), large);
      expect(got(store, keyOf(n, 1), nameOf(n))).toEqual(large);
    }
    // The small ones still find room beside it.
    put(store, { ...keyOf(9), lo: 9 }, answer(nameOf(9), 1));
    expect(got(store, { ...keyOf(9), lo: 9 }, nameOf(9))).not.toBeNull();
  });

  it('tells names apart that have the same hash, and not by the case of their letters', () => {
    const store = createAnswerStore({ maxBytes: 1 << 20, ttl: TTL });
    const key = keyOf(1);
    put(store, key, answer('one.example', 1));
    expect(got(store, key, 'two.example')).toBeNull();
    expect(got(store, key, 'ONE.eXample')).not.toBeNull();
    put(store, key, answer('two.example', 2));
    expect(got(store, key, 'one.example')).not.toBeNull();
    expect(got(store, key, 'two.example')).not.toBeNull();
  });

  it('purges a name with all below it', () => {
    const store = createAnswerStore({ maxBytes: 1 << 20, ttl: TTL });
    const names = ['a.example', 'www.A.example', 'ba.example', 'example'];
    for (const [n, name] of names.entries()) put(store, keyOf(n), answer(name, 1));
    store.purge(['a.example']);
    expect(names.map((name, n) => got(store, keyOf(n), name) !== null)).toEqual([false, false, true, true]);
  });
});
