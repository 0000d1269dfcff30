// Addresses in the index: ranges of many lists at one address, both families, against plain arrays of ranges.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { createNameHashes, hashName } from '../../src/blocklist/hash.ts';
import { addAddressLists, findAddressSet, holdsAddresses } from '../../src/blocklist/lookup-address.ts';
import { createMatches, lookup } from '../../src/blocklist/lookup.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import type { BlockIndex, ListFormat, ListSource } from '../../src/blocklist/types.ts';
import { addressBytes, formatAddress, parseAddress } from '../../src/policy/networks.ts';

const SEED = { lo: 1, hi: 2 };
const hashes = createNameHashes();
const matches = createMatches();

const newBuilder = () =>
  createIndexBuilder({ seed: SEED, toAscii: (s) => s, isPublicSuffix: (name) => !name.includes('.') });
const source = (name: string, format: ListFormat): ListSource => ({
  name,
  category: name,
  sealed: false,
  format,
  match: 'format',
});

function indexOf(lists: Record<string, readonly string[]>, format: ListFormat = 'ips'): BlockIndex {
  const builder = newBuilder();
  for (const [name, lines] of Object.entries(lists)) builder.addList(source(name, format), lines);
  return openIndex(builder.finish('test').buffer);
}

const bytesOf = (text: string): Uint8Array => addressBytes(parseAddress(text)!);

/** The names of the lists that hold an address, as it stands in an answer. */
function held(index: BlockIndex, bytes: Uint8Array): string[] {
  hashes.count = 0;
  lookup(index, hashes, matches);
  addAddressLists(index, bytes, 0, matches);
  return [...matches.lists.subarray(0, matches.count)].map((list) => index.lists[list]!.name).sort();
}

describe('addresses in the index', () => {
  const index = indexOf({
    a: ['192.0.2.0/24', '192.0.2.7', '192.0.2.7', '2001:db8::/32', '255.255.255.255'],
    b: ['192.0.2.128-192.0.3.5', '::ffff:198.51.100.1', '2001:db8:ffff::-2001:db9::5', '0.0.0.0'],
    c: ['192.0.2.200', '2001:db8::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '::'],
  });

  it.each([
    ['192.0.1.255', ''],
    ['192.0.2.0', 'a'],
    ['192.0.2.127', 'a'],
    ['192.0.2.128', 'a b'],
    ['192.0.2.200', 'a b c'],
    ['192.0.2.201', 'a b'],
    ['192.0.3.0', 'b'],
    ['192.0.3.5', 'b'],
    ['192.0.3.6', ''],
    ['198.51.100.1', 'b'],
    ['0.0.0.0', 'b'],
    ['0.0.0.1', ''],
    ['255.255.255.255', 'a'],
    ['255.255.255.254', ''],
    ['2001:db7:ffff:ffff:ffff:ffff:ffff:ffff', ''],
    ['2001:db8::', 'a'],
    ['2001:db8::1', 'a c'],
    ['2001:db8:ffff::', 'a b'],
    ['2001:db9::5', 'b'],
    ['2001:db9::6', ''],
    ['::', 'c'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'c'],
    ['64:ff9b::192.0.2.7', 'a'],
    ['64:ff9b::1:192.0.2.7', ''],
  ])('%s is held by %j', (address, lists) => expect(held(index, bytesOf(address)).join(' ')).toBe(lists));

  it('reads what carries an IPv4 address as that address', () => {
    const mapped = Uint8Array.from([...new Array<number>(10).fill(0), 255, 255, 192, 0, 2, 200]);
    expect(held(index, mapped)).toEqual(['a', 'b', 'c']);
  });

  it('holds nothing of any other length', () => {
    for (const length of [0, 1, 3, 5, 8, 15, 17, 64])
      expect(findAddressSet(index, new Uint8Array(length)), `${length} bytes`).toBe(0);
  });

  it('counts each range of a list once, and ranges that touch are one', () => {
    expect(index.lists.map(({ entries }) => entries)).toEqual([4, 4, 4]);
    const touching = indexOf({ a: ['192.0.2.0/25', '192.0.2.128/25', '192.0.3.0', '192.0.2.255'] });
    expect(touching.v4.count).toBe(1);
    expect(touching.lists[0]!.entries).toBe(4);
  });

  it('knows whether it holds any', () => {
    expect(holdsAddresses(index)).toBe(true);
    expect(holdsAddresses(indexOf({ a: ['2001:db8::1'] }))).toBe(true);
    expect(holdsAddresses(indexOf({ a: ['x.example', '192.0.2.7'] }, 'domains'))).toBe(false);
  });

  it('keeps an address of a list of names for those who ask for it by address', () => {
    const names = indexOf({ a: ['192.0.2.7', 'x.example'] }, 'domains');
    expect(held(names, bytesOf('192.0.2.7'))).toEqual([]);
    hashName(SEED, '192.0.2.7', hashes);
    expect(lookup(names, hashes, matches)).toBe(1);
    expect(addAddressLists(names, bytesOf('192.0.2.7'), 3, matches)).toBe(1);
  });

  it('names each list once when it holds the text and the address', () => {
    const zone = indexOf({ a: ['192.0.2.7 CNAME .', '24.0.2.0.192.rpz-ip CNAME .'] }, 'rpz');
    hashName(SEED, '192.0.2.7', hashes);
    lookup(zone, hashes, matches);
    expect(addAddressLists(zone, bytesOf('192.0.2.7'), 3, matches)).toBe(1);
    expect(matches.suffix[0]).toBe(3);
  });

  it('forgets what an abandoned list brought', () => {
    const builder = newBuilder();
    builder.addList(source('a', 'ips'), ['192.0.2.0/24']);
    const gone = builder.begin(source('gone', 'ips'));
    gone.chunk('192.0.2.7\n2001:db8::1\n');
    gone.abandon();
    builder.addList(source('b', 'ips'), ['192.0.2.7']);
    const built = openIndex(builder.finish('test').buffer);
    expect(held(built, bytesOf('192.0.2.7'))).toEqual(['a', 'b']);
    expect(held(built, bytesOf('2001:db8::1'))).toEqual([]);
    expect(built.lists.map(({ name, entries }) => `${name} ${entries}`)).toEqual(['a 1', 'b 1']);
  });

  it('agrees with plain arrays of ranges (property)', () => {
    // few bits that differ, so that ranges touch, overlap and repeat; ends of the address space included
    const v4 = fc
      .tuple(fc.constantFrom(0, 0xc0000200, 0xffffff00), fc.nat(255))
      .map(([base, low]) => [base + low]);
    const v6 = fc
      .tuple(
        fc.constantFrom(0, 0x20010db8, 0xffffffff),
        fc.constantFrom(0, 0xffffffff),
        fc.nat(3),
        fc.nat(40),
      )
      .map(([a, b, c, low]) => [a, b, c === 3 ? 0xffffffff : c, c === 3 ? 0xffffffff - low : low]);
    const less = (a: readonly number[], b: readonly number[]): boolean => {
      const at = a.findIndex((word, i) => word !== b[i]);
      return at >= 0 && a[at]! < b[at]!;
    };
    const text = (words: readonly number[]): string =>
      formatAddress({ family: words.length === 1 ? 4 : 6, words });
    const address = fc
      .oneof(v4, v6)
      .filter((words) => words.length === 1 || words[0] !== 0 || words[2] !== 0xffff);
    const range = fc
      .oneof(fc.tuple(v4, v4), fc.tuple(v6, v6))
      .map(([a, b]) => (less(b, a) ? [b, a] : [a, b]) as [number[], number[]])
      .map(([a, b]): [number[], number[]] => (b[0]! - a[0]! < 65_536 ? [a, b] : [a, a]));
    fc.assert(
      fc.property(
        fc.array(fc.array(range, { maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        fc.array(address, { minLength: 1, maxLength: 20 }),
        (lists, more) => {
          const names = lists.map((_, at) => `list${at}`);
          const built = indexOf(
            Object.fromEntries(
              lists.map((ranges, at) => [names[at]!, ranges.map(([a, b]) => `${text(a)}-${text(b)}`)]),
            ),
          );
          const asked = [...more, ...lists.flat(2)];
          for (const words of asked) {
            const expected = names.filter((_, at) =>
              lists[at]!.some(([a, b]) => a.length === words.length && !less(words, a) && !less(b, words)),
            );
            const bytes = addressBytes({ family: words.length === 1 ? 4 : 6, words });
            expect(held(built, bytes), text(words)).toEqual(expected);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('openIndex on ranges that are not in order', () => {
  it.each<[string, (index: BlockIndex) => void]>([
    ['a set that is not there', ({ v4 }) => (v4.set[0] = 99)],
    ['no set', ({ v4 }) => (v4.set[0] = 0)],
    ['an end before the beginning', ({ v4 }) => (v4.last[0] = v4.first[0]! - 1)],
    ['ranges that overlap', ({ v4 }) => (v4.last[0] = v4.first[1]!)],
    ['ranges of IPv6 the wrong way round', ({ v6 }) => (v6.first[3] = 0xffffffff)],
  ])('refuses %s', (_, alter) => {
    const index = indexOf({ a: ['192.0.2.1', '192.0.2.9', '2001:db8::1', '2001:db8::9'] });
    alter(index);
    expect(() => openIndex(index.buffer)).toThrow('ranges of addresses are not in order');
  });
});
