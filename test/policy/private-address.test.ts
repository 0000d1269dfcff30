import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { compileNetworks, isPrivateAddress, matchesNetworks } from '../../src/policy/private-address.ts';
import { createNetworkTable, formatAddress, parseAddress, parseNetwork } from '../../src/policy/networks.ts';

describe('private addresses', () => {
  test.each([
    '127.0.0.1',
    '127.255.255.254',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.1.1',
    '100.64.0.1',
    '100.127.255.255',
    '0.0.0.0',
    '0.1.2.3',
    '224.0.0.1',
    '239.255.255.255',
    '255.255.255.255',
    '240.0.0.1',
    '198.18.0.1',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::ffff:808:808',
    '::7f00:1',
    '::127.0.0.1',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'fe80::1%eth0',
    'febf::1',
    'fec0::1',
    'ff02::1',
    '64:ff9b::a00:1',
    '64:ff9b:1::1',
    '2002:7f00:1::',
    '2002:808:808::1',
    '2001::1',
    '100::1',
  ])('%s is private', (address) => expect(isPrivateAddress(address)).toBe(true));

  test.each([
    '8.8.8.8',
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.1',
    '192.167.255.255',
    '223.255.255.255',
    '11.0.0.0',
    '2001:4860:4860::8888',
    '2606:4700::1',
    'fbff::1',
    '64:ff9b:2::1',
    '2003::1',
  ])('%s is not', (address) => expect(isPrivateAddress(address)).toBe(false));

  test.each([
    '',
    'example.com',
    '127.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '2130706433',
    '1.2.3.4.5',
    '1.2.3.256',
    '10.0.0.0/8',
    ':::',
    'x'.repeat(1000),
  ])('what is no address counts as private: %s', (text) => expect(isPrivateAddress(text)).toBe(true));
});

describe('networks', () => {
  const networks = compileNetworks(['10.2.0.0/24', '::1', '2001:db8::/48', '::ffff:192.0.2.0/120']);

  test.each([
    ['10.2.0.7', true],
    ['10.2.1.7', false],
    ['::ffff:10.2.0.7', true],
    ['::FFFF:0a02:0007', true],
    ['::1', true],
    ['::2', false],
    ['2001:DB8:0:ffff::1', true],
    ['2001:db8:1::1', false],
    ['192.0.2.9', true],
    ['192.0.3.9', false],
    ['nonsense', false],
  ])('%s: %s', (address, expected) => expect(matchesNetworks(address, networks)).toBe(expected));

  test('IPv6 everything does not hold IPv4, nor the other way', () => {
    expect(matchesNetworks('10.0.0.1', compileNetworks(['::/0']))).toBe(false);
    expect(matchesNetworks('2001:db8::1', compileNetworks(['0.0.0.0/0']))).toBe(false);
    expect(matchesNetworks('255.1.2.3', compileNetworks(['0.0.0.0/0']))).toBe(true);
  });

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0/8',
    '::/129',
    'example.com',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.0/95',
  ])('a wrong network is named: %s', (text) => {
    expect(parseNetwork(text)).toBeNull();
    expect(() => compileNetworks([text])).toThrow(text);
  });

  test('bits below the prefix are dropped and remembered', () => {
    expect(parseNetwork('10.2.0.7/24')).toMatchObject({ prefix: 24, hadHostBits: true });
    expect(parseNetwork('10.2.0.0/24')).toMatchObject({ prefix: 24, hadHostBits: false });
  });

  test('addresses have one way of being written', () => {
    const normal = (text: string): string => formatAddress(parseAddress(text) ?? { family: 4, words: [0] });
    expect(normal('2001:DB8:0:0:0:0:0:1')).toBe('2001:db8::1');
    expect(normal('::ffff:10.2.0.7')).toBe('10.2.0.7');
    expect(normal('255.255.255.255')).toBe('255.255.255.255');
  });

  test('IPv6 reads and writes as the URL parser does (property)', () => {
    const part = fc.oneof(
      fc.constantFrom('0', '0', '0', '1', 'ffff', 'A', '10', '00', '12345', 'g', '', ':', '1.2.3.4', '1.2.3'),
    );
    const made = fc.array(part, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(':'));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV6(),
          made,
          made.map((text) => text.replace(/:0:/, '::')),
        ),
        (text) => {
          if (!text.includes(':')) return;
          const address = parseAddress(text);
          const valid = URL.canParse(`http://[${text}]/`);
          expect(address !== null).toBe(valid);
          if (address === null) return;
          const normal = formatAddress(address);
          const back = address.family === 4 ? `::ffff:${normal}` : normal;
          expect(new URL(`http://[${back}]/`).hostname).toBe(new URL(`http://[${text}]/`).hostname);
          if (address.family === 6) expect(`[${normal}]`).toBe(new URL(`http://[${text}]/`).hostname);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('the narrowest network wins, whatever the order (property, against bits)', () => {
    const entry = fc.record({
      word: fc.nat(0xffffffff).map((n) => n & 0xff0000ff),
      prefix: fc.integer({ min: 0, max: 32 }),
    });
    const dotted = (n: number): string => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255].join('.');
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 12 }),
        fc.nat(0xffffffff),
        fc.nat(11),
        (entries, random, pick) => {
          const near =
            entries.length > 0 ? (entries[pick % entries.length]?.word ?? 0) ^ (random & 3) : random;
          const bits = (n: number): string => (n >>> 0).toString(2).padStart(32, '0');
          const holds = entries.filter(
            (e) => bits(e.word).slice(0, e.prefix) === bits(near).slice(0, e.prefix),
          );
          const expected = holds.length === 0 ? null : Math.max(...holds.map((e) => e.prefix));
          const table = createNetworkTable(
            entries.flatMap((e) => {
              const network = parseNetwork(`${dotted(e.word)}/${e.prefix}`);
              return network === null ? [] : [{ network, value: e.prefix }];
            }),
          );
          expect(table.find(dotted(near))).toBe(expected);
          expect(table.find(`::ffff:${dotted(near)}`)).toBe(expected);
        },
      ),
    );
  });
});
