// The table of special-use names by RFC: which are answered here, how, and which only look like one.

import { describe, expect, it } from 'vitest';
import { specialAnswer, specialName, specialReply } from '../../src/dns/special-names.ts';
import { ANSWER_ROOM } from '../../src/dns/types.ts';
import { createQuery, parseQuery } from '../../src/dns/wire.ts';
import { asked, readAnswer } from './own-answers.ts';
import type { OwnAnswer } from './own-answers.ts';

function answer(name: string, type = 'A'): OwnAnswer | null {
  const { packet, query } = asked(name, type);
  const special = specialAnswer(packet, query);
  if (special === null) return null;
  const out = new Uint8Array(ANSWER_ROOM);
  const base = 7; // a reply may be written anywhere
  return readAnswer(out.slice(base, specialReply(out, base, packet, query, special)));
}

const ones = (count: number, of: string): string => Array.from({ length: count }, () => of).join('.');
const zeros31 = ones(31, '0');

/** RFC, name, type, RCODE, data, owner of the SOA of a negative answer. */
const TABLE: readonly [string, string, string, number, unknown[], string | null][] = [
  ['6761', 'localhost', 'A', 0, ['127.0.0.1'], null],
  ['6761', 'LocalHost', 'AAAA', 0, ['::1'], null],
  ['6761', 'a.b.localhost', 'A', 0, ['127.0.0.1'], null],
  ['6761', 'localhost', 'MX', 0, [], 'localhost'],
  ['6761', 'invalid', 'A', 3, [], 'invalid'],
  ['6761', 'x.INVALID', 'A', 3, [], 'INVALID'],
  ['6761', 'www.test', 'A', 3, [], 'test'],
  ['6762', 'printer.local', 'AAAA', 3, [], 'local'],
  ['7686', 'abcdef.onion', 'A', 3, [], 'onion'],
  ['9476', 'site.alt', 'A', 3, [], 'alt'],
  ['ICANN', 'nas.internal', 'A', 3, [], 'internal'],
  ['8375', 'nas.home.arpa', 'A', 3, [], 'home.arpa'],
  ['8375', 'home.arpa', 'A', 0, [], 'home.arpa'],
  ['9462', '_dns.resolver.arpa', 'SVCB', 0, [], 'resolver.arpa'],
  ['9462', 'resolver.arpa', 'A', 0, [], 'resolver.arpa'],
  ['9665', 'x.default.service.arpa', 'A', 3, [], 'service.arpa'],
  ['7535', 'empty.as112.arpa', 'A', 0, [], 'empty.as112.arpa'],
  ['7535', '1.empty.as112.arpa', 'PTR', 3, [], 'empty.as112.arpa'],
  ['6303', '10.in-addr.arpa', 'PTR', 0, [], '10.in-addr.arpa'],
  ['6303', '9.0.0.10.in-addr.arpa', 'PTR', 3, [], '10.in-addr.arpa'],
  ['6303', '9.0.0.10.IN-ADDR.ARPA', 'PTR', 3, [], '10.IN-ADDR.ARPA'],
  ['8020', '1.16.172.in-addr.arpa', 'PTR', 0, [], '16.172.in-addr.arpa'],
  ['6303', '1.1.31.172.in-addr.arpa', 'PTR', 3, [], '31.172.in-addr.arpa'],
  ['6303', '1.0.168.192.in-addr.arpa', 'PTR', 3, [], '168.192.in-addr.arpa'],
  ['6303', '1.0.0.0.in-addr.arpa', 'PTR', 3, [], '0.in-addr.arpa'],
  ['6303', '4.3.254.169.in-addr.arpa', 'PTR', 3, [], '254.169.in-addr.arpa'],
  ['6303', '4.2.0.192.in-addr.arpa', 'PTR', 3, [], '2.0.192.in-addr.arpa'],
  ['6303', '4.100.51.198.in-addr.arpa', 'PTR', 3, [], '100.51.198.in-addr.arpa'],
  ['6303', '4.113.0.203.in-addr.arpa', 'PTR', 3, [], '113.0.203.in-addr.arpa'],
  ['6303', '255.255.255.255.in-addr.arpa', 'PTR', 0, [], '255.255.255.255.in-addr.arpa'],
  ['6303', '1.0.0.127.in-addr.arpa', 'PTR', 0, ['localhost'], null],
  ['6303', '1.0.0.127.in-addr.arpa', 'A', 0, [], '127.in-addr.arpa'],
  ['6303', '0.0.127.in-addr.arpa', 'PTR', 0, [], '127.in-addr.arpa'],
  ['6303', '0.127.in-addr.arpa', 'PTR', 0, [], '127.in-addr.arpa'],
  ['6303', '127.in-addr.arpa', 'PTR', 0, [], '127.in-addr.arpa'],
  ['8020', '0.0.10.in-addr.arpa', 'PTR', 0, [], '10.in-addr.arpa'],
  ['6303', '2.0.0.127.in-addr.arpa', 'PTR', 3, [], '127.in-addr.arpa'],
  ['6303', '1.1.0.0.127.in-addr.arpa', 'PTR', 3, [], '127.in-addr.arpa'],
  ['7793', '1.0.64.100.in-addr.arpa', 'PTR', 3, [], '64.100.in-addr.arpa'],
  ['7793', '127.100.in-addr.arpa', 'PTR', 0, [], '127.100.in-addr.arpa'],
  ['6303', `0.${zeros31}.ip6.arpa`, 'PTR', 0, [], `0.${zeros31}.ip6.arpa`],
  ['6303', `1.${zeros31}.ip6.arpa`, 'PTR', 0, ['localhost'], null],
  ['6303', `x.1.${zeros31}.ip6.arpa`, 'PTR', 3, [], `1.${zeros31}.ip6.arpa`],
  ['6303', `${ones(30, '1')}.d.f.ip6.arpa`, 'PTR', 3, [], 'd.f.ip6.arpa'],
  ['6303', '8.e.f.ip6.arpa', 'PTR', 0, [], '8.e.f.ip6.arpa'],
  ['8020', '1.B.E.F.ip6.arpa', 'PTR', 0, [], 'B.E.F.ip6.arpa'],
  ['8020', '1.8.b.d.0.1.0.0.2.ip6.arpa', 'PTR', 0, [], '8.b.d.0.1.0.0.2.ip6.arpa'],
];

describe('special-use names', () => {
  it.each(TABLE)('RFC %s: %s %s is answered here', (_rfc, name, type, rcode, data, zone) => {
    const got = answer(name, type)!;
    expect(got).toMatchObject({ rcode, aa: true, soa: zone });
    expect(got.decoded.answers!.map((record) => ('data' in record ? record.data : null))).toEqual(data);
  });

  it.each(['10.in-addr.arpa', '8.b.d.0.1.0.0.2.ip6.arpa', 'home.arpa', `1.${zeros31}.ip6.arpa`])(
    'RFC 6303: %s has an SOA and an NS of its own',
    (name) => {
      expect(answer(name, 'SOA')!.answers).toEqual([`${name} SOA ${name}`]);
      expect(answer(name, 'NS')!.answers).toEqual([`${name} NS ${name}`]);
    },
  );

  it.each([
    'locals',
    'mylocal',
    'example',
    'www.example',
    'com',
    '.',
    'arpa',
    'in-addr.arpa',
    'ip6.arpa',
    'notresolver.arpa',
    'nothome.arpa',
    'as112.arpa',
    '8.8.8.8.in-addr.arpa',
    '010.in-addr.arpa',
    '10a.in-addr.arpa',
    '256.in-addr.arpa',
    '172.in-addr.arpa',
    '15.172.in-addr.arpa',
    '32.172.in-addr.arpa',
    '63.100.in-addr.arpa',
    '128.100.in-addr.arpa',
    '192.in-addr.arpa',
    '0.192.in-addr.arpa',
    '3.0.192.in-addr.arpa',
    '254.255.255.255.in-addr.arpa',
    '255.255.255.in-addr.arpa',
    '10.xin-addr.arpa',
    'e.f.ip6.arpa',
    'c.f.ip6.arpa',
    '7.e.f.ip6.arpa',
    'b.d.0.1.0.0.2.ip6.arpa',
    '9.b.d.0.1.0.0.2.ip6.arpa',
    `2.${zeros31}.ip6.arpa`,
    zeros31 + '.ip6.arpa',
    '10.in-addr.arpa.example',
    'localhost.example',
  ])('%s is a name like any other', (name) => {
    expect(answer(name)).toBeNull();
    if (name !== '.') expect(specialName(name)).toBeNull();
  });

  it('RFC 8375: the DS of home.arpa comes from its parent, that of names below does not', () => {
    expect(answer('home.arpa', 'DS')).toBeNull();
    expect(answer('nas.home.arpa', 'DS')).toMatchObject({ rcode: 3 });
  });

  it('is not taken in by length bytes inside a label', () => {
    const nameOf = (labels: string[]): Buffer =>
      Buffer.concat([
        ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')])),
        Buffer.from([0]),
      ]);
    const { packet } = asked('.');
    for (const labels of [
      ['x\x08resolver', 'arpa'],
      ['x\x0210\x07in-addr', 'arpa'],
      ['x\x0210', 'in-addr', 'arpa'],
      ['1\x01d', 'f', 'ip6', 'arpa'],
      ['x\x01d\x01f', 'ip6', 'arpa'],
    ]) {
      const bytes = Buffer.concat([packet.subarray(0, 12), nameOf(labels), packet.subarray(13)]);
      const query = createQuery();
      expect(parseQuery(bytes, bytes.length, query)).toBe(0);
      expect(specialAnswer(bytes, query)).toBeNull();
    }
  });
});
