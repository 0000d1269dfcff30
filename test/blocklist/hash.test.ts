// The hash: text and wire agree, every suffix is the hash of that parent, bad wire names are refused.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNameHashes, hashName, hashWireName } from '../../src/blocklist/hash.ts';
import { suffixName } from '../../src/blocklist/names.ts';
import type { Seed } from '../../src/blocklist/types.ts';

const SEED: Seed = { lo: 0x12345678, hi: 0x9abcdef0 };
const label = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-_'),
  minLength: 1,
  maxLength: 63,
});
const name = fc
  .array(label, { minLength: 1, maxLength: 12 })
  .map((labels) => labels.join('.'))
  .filter((text) => text.length <= 253);
const seed = fc.record({ lo: fc.nat(0xffffffff), hi: fc.nat(0xffffffff) });

function wireOf(text: string): number[] {
  return [...text.split('.').flatMap((part) => [part.length, ...Buffer.from(part, 'latin1')]), 0];
}

function hashesOf(text: string, by: Seed = SEED): string[] {
  const out = createNameHashes();
  hashName(by, text, out);
  return [...out.lo.subarray(0, out.count)].map((lo, i) => `${lo}:${out.hi[i]}`);
}

describe('hashName and hashWireName', () => {
  it('agree, in any case, anywhere in a packet', () => {
    fc.assert(
      fc.property(name, seed, fc.nat(40), fc.boolean(), (text, by, before, upper) => {
        const wire = wireOf(upper ? text.toUpperCase() : text);
        const packet = Uint8Array.from([...new Array<number>(before).fill(0xff), ...wire, 0xff]);
        const out = createNameHashes();
        expect(hashWireName(by, packet, before, out)).toBe(before + wire.length);
        expect([...out.lo.subarray(0, out.count)].map((lo, i) => `${lo}:${out.hi[i]}`)).toEqual(
          hashesOf(text, by),
        );
      }),
    );
  });

  it('give each parent the hash it has by itself', () => {
    fc.assert(
      fc.property(name, (text) => {
        const all = hashesOf(text);
        expect(all).toHaveLength(text.split('.').length);
        all.forEach((hash, suffix) => expect(hashesOf(suffixName(text, suffix)).at(-1)).toBe(hash));
      }),
    );
  });

  it('depend on the seed in both halves', () => {
    const own = hashesOf('example.com');
    expect(hashesOf('example.com', { lo: SEED.lo ^ 1, hi: SEED.hi })).not.toEqual(own);
    expect(hashesOf('example.com', { lo: SEED.lo, hi: SEED.hi ^ 1 })).not.toEqual(own);
  });

  it('spread: no two of 200,000 close names share a hash, and each half alone is even', () => {
    const seen = new Set<string>();
    const low = new Uint32Array(64);
    const high = new Uint32Array(64);
    const out = createNameHashes();
    for (let i = 0; i < 200_000; i++) {
      hashName(SEED, `a${i}.example.com`, out);
      const lo = out.lo[2] as number;
      const hi = out.hi[2] as number;
      seen.add(`${lo}:${hi}`);
      low[lo >>> 26]!++;
      high[hi & 63]!++;
    }
    expect(seen.size).toBe(200_000);
    // 3,125 expected in each of 64 boxes; six standard deviations are 333
    for (const box of [...low, ...high]) expect(Math.abs(box - 3125)).toBeLessThan(333);
  });

  it('root and empty text have no hash', () => {
    const out = createNameHashes();
    expect(hashWireName(SEED, Uint8Array.of(0), 0, out)).toBe(1);
    expect(out.count).toBe(0);
    hashName(SEED, '', out);
    expect(out.count).toBe(0);
  });

  it('a dot inside a wire label is no boundary', () => {
    const out = createNameHashes();
    hashWireName(SEED, Uint8Array.from([7, ...Buffer.from('bbc.com'), 0]), 0, out);
    expect(out.count).toBe(1);
    expect(`${out.lo[0]}:${out.hi[0]}`).not.toBe(hashesOf('bbc.com')[1]);
  });

  it('the longest names that can be are hashed, longer ones are not', () => {
    const longest = `${'a.'.repeat(126)}a`;
    expect(hashesOf(longest)).toHaveLength(127);
    const out = createNameHashes();
    expect(hashWireName(SEED, Uint8Array.from(wireOf(longest)), 0, out)).toBe(255);
    expect(hashWireName(SEED, Uint8Array.from(wireOf(`${longest}.a`)), 0, out)).toBe(-1);
    expect(out.count).toBe(0);
    expect(hashesOf('.'.repeat(250))).toEqual([]);
    expect(hashesOf('a'.repeat(254))).toEqual([]);
  });

  it.each([
    ['a pointer', [0xc0, 0x0c]],
    ['a pointer after a label', [1, 97, 0xc0, 0x00]],
    ['a reserved label type', [0x40, 97]],
    ['no root', [1, 97]],
    ['a label past the end', [5, 97, 97]],
    ['nothing', []],
  ])('%s is refused', (_, bytes) => {
    expect(hashWireName(SEED, Uint8Array.from(bytes), 0, createNameHashes())).toBe(-1);
  });

  it('any bytes at any offset end in an offset within the packet or -1', () => {
    const out = createNameHashes();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: -2, max: 700 }), (bytes, offset) => {
        const end = hashWireName(SEED, bytes, offset, out);
        expect(end === -1 || (end > offset && end <= bytes.length)).toBe(true);
        if (end === -1) expect(out.count).toBe(0);
      }),
    );
  });
});
