import { expect, test } from 'vitest';
import fc from 'fast-check';
import { createNameHashes, hashName } from '../../src/blocklist/hash.ts';
import { createSuffixTable, findRow, localName } from '../../src/policy/suffix-table.ts';
import { SEED } from './fixture.ts';

test('finds exactly the names given, with all their values (property, against a Map)', () => {
  const name = fc
    .tuple(fc.constantFrom('a', 'b', 'c', 'dd'), fc.constantFrom('x', 'y'), fc.constantFrom('test', 'org'))
    .map((l) => l.join('.'));
  fc.assert(
    fc.property(
      fc.array(fc.record({ name, value: fc.nat(1000) }), { maxLength: 30 }),
      name,
      (entries, asked) => {
        const table = createSuffixTable(SEED, entries);
        const hashes = createNameHashes();
        for (const host of [asked, `sub.${asked}`]) {
          hashName(SEED, host, hashes);
          const row = findRow(table, hashes, 2);
          const expected = entries.filter((e) => e.name === asked).map((e) => e.value);
          const values =
            row < 0 ? [] : [...table.values.subarray(table.rowStart[row], table.rowStart[row + 1])];
          expect(values).toEqual(expected);
        }
      },
    ),
  );
});

test('both halves of a hash must agree', () => {
  const table = createSuffixTable(SEED, [{ name: 'a.test', value: 7 }]);
  const hashes = createNameHashes();
  hashName(SEED, 'a.test', hashes);
  expect(findRow(table, hashes, 1)).toBe(0);
  hashes.hi[1] = ((hashes.hi[1] ?? 0) ^ 1) >>> 0;
  expect(findRow(table, hashes, 1)).toBe(-1);
});

test.each([
  ['A.Test.', 'a.test'],
  ['203.0.113.9', '203.0.113.9'],
  ['2001:DB8:0::9', '2001:db8::9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['*.a.test', null],
  ['a b', null],
  ['', null],
  ['1.2.3', null],
])('%s is looked up as %s', (text, expected) => expect(localName(text)).toBe(expected));

test('names that cannot be used are left out', () => {
  expect(
    createSuffixTable(SEED, [
      { name: '*.a.test', value: 1 },
      { name: '', value: 2 },
    ]).rows,
  ).toBe(0);
});
