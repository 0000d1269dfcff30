// Formats found out from the first lines, and files that no format fits: nothing throws, nothing is slow.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detectFormat } from '../../src/blocklist/parse-list.ts';
import type { ListFormat } from '../../src/blocklist/types.ts';
import { parse } from './parse.ts';

describe('detectFormat', () => {
  it.each([
    ['', 'domains'],
    ['# c\nexample.com\nother.com', 'domains'],
    ['# c\n0.0.0.0 example.com\n0.0.0.0 other.com\nx.com', 'hosts'],
    ['127.0.0.1 localhost\n::1 localhost', 'hosts'],
    ['[Adblock Plus 2.0]\n', 'adblock'],
    ['! c\n||example.com^\n@@||b.com^', 'adblock'],
    ['server=/example.com/\nserver=/b.com/', 'dnsmasq'],
    ['address=/example.com/0.0.0.0', 'dnsmasq'],
    ['$TTL 60\n@ SOA a. b. 1 2 3 4 5\nexample.com CNAME .', 'rpz'],
    ['*.example.com\n*.b.com\nc.com', 'wildcard'],
    ['192.0.2.7\n192.0.2.8', 'ips'],
    ['\ufeff# c\n192.0.2.7 # one\r\n\n2001:db8::/32\n192.0.2.1-192.0.2.9\n', 'ips'],
    ['192.0.2.7\n192.0.2.8\nexample.com', 'domains'],
    ['0.0.0.0 example.com\n192.0.2.7', 'hosts'],
    ['0.0.0.0/0', 'ips'],
    ['# nothing', 'domains'],
    ['\r\n0.0.0.0 example.com\r\n', 'hosts'],
  ])('%j is %s', (head, format) => expect(detectFormat(head)).toBe(format));

  it('auto reads a file as if its format had been named, however long', () => {
    for (const [format, write] of [
      ['hosts', (i: number) => `0.0.0.0 n${i}.example`],
      ['adblock', (i: number) => `||n${i}.example^`],
      ['dnsmasq', (i: number) => `server=/n${i}.example/`],
    ] as const) {
      for (const count of [1, 10_000]) {
        const lines = Array.from({ length: count }, (_, i) => write(i));
        const auto = parse('auto', lines);
        expect(auto.report).toMatchObject({ format, lines: count, taken: count });
        expect(auto.entries).toEqual(parse(format, lines).entries);
      }
    }
  });
});

describe('files that begin with addresses', () => {
  const addresses = Array.from({ length: 20_000 }, (_, i) => `192.0.${i >> 8}.${i & 255}`);

  it('are lists of names when a name follows, however late', () => {
    const { entries, report } = parse('auto', [...addresses, 'example.com']);
    expect(report).toMatchObject({ format: 'domains', lines: 20_001, taken: 20_001, skipped: 0 });
    expect(entries[0]).toBe('exact 192.0.0.0');
    expect(entries.at(-1)).toBe('suffix example.com');
  });

  it('are lists of addresses when none does', () => {
    const { entries, report } = parse('auto', ['# addresses', ...addresses, '']);
    expect(report).toMatchObject({ format: 'ips', lines: 20_002, taken: 20_000, skipped: 0 });
    expect(entries[0]).toBe('range 192.0.0.0');
  });

  it('are settled when very many were held back', () => {
    const { report } = parse('auto', [...Array.from({ length: 420_000 }, () => '192.0.2.7'), 'example.com']);
    expect(report).toMatchObject({ format: 'ips', taken: 420_000, skipped: 1 });
  });
});

describe('hostile files', () => {
  const formats = fc.constantFrom<ListFormat>(
    'auto',
    'hosts',
    'domains',
    'wildcard',
    'adblock',
    'dnsmasq',
    'rpz',
    'squidguard',
    'ips',
  );
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.domain(),
    fc.ipV4(),
    fc.ipV6(),
    fc.constantFrom(
      '||',
      '^',
      '@@',
      '$',
      '*.',
      '.',
      '/',
      'address=',
      'server=',
      '0.0.0.0',
      '#',
      '(',
      ')',
      ' CNAME .',
      '.rpz-ip',
      '32.',
      '/',
      '-',
      ':',
      ' ',
      '\t',
      '"',
      ';',
      '\ufeff',
      '\u0000',
    ),
  );
  const line = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));

  it('nothing throws, every entry is a canonical name or an address, and the counts agree', () => {
    fc.assert(
      fc.property(formats, fc.array(line, { maxLength: 12 }), (format, lines) => {
        const { entries, report } = parse(format, lines);
        expect(report.lines).toBe(lines.length);
        expect(report.taken).toBe(entries.length);
        expect(Object.values(report.reasons).reduce((sum, count) => sum + count, 0)).toBe(report.skipped);
        for (const entry of entries)
          expect(entry).toMatch(/^(?:(except-)?(exact|suffix) [a-z0-9_.:-]{1,253}|range [0-9a-f.:-]{2,79})$/);
      }),
      { numRuns: 300 },
    );
  });

  it('lines made to be slow are not', () => {
    const began = performance.now();
    for (const text of [
      '/'.repeat(4096),
      '#@'.repeat(2048),
      '||' + '^$'.repeat(2000),
      'a.'.repeat(2048),
      ':'.repeat(4096),
      '('.repeat(4096),
      '"'.repeat(4096),
      ' a'.repeat(2048),
      '-'.repeat(4096),
      '1.'.repeat(1800) + 'rpz-ip CNAME .',
      'zz.'.repeat(1300) + 'rpz-ip CNAME .',
    ]) {
      for (const format of ['hosts', 'domains', 'adblock', 'dnsmasq', 'rpz', 'ips', 'auto'] as const)
        parse(format, [text]);
    }
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
