// Names: what is one, in which form, and what is an address.

import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalName, isIpLiteral, suffixName } from '../../src/blocklist/names.ts';

const canonical = (text: string): string | null => canonicalName(text, domainToASCII);

describe('canonicalName', () => {
  it.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['example.com.', 'example.com'],
    ['_dmarc.example.com', '_dmarc.example.com'],
    ['-odd-.example.com', '-odd-.example.com'],
    ['localhost', 'localhost'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['BÜCHER.example', 'xn--bcher-kva.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['例え。テスト', 'xn--r8jz45g.xn--zckzah'],
    ['192.0.2.7', '192.0.2.7'],
    ['1.2.3.4.example', '1.2.3.4.example'],
    ['abc.de', 'abc.de'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
    [`${'a.'.repeat(126)}a`, `${'a.'.repeat(126)}a`],
    [`${'a.'.repeat(126)}a.`, `${'a.'.repeat(126)}a`],
  ])('%s is %s', (text, name) => expect(canonical(text)).toBe(name));

  it.each([
    '',
    '.',
    '..',
    '.example.com',
    'a..b',
    'a.b..',
    ' example.com',
    'exa mple.com',
    'example.com:80',
    'http://example.com',
    'example.com/x',
    'user@example.com',
    '*.example.com',
    'exam\u0000ple.com',
    'exam\ufffdple.com',
    '2001:db8::1',
    '[::1]',
    // what clients would read as an address in other clothes
    '1.2.3',
    '256.1.1.1',
    '01.2.3.4',
    '0x7f.1',
    'example.0x',
    'example.123',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}a`,
  ])('%j is none', (text) => expect(canonical(text)).toBeNull());

  it('is settled at the first go, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.domain(), fc.webUrl()), (text) => {
        const name = canonical(text);
        if (name === null) return;
        expect(name).toMatch(/^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/);
        expect(name.length).toBeLessThanOrEqual(253);
        expect(canonical(name)).toBe(name);
      }),
    );
  });
});

describe('isIpLiteral', () => {
  it.each([
    '0.0.0.0',
    '255.255.255.255',
    '127.0.0.1',
    '::',
    '::1',
    '2001:db8::1',
    'fe80::1',
    '::ffff:1.2.3.4',
    '1:2:3:4:5:6:7:8',
  ])('%s is an address', (text) => expect(isIpLiteral(text)).toBe(true));
  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1..2.3',
    '1.2.3.',
    'a.b.c.d',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    'fe80::1%eth0',
    '12345::',
  ])('%j is none', (text) => expect(isIpLiteral(text)).toBe(false));
});

it('suffixName counts labels from the right', () => {
  expect([0, 1, 2, 3, 9].map((n) => suffixName('www.bbc.co.uk', n))).toEqual([
    'uk',
    'co.uk',
    'bbc.co.uk',
    'www.bbc.co.uk',
    'www.bbc.co.uk',
  ]);
});
