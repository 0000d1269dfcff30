// The index whole: built from lists, opened, asked by text and by wire, and held against the oracle.

import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { createNameHashes, hashName, hashWireName } from '../../src/blocklist/hash.ts';
import { createMatches, lookup } from '../../src/blocklist/lookup.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import type { BlockIndex, EntryKind, ListSource } from '../../src/blocklist/types.ts';
import { createOracle } from './oracle.ts';

const SEED = { lo: 0xdeadbeef, hi: 0x00c0ffee };
const source = (name: string, more: Partial<ListSource> = {}): ListSource => ({
  name,
  category: 'games',
  sealed: false,
  format: 'adblock',
  match: 'format',
  ...more,
});
const newBuilder = (): ReturnType<typeof createIndexBuilder> =>
  createIndexBuilder({ seed: SEED, toAscii: domainToASCII, isPublicSuffix: () => false });

function indexOf(...lists: readonly (readonly string[])[]): BlockIndex {
  const builder = newBuilder();
  lists.forEach((lines, i) => builder.addList(source(`list-${i}`), lines));
  return openIndex(builder.finish('digest').buffer);
}

const hashes = createNameHashes();
const matches = createMatches();

function ask(index: BlockIndex, name: string, by: 'text' | 'wire' = 'text'): string[] {
  if (by === 'text') hashName(index.seed, name, hashes);
  else {
    const labels = name
      .split('.')
      .flatMap((part) => [part.length, ...Buffer.from(part.toUpperCase(), 'latin1')]);
    hashWireName(index.seed, Uint8Array.from([...labels, 0]), 0, hashes);
  }
  const count = lookup(index, hashes, matches);
  expect(matches.count).toBe(count);
  return Array.from({ length: count }, (_, i) => `${matches.lists[i]}:${matches.suffix[i]}`);
}

const LINE: Readonly<Record<EntryKind, (name: string) => string>> = {
  exact: (name) => `|${name}^`,
  suffix: (name) => `||${name}^`,
  'except-exact': (name) => `@@|${name}^`,
  'except-suffix': (name) => `@@||${name}^`,
};

describe('lookup', () => {
  const index = indexOf(
    ['||example.com^', '|exact.test^', '||zip^'],
    ['||www.example.com^', '||example.com^', '@@||good.example.com^', '@@|one.example.com^'],
    ['@@||com^', '||example.com^'],
  );
  it.each([
    ['example.com', ['0:1', '1:1']],
    ['www.example.com', ['1:2', '0:1']],
    ['a.b.www.example.com', ['1:2', '0:1']],
    ['good.example.com', ['0:1']],
    ['very.good.example.com', ['0:1']],
    ['one.example.com', ['0:1']],
    ['two.one.example.com', ['0:1', '1:1']],
    ['exact.test', ['0:1']],
    ['below.exact.test', []],
    ['notexample.com', []],
    ['com', []],
    ['files.zip', ['0:0']],
    ['zip', ['0:0']],
    ['other.test', []],
  ])('%s', (name, expected) => {
    expect(ask(index, name)).toEqual(expected);
    expect(ask(index, name, 'wire')).toEqual(expected);
  });

  it('F02 a sealed list keeps what its own exceptions would lift', () => {
    const builder = newBuilder();
    builder.addList(source('sealed', { sealed: true, category: 'illegal' }), [
      '||bad.example^',
      '@@||bad.example^',
    ]);
    expect(ask(openIndex(builder.finish('').buffer), 'a.bad.example')).toEqual(['0:1']);
  });

  it('within a list, exact and suffix entries of a name are one', () => {
    const both = indexOf(
      ['|a.example^', '||a.example^', '|a.example^'],
      ['@@|b.example^', '@@||b.example^', '||b.example^'],
    );
    expect(ask(both, 'x.a.example')).toEqual(['0:1']);
    expect(ask(both, 'x.b.example')).toEqual([]);
    expect(both.names).toBe(2);
    expect(both.lists.map((list) => list.entries)).toEqual([1, 2]);
  });

  it('an address is asked for like a name', () => {
    const addresses = indexOf(['||192.0.2.7^']);
    expect(ask(addresses, '192.0.2.7')).toEqual(['0:3']);
    expect(ask(addresses, '9.192.0.2.7')).toEqual([]);
  });

  it('marks of past lookups are forgotten, also when the turn counter comes round', () => {
    const small = indexOf(['||a.example^', '@@||b.a.example^']);
    matches.turn = 0xfffffff0;
    for (let i = 0; i < 12; i++) {
      expect(ask(small, 'b.a.example')).toEqual([]);
      expect(ask(small, 'a.example')).toEqual(['0:1']);
    }
    expect(matches.turn).toBeLessThan(100);
  });
});

describe('the index against the oracle', () => {
  const label = fc.constantFrom('a', 'b', 'c', 'xn--d', 'e-f');
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const dotted = name.map((text) => `${text}.t`);
  const kind = fc.constantFrom<EntryKind>('exact', 'suffix', 'suffix', 'except-exact', 'except-suffix');
  const lists = fc.array(fc.array(fc.tuple(dotted, kind), { maxLength: 25 }), { minLength: 1, maxLength: 6 });

  it('same answers for any lists and names, by text and by wire', () => {
    fc.assert(
      fc.property(lists, fc.array(dotted, { minLength: 1, maxLength: 30 }), (entries, asked) => {
        const oracle = createOracle();
        entries.forEach((list, id) => list.forEach(([text, k]) => oracle.add(id, text, k)));
        const index = indexOf(...entries.map((list) => list.map(([text, k]) => LINE[k](text))));
        expect(index.names).toBe(oracle.names.size);
        for (const text of [...asked, ...oracle.names.keys(), 't']) {
          const expected = oracle.matches(text);
          const got = ask(index, text);
          expect([...got].sort()).toEqual([...expected].sort());
          expect(ask(index, text, 'wire')).toEqual(got);
          const suffixes = got.map((match) => Number(match.split(':')[1]));
          expect(suffixes).toEqual([...suffixes].sort((x, y) => y - x));
        }
      }),
      { numRuns: 200 },
    );
  });

  it.each([0, 1, 2, 100, 5_000, 60_000])('%i names: all found, none else, at the load promised', (count) => {
    const builder = newBuilder();
    const names = Array.from({ length: count }, (_, i) => `n${i}.example`);
    // twice, in two orders, so that buckets settle early and merge
    const report = builder.addList(
      source('a'),
      names.map((text) => `||${text}^`),
    );
    builder.addList(
      source('b'),
      [...names].reverse().map((text) => `|${text}^`),
    );
    const built = builder.finish('d');
    const index = openIndex(built.buffer);
    expect(report.taken).toBe(count);
    expect(index).toMatchObject({
      names: count,
      digest: 'd',
      seed: SEED,
      bytes: built.bytes,
      capacity: built.capacity,
    });
    if (count >= 100) expect(count / (index.table.length / 3)).toBeGreaterThan(0.7);
    if (count >= 5_000) expect(index.bytes / count).toBeLessThan(17);
    for (let i = 0; i < count; i += Math.ceil(count / 5_000)) {
      expect(ask(index, `n${i}.example`)).toEqual(['0:1', '1:1']);
      expect(ask(index, `x.n${i}.example`)).toEqual(['0:1']);
      expect(ask(index, `m${i}.example`)).toEqual([]);
    }
  });

  it('the table is sorted by hash throughout and ends with an empty slot', () => {
    const { table } = indexOf(Array.from({ length: 20_000 }, (_, i) => `||n${i}.example^`));
    let before = -1;
    for (let at = 0; at < table.length; at += 3) {
      if (table[at + 2] === 0) continue;
      const key = (table[at] as number) * 2 ** 20 + (table[at + 1] as number) / 2 ** 12;
      expect(key).toBeGreaterThan(before);
      before = key;
    }
    expect(table.at(-1)).toBe(0);
  });

  it('buckets that grow large by repetition are merged on the way', () => {
    const builder = newBuilder();
    for (let i = 0; i < 200; i++)
      builder.addList(
        source(`l${i}`),
        Array.from({ length: 500 }, (_, n) => `||n${n}.example^`),
      );
    const index = openIndex(builder.finish('').buffer);
    expect(index.names).toBe(500);
    expect(ask(index, 'n499.example')).toHaveLength(200);
    expect(index.lists.every((list) => list.entries === 500)).toBe(true);
  });
});

describe('sets of lists', () => {
  it('thousands of lists in thousands of different sets', () => {
    const builder = newBuilder();
    const oracle = createOracle();
    for (let list = 0; list < 3_000; list++) {
      const names = Array.from({ length: 5 }, (_, k) => `n${(list * (k * 7 + 1) + k) % 2_000}.example`);
      builder.addList(
        source(`l${list}`),
        names.map((text) => `||${text}^`),
      );
      for (const text of names) oracle.add(list, text, 'suffix');
    }
    const index = openIndex(builder.finish('').buffer);
    expect(index.names).toBe(oracle.names.size);
    expect(index.setStart.length).toBeGreaterThan(1_000);
    for (const text of oracle.names.keys())
      expect(ask(index, text).sort()).toEqual(oracle.matches(text).sort());
  });

  it('a name may be in every list there can be, and one list more is refused', () => {
    const builder = newBuilder();
    for (let list = 0; list < 4096; list++) builder.addList(source(`l${list}`), ['||a.example^']);
    expect(() => builder.begin(source('more'))).toThrow('at most 4096 lists');
    const all = ask(openIndex(builder.finish('').buffer), 'a.example');
    expect(all).toHaveLength(4096);
    expect(all.at(-1)).toBe('4095:1');
  });

  it('an abandoned list leaves nothing behind', () => {
    const builder = newBuilder();
    builder.addList(source('first'), ['||a.example^', '||b.example^']);
    const broken = builder.begin(source('broken'));
    broken.chunk('||b.example^\n||c.example^\n@@||a.exa');
    broken.abandon();
    builder.addList(source('last'), ['||c.example^']);
    const index = openIndex(builder.finish('').buffer);
    expect(index.lists.map((list) => [list.id, list.name, list.entries])).toEqual([
      [0, 'first', 2],
      [1, 'last', 1],
    ]);
    expect(index.names).toBe(3);
    expect(ask(index, 'b.example')).toEqual(['0:1']);
    expect(ask(index, 'c.example')).toEqual(['1:1']);
    const alone = newBuilder();
    const only = alone.begin(source('only'));
    only.chunk('||c.example^\n');
    only.abandon();
    expect(openIndex(alone.finish('').buffer)).toMatchObject({ names: 0, lists: [] });
  });
});

describe('the builder as a sink of text', () => {
  const text =
    '\ufeff# héad\r\n0.0.0.0 a.example b.example\r\nbücher.example\n\n' +
    'x'.repeat(9_000) +
    '\r\nlast.example';
  const reference = readIn([text]);

  function readIn(pieces: readonly string[]): { report: unknown; found: string[][] } {
    const builder = newBuilder();
    const sink = builder.begin(source('l', { format: 'domains' }));
    for (const piece of pieces) sink.chunk(piece);
    const report = sink.end();
    const index = openIndex(builder.finish('').buffer);
    const asked = ['a.example', 'b.example', 'xn--bcher-kva.example', 'last.example'];
    return { report, found: asked.map((name) => ask(index, name)) };
  }

  it('reads line ends, a byte order mark, an endless line and a last line without an end', () => {
    expect(reference.report).toMatchObject({
      lines: 6,
      taken: 4,
      skipped: 1,
      reasons: { 'line too long': 1 },
    });
    expect(reference.found).toEqual([['0:1'], ['0:1'], ['0:1'], ['0:1']]);
  });

  it('gives the same however the text is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 40 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        expect(readIn(at.slice(1).map((end, i) => text.slice(at[i], end)))).toEqual(reference);
      }),
      { numRuns: 60 },
    );
  });

  it('fileEnd keeps the last line of a file apart from the first of the next', () => {
    const builder = newBuilder();
    const sink = builder.begin(source('l', { format: 'domains' }));
    sink.chunk('a.example');
    sink.fileEnd();
    sink.chunk('b.example');
    expect(sink.end()).toMatchObject({ lines: 2, taken: 2 });
  });
});

describe('openIndex', () => {
  const good = (): SharedArrayBuffer => {
    const builder = newBuilder();
    builder.addList(source('Größe "1" 漢', { category: 'spiele' }), ['||a.example^']);
    return builder.finish('a "digest" ✓').buffer;
  };

  it('gives back notes in any script', () => {
    const index = openIndex(good());
    expect(index.digest).toBe('a "digest" ✓');
    expect(index.lists).toEqual([
      { id: 0, name: 'Größe "1" 漢', category: 'spiele', sealed: false, entries: 1 },
    ]);
  });

  const words = (alter: (header: Uint32Array) => void): (() => unknown) => {
    const buffer = good();
    alter(new Uint32Array(buffer));
    return () => openIndex(buffer);
  };

  it.each<[string, (all: Uint32Array) => void, string]>([
    ['another file', (all) => (all[0] = 1), 'does not begin as an index'],
    ['another byte order', (all) => (all[0] = 0x53474958), 'another byte order'],
    ['another version', (all) => (all[1] = 7), 'its version is 7, this program reads 2'],
    ['another size', (all) => (all[6]! += 5), 'its header speaks of'],
    ['a capacity of nothing', (all) => (all[5] = 0), 'impossible size'],
    ['a capacity beyond the slots', (all) => (all[5] = 1e9), 'impossible size'],
    ['more names than slots', (all) => (all[4] = 1e9), 'impossible size'],
    [
      'no empty slot at the end',
      (all) => (all[16 + (all[6] as number) * 3 - 1] = 1),
      'end with an empty slot',
    ],
    ['sets out of order', (all) => (all[16 + (all[6] as number) * 3] = 99), 'do not fit together'],
    [
      'a list that is not there',
      (all) => (all[16 + (all[6] as number) * 3 + 3] = 4 * 77),
      'do not fit together',
    ],
    ['notes that are not JSON', (all) => (all[16 + (all[6] as number) * 3 + 4] = 0), 'notes on the lists'],
  ])('refuses %s', (_, alter, message) => expect(words(alter)).toThrow(message));

  it('refuses what is shorter than a header', () => {
    expect(() => openIndex(new SharedArrayBuffer(0))).toThrow('only 0 bytes');
    expect(() => openIndex(good().slice(0, 80))).toThrow('its header speaks of');
  });

  it('never ends in anything but an index or an Error, whatever one word becomes', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(0xffffffff), (at, value) => {
        const buffer = good();
        const all = new Uint32Array(buffer);
        all[at % all.length] = value;
        try {
          const index = openIndex(buffer);
          hashName(index.seed, 'x.a.example', hashes);
          lookup(index, hashes, matches);
        } catch (error) {
          expect((error as Error).message).toMatch(/^not a usable block index: /);
        }
      }),
      { numRuns: 300 },
    );
  });
});
