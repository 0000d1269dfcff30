// Lists of addresses: what is said of an address asked for, and of one that an answer leads to.

import { describe, expect, it } from 'vitest';
import { decideChain } from '../../src/policy/chain.ts';
import { addressBytes, addressOf, formatAddress, parseAddress } from '../../src/policy/networks.ts';
import { buildIndex, client, engineWith, group, NOW, override, policy } from './fixture.ts';

const model = policy({
  timetables: { never: [] },
  groups: {
    pupils: group({
      default: 'allow',
      directIp: 'allow',
      ratings: { 'dns-bypass': { kind: 'unacceptable' }, shopping: { kind: 'timed', timetables: ['never'] } },
      allow: ['192.0.2.99', 'allowed.test'],
      deny: ['198.51.100.1'],
    }),
    staff: group({ default: 'allow', directIp: 'allow', ratings: { 'dns-bypass': { kind: 'acceptable' } } }),
    strict: group({ default: 'block' }),
  },
});
const index = buildIndex({
  resolvers: { category: 'dns-bypass', format: 'ips', names: ['192.0.2.0/24', '2001:db8:53::/48'] },
  shops: { category: 'shopping', format: 'ips', names: ['203.0.113.0/24'] },
  police: { category: 'illegal', format: 'ips', names: ['192.0.2.66', '203.0.113.66'] },
  names: { category: 'dns-bypass', names: ['blocked.test', '198.51.100.9'] },
});
const engine = engineWith(model, index, [
  override({ names: ['203.0.113.5'], scope: { groups: ['pupils'], classes: [], users: [] } }),
]);
const pupil = client({ group: 'pupils' });
const staff = client({ group: 'staff' });
const bytes = (text: string): Uint8Array => addressBytes(parseAddress(text)!);

describe('an address that is asked for', () => {
  it.each([
    ['192.0.2.7', pupil, 'block', 'unacceptable', 'resolvers'],
    ['::ffff:192.0.2.7', pupil, 'block', 'unacceptable', 'resolvers'],
    ['2001:db8:53::1', pupil, 'block', 'unacceptable', 'resolvers'],
    ['2001:db8:54::1', pupil, 'allow', 'default-allow', null],
    ['192.0.2.7', staff, 'allow', 'acceptable', 'resolvers'],
    ['192.0.2.66', staff, 'block', 'illegal', 'police'],
    ['192.0.2.99', pupil, 'allow', 'local-allow', null],
    ['203.0.113.4', pupil, 'block', 'timed', 'shops'],
    ['203.0.113.5', pupil, 'allow', 'override', null],
    ['198.51.100.1', pupil, 'block', 'local-deny', null],
    ['198.51.100.9', pupil, 'block', 'unacceptable', 'names'],
    ['198.51.100.10', pupil, 'allow', 'default-allow', null],
  ] as const)('F03 F12 %s of %o', (host, who, action, reason, list) => {
    expect(engine.decideHost(host, who, NOW, 'http')).toMatchObject({ action, reason, list });
  });

  it('F12 a group that may not ask by address is told so, but a sealed list comes first', () => {
    expect(engine.decideHost('192.0.2.7', client(), NOW, 'http').reason).toBe('direct-ip');
    expect(engine.decideHost('192.0.2.66', client(), NOW, 'http').reason).toBe('illegal');
  });

  it('M03 explain names the lists that hold it, and so does the look-up of lists', () => {
    const { trace, verdict } = engine.explain('192.0.2.7', pupil, NOW, 'http');
    expect(verdict.list).toBe('resolvers');
    expect(trace.at(-1)!.detail).toContain(
      '192.0.2.7 is in resolvers (dns-bypass); dns-bypass is unacceptable',
    );
    expect(engine.lists('192.0.2.66').map(({ list, name }) => `${list.name} ${name}`)).toEqual([
      'resolvers 192.0.2.66',
      'police 192.0.2.66',
    ]);
    expect(engine.lists('2001:db8:53::1').map(({ name }) => name)).toEqual(['2001:db8:53::1']);
  });
});

describe('an address that an answer leads to', () => {
  it.each([
    ['192.0.2.7', pupil, 'block', 'unacceptable'],
    ['::ffff:192.0.2.7', pupil, 'block', 'unacceptable'],
    ['64:ff9b::192.0.2.7', pupil, 'block', 'unacceptable'],
    ['2001:db8:53::1', pupil, 'block', 'unacceptable'],
    ['192.0.2.7', staff, 'allow', 'acceptable'],
    ['192.0.2.66', staff, 'block', 'illegal'],
    ['192.0.2.99', pupil, 'allow', 'local-allow'],
    ['203.0.113.5', pupil, 'allow', 'override'],
  ] as const)('F12 %s of %o', (address, who, action, reason) => {
    expect(engine.decideAddress(bytes(address), who, NOW)).toMatchObject({ action, reason });
  });

  it('is nobody’s business when no list of addresses holds it: neither lists of names nor rules are about answers', () => {
    for (const address of ['198.51.100.1', '198.51.100.9', '198.51.100.10', '2001:db8:54::1'])
      expect(engine.decideAddress(bytes(address), pupil, NOW)).toBeNull();
    for (const length of [0, 3, 5, 17])
      expect(engine.decideAddress(new Uint8Array(length), pupil, NOW)).toBeNull();
  });

  it('F12 does not count as asked for by address', () => {
    expect(engine.decideAddress(bytes('192.0.2.7'), client(), NOW)).toMatchObject({ reason: 'unrated' });
  });

  it('leaves the hashes of the name alone', () => {
    const packet = Uint8Array.from([7, ...Buffer.from('blocked'), 4, ...Buffer.from('test'), 0]);
    engine.hash(packet, 0);
    engine.decideAddress(bytes('192.0.2.7'), pupil, NOW);
    expect(engine.decideHashed(engine.profile(pupil), pupil, NOW)).toMatchObject({ list: 'names' });
  });

  const through = (host: string, who: typeof pupil, ...addresses: string[]) =>
    decideChain(engine.decideHost(host, who, NOW, 'http'), addresses, (address) =>
      engine.decideAddress(bytes(address), who, NOW),
    );

  it('F12 blocks the name that leads there, with the list that decided', () => {
    expect(through('free.test', pupil, '198.51.100.10')).toMatchObject({ reason: 'default-allow' });
    expect(through('free.test', pupil, '198.51.100.10', '192.0.2.7')).toMatchObject({
      action: 'block',
      reason: 'unacceptable',
      list: 'resolvers',
    });
    expect(through('free.test', staff, '192.0.2.7')).toMatchObject({ action: 'allow' });
  });

  it('F08 F02 an allowed name brings the addresses it needs, never a sealed one', () => {
    expect(through('allowed.test', pupil, '192.0.2.7')).toMatchObject({ reason: 'local-allow' });
    expect(through('allowed.test', pupil, '192.0.2.7', '203.0.113.66')).toMatchObject({ reason: 'illegal' });
  });

  it('F12 without an index everything is blocked', () => {
    const empty = engineWith(model, buildIndex({ names: { category: 'c', names: ['x.test'] } }));
    expect(empty.hasAddressLists()).toBe(false);
    expect(empty.decideAddress(bytes('192.0.2.7'), pupil, NOW)).toBeNull();
    expect(engine.hasAddressLists()).toBe(true);
  });
});

describe('addresses as bytes', () => {
  it.each(['192.0.2.7', '0.0.0.0', '255.255.255.255', '2001:db8::1', '::', 'ffff::ffff'])('%s', (text) => {
    expect(formatAddress(addressOf(bytes(text))!)).toBe(text);
  });
  it('::ffff: forms are IPv4, other lengths nothing', () => {
    const mapped = Uint8Array.from([...new Array<number>(10).fill(0), 255, 255, 192, 0, 2, 7]);
    expect(formatAddress(addressOf(mapped)!)).toBe('192.0.2.7');
    expect(addressOf(new Uint8Array(5))).toBeNull();
  });
});
