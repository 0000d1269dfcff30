// Local records: how they are found and answered, against a plain oracle and read by other code than ours.

import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createNameHashes, hashWireName } from '../../src/blocklist/hash.ts';
import { createLocalLookup } from '../../src/dns/local-lookup.ts';
import { compileLocalRecords, findLocal } from '../../src/dns/local-records.ts';
import type { LocalSource } from '../../src/dns/local-records.ts';
import { localReply } from '../../src/dns/local-reply.ts';
import { DATAGRAM_ROOM } from '../../src/dns/types.ts';
import { parseRecordName, parseRecordValue } from '../../src/resolver/local-record.ts';
import type { LocalRecord, RecordType } from '../../src/resolver/local-record.ts';
import { asked, readAnswer } from './own-answers.ts';
import type { OwnAnswer } from './own-answers.ts';

const SEED = { lo: 0x1234567, hi: 0x89abcde };

function record(name: string, type: RecordType, value: string, ttl = 60): LocalRecord {
  const owner = parseRecordName(name, type, domainToASCII);
  const data = parseRecordValue(type, value, domainToASCII);
  if (!owner.ok || !data.ok) throw new Error(`${name} ${type} ${value}`);
  return { name: owner.value, type, value: data.value, ttl };
}

function serve(source: Partial<LocalSource>) {
  const records = compileLocalRecords({ records: [], authoritative: [], forward: [], ...source }, SEED);
  const hashes = createNameHashes();
  return (
    name: string,
    type = 'A',
    options: { edns?: boolean; id?: number; room?: number } = {},
  ): OwnAnswer | null => {
    const { packet, query } = asked(name, type, options);
    hashWireName(SEED, packet, 12, hashes);
    const local = findLocal(records, hashes);
    if (local === null) return null;
    const out = new Uint8Array(DATAGRAM_ROOM + 11).fill(0xee);
    return readAnswer(out.slice(11, localReply(out, 11, packet, query, local, options.room ?? 1232)));
  };
}

const SCHOOL: LocalRecord[] = [
  record('printer.inside.example', 'A', '10.0.0.9', 120),
  record('printer-too.inside.example', 'A', '10.0.0.9'),
  record('intranet.inside.example', 'A', '10.0.0.5'),
  record('intranet.inside.example', 'AAAA', 'fd00::5'),
  record('www.inside.example', 'CNAME', 'intranet.inside.example'),
  record('web.inside.example', 'CNAME', 'www.inside.example'),
  record('inside.example', 'MX', '10 mail.inside.example'),
  record('inside.example', 'TXT', 'v=spf1 -all'),
  record('_ldap._tcp.inside.example', 'SRV', '0 100 389 dc1.inside.example'),
  record('10.0.0.77', 'PTR', 'scanner.inside.example'),
  record('scanner-a.inside.example', 'A', '10.0.0.77'),
  record('*.apps.inside.example', 'A', '10.0.0.6'),
  record('own.apps.inside.example', 'A', '10.0.0.7'),
  record('deep.x.apps.inside.example', 'A', '10.0.0.8'),
];

describe('local records', () => {
  const ask = serve({ records: SCHOOL });

  it.each([
    ['printer.inside.example', 'A', ['printer.inside.example A 10.0.0.9']],
    ['PRINTER.inside.example', 'A', ['PRINTER.inside.example A 10.0.0.9']],
    ['intranet.inside.example', 'AAAA', ['intranet.inside.example AAAA fd00::5']],
    ['inside.example', 'MX', ['inside.example MX 10 mail.inside.example']],
    ['inside.example', 'TXT', ['inside.example TXT v=spf1 -all']],
    ['_ldap._tcp.inside.example', 'SRV', ['_ldap._tcp.inside.example SRV 0 100 389 dc1.inside.example']],
    ['x.apps.inside.example', 'MX', []],
    ['y.apps.inside.example', 'A', ['y.apps.inside.example A 10.0.0.6']],
    ['z.y.apps.inside.example', 'A', ['z.y.apps.inside.example A 10.0.0.6']],
    ['own.apps.inside.example', 'A', ['own.apps.inside.example A 10.0.0.7']],
    ['www.inside.example', 'CNAME', ['www.inside.example CNAME intranet.inside.example']],
    [
      'web.inside.example',
      'A',
      [
        'web.inside.example CNAME www.inside.example',
        'www.inside.example CNAME intranet.inside.example',
        'intranet.inside.example A 10.0.0.5',
      ],
    ],
    ['9.0.0.10.in-addr.arpa', 'PTR', ['9.0.0.10.in-addr.arpa PTR printer.inside.example']],
    ['77.0.0.10.in-addr.arpa', 'PTR', ['77.0.0.10.in-addr.arpa PTR scanner.inside.example']],
    [
      `5.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`,
      'PTR',
      [`5.${'0.'.repeat(27)}0.0.d.f.ip6.arpa PTR intranet.inside.example`],
    ],
  ])('%s %s', (name, type, answers) => {
    const got = ask(name, type)!;
    expect(got).toMatchObject({ rcode: 0, aa: true, tc: false, answers });
    expect(got.soa === null).toBe(answers.length > 0);
  });

  it('gives no data, with an SOA, for types that a name has not', () => {
    for (const type of ['AAAA', 'HTTPS', 'TXT', 'SOA']) {
      expect(ask('printer.inside.example', type)).toMatchObject({
        rcode: 0,
        aa: true,
        answers: [],
        soa: 'printer.inside.example',
      });
    }
    const led = ask('web.inside.example', 'HTTPS')!;
    expect(led.answers).toHaveLength(2);
    expect(led).toMatchObject({ rcode: 0, soa: 'intranet.inside.example' });
  });

  it('answers ANY in short (RFC 8482)', () => {
    expect(ask('printer.inside.example', 'ANY')!.decoded.answers).toMatchObject([{ type: 'HINFO' }]);
  });

  it.each([
    'example',
    'other.inside.example',
    'apps.inside.example',
    'x.printer.inside.example',
    'dc1.inside.example',
    '_tcp.inside.example',
    '8.0.8.8.in-addr.arpa',
    '.',
  ])('leaves %s to the upstreams', (name) => {
    expect(ask(name)).toBeNull();
  });

  it('RFC 4592: a wildcard stands for no name that exists, nor for what is below one', () => {
    expect(ask('x.apps.inside.example')).toMatchObject({ rcode: 0, answers: [] });
    expect(ask('other.x.apps.inside.example')).toBeNull();
    expect(ask('below.own.apps.inside.example')).toBeNull();
  });

  it('leaves reverse names that are no whole address to the special names, which never deny them', () => {
    for (const name of [
      '0.0.10.in-addr.arpa',
      '10.in-addr.arpa',
      '200.0.0.10.in-addr.arpa',
      '0.0.d.f.ip6.arpa',
    ])
      expect(ask(name, 'PTR')).toBeNull();
  });

  it('knows nothing when there are no records', () => {
    expect(serve({})('printer.inside.example')).toBeNull();
    expect(serve({ forward: ['inside.example'] })('printer.inside.example')).toBeNull();
  });

  it('has records at special-use names, and the names above them exist', () => {
    const special = serve({
      records: [record('nas.lab.test', 'A', '10.1.1.1'), record('tv.local', 'A', '10.1.1.2')],
    });
    expect(special('nas.lab.test')!.answers).toEqual(['nas.lab.test A 10.1.1.1']);
    for (const name of ['lab.test', 'test', 'local'])
      expect(special(name)).toMatchObject({ rcode: 0, answers: [] });
    expect(special('other.test')).toBeNull();
  });

  it('begins with another address for another query', () => {
    const many = serve({
      records: ['1', '2', '3'].map((n) => record('pool.inside.example', 'A', `10.0.0.${n}`)),
    });
    const first = (id: number): string => many('pool.inside.example', 'A', { id })!.answers[0]!;
    expect(new Set([3, 4, 5].map(first)).size).toBe(3);
    expect(many('pool.inside.example')!.answers).toHaveLength(3);
  });

  it('takes the least of several TTLs, and the TTL of each on the way', () => {
    const ttls = serve({
      records: [
        record('a.inside.example', 'A', '10.0.0.1', 300),
        record('a.inside.example', 'A', '10.0.0.2', 30),
        record('b.inside.example', 'CNAME', 'a.inside.example', 7),
      ],
    });
    expect(ttls('b.inside.example')!.decoded.answers!.map((answer) => 'ttl' in answer && answer.ttl)).toEqual(
      [7, 30, 30],
    );
  });

  it('says that an answer is longer than the asker takes, and never writes more', () => {
    const long = serve({
      records: Array.from({ length: 50 }, (_, n) =>
        record('long.inside.example', 'TXT', `${n} ${'x'.repeat(600)}`),
      ),
    });
    expect(long('long.inside.example', 'TXT')).toMatchObject({ tc: true, answers: [], rcode: 0 });
    expect(long('long.inside.example', 'A')).toMatchObject({ tc: false, rcode: 0 });
    const some = serve({
      records: Array.from({ length: 40 }, (_, n) => record('some.inside.example', 'A', `10.0.1.${n}`)),
    });
    expect(some('some.inside.example', 'A', { edns: false, room: 512 })).toMatchObject({ tc: true });
    expect(some('some.inside.example', 'A')!.answers).toHaveLength(40);
  });
});

describe('zones of the school', () => {
  const ask = serve({
    records: [
      ...SCHOOL,
      record('a.b.inside.example', 'A', '10.0.0.1'),
      record('lost.inside.example', 'CNAME', 'gone.inside.example'),
    ],
    authoritative: ['inside.example', 'empty.example', '0.10.in-addr.arpa'],
    forward: ['ad.inside.example', 'example'],
  });

  it('answers for every name in them', () => {
    expect(ask('printer.inside.example')!.answers).toHaveLength(1);
    expect(ask('nothing.inside.example')).toMatchObject({ rcode: 3, aa: true, soa: 'inside.example' });
    expect(ask('x.y.empty.example', 'AAAA')).toMatchObject({ rcode: 3, soa: 'empty.example' });
    expect(ask('b.inside.example')).toMatchObject({ rcode: 0, answers: [], soa: 'inside.example' });
    expect(ask('z.y.apps.inside.example')!.answers).toHaveLength(1);
    expect(ask('other.x.apps.inside.example')).toMatchObject({ rcode: 3 });
    expect(ask('1.2.0.10.in-addr.arpa', 'PTR')).toMatchObject({ rcode: 3, soa: '0.10.in-addr.arpa' });
    expect(ask('printer.inside.example', 'MX')).toMatchObject({ rcode: 0, soa: 'inside.example' });
  });

  it('have an SOA and an NS', () => {
    expect(ask('empty.example', 'SOA')!.answers).toEqual(['empty.example SOA empty.example']);
    expect(ask('inside.example', 'NS')!.answers).toEqual(['inside.example NS inside.example']);
    expect(ask('empty.example', 'A')).toMatchObject({ rcode: 0, answers: [], soa: 'empty.example' });
  });

  it('RFC 6604: a CNAME to a name that is missing says so', () => {
    expect(ask('lost.inside.example')).toMatchObject({
      rcode: 3,
      answers: ['lost.inside.example CNAME gone.inside.example'],
      soa: 'inside.example',
    });
  });

  it('leave what is forwarded, and what is beside them, to others', () => {
    for (const name of [
      'ad.inside.example',
      'dc.ad.inside.example',
      'example',
      'xinside.example',
      '1.1.10.in-addr.arpa',
    ])
      expect(ask(name)).toBeNull();
  });

  it('leave reverse names that are forwarded to who knows them, all but those of their own addresses', () => {
    const records = [
      record('a.inside.example', 'A', '10.0.0.1'),
      record('10.0.0.2', 'PTR', 'b.inside.example'),
    ];
    const forwarding = serve({ records, forward: ['10.in-addr.arpa'] });
    for (const name of ['3.0.0.10.in-addr.arpa', '0.0.10.in-addr.arpa', '10.in-addr.arpa'])
      expect(forwarding(name, 'PTR')).toBeNull();
    expect(forwarding('2.0.0.10.in-addr.arpa', 'PTR')!.answers).toHaveLength(1);
    // What the school wrote wins, for that very address.
    expect(forwarding('1.0.0.10.in-addr.arpa', 'PTR')!.answers).toEqual([
      '1.0.0.10.in-addr.arpa PTR a.inside.example',
    ]);
  });
});

describe('a table of records', () => {
  it('answers as a plain search through them does', () => {
    const label = fc.constantFrom('a', 'b', 'c');
    const name = fc
      .array(label, { minLength: 1, maxLength: 4 })
      .map((labels) => `${labels.join('.')}.in.example`);
    const owner = fc.tuple(fc.boolean(), name).map(([wild, text]) => (wild ? `*.${text}` : text));
    fc.assert(
      fc.property(
        fc.uniqueArray(owner, { maxLength: 6 }),
        fc.uniqueArray(name, { maxLength: 2 }),
        fc.uniqueArray(name, { maxLength: 2 }),
        fc.array(name, { minLength: 1, maxLength: 10 }),
        (owners, authoritative, forward, questions) => {
          const cuts = forward.filter((cut) => !authoritative.includes(cut));
          const records = owners.map((text, n) => record(text, 'A', `10.9.0.${n}`));
          const ask = serve({ records, authoritative, forward: cuts });
          for (const question of questions) {
            const got = ask(question);
            const seen =
              got === null
                ? 'upstream'
                : got.rcode === 3
                  ? 'missing'
                  : (got.answers[0]?.split(' ')[2] ?? 'empty');
            expect(`${question} ${seen}`).toBe(
              `${question} ${oracle(records, authoritative, cuts, question)}`,
            );
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('holds ten thousand, each found, and none that is not there', () => {
    const records = Array.from({ length: 10_000 }, (_, n) =>
      n % 2 === 0
        ? record(`host-${n}.inside.example`, 'A', `10.${n >> 14}.${(n >> 7) & 127}.${n & 127}`)
        : record(
            `host-${n}.inside.example`,
            'AAAA',
            `fd00::${(n * 7919).toString(16).slice(-4)}:${n.toString(16)}`,
          ),
    );
    const compiled = compileLocalRecords({ records, authoritative: [], forward: [] }, SEED);
    const look = createLocalLookup({ records: compiled, seed: SEED, forward: [] });
    for (const { name, value } of records) expect(look(name)!.addresses[0]!.address).toBe(value);
    for (let n = 0; n < 10_000; n++) expect(look(`host-${n}.outside.example`)).toBeNull();
  });
});

/** What a name should come to, told slowly: its own record, else the wildcard of the nearest name that exists, else its zone. */
function oracle(
  records: readonly LocalRecord[],
  zones: readonly string[],
  cuts: readonly string[],
  name: string,
): string {
  const aboves = (text: string): string[] => {
    const labels = text.split('.');
    return labels.map((_, at) => labels.slice(at).join('.'));
  };
  const zoneOf = (text: string): string | null => {
    const nearest = aboves(text).find((at) => zones.includes(at) || cuts.includes(at));
    return nearest !== undefined && zones.includes(nearest) ? nearest : null;
  };
  const isCut = (text: string): boolean => {
    const nearest = aboves(text).find((at) => zones.includes(at) || cuts.includes(at));
    return nearest !== undefined && cuts.includes(nearest);
  };
  const own = (text: string) => records.find((one) => one.name === text);
  const wildAt = (text: string) => records.find((one) => one.name === `*.${text}`);
  const scoped = (text: string): boolean =>
    zoneOf(text) !== null ||
    (!isCut(text) &&
      aboves(text)
        .slice(1)
        .some((at) => wildAt(at) !== undefined));
  const hasBelow = (text: string): boolean =>
    [...records.map((one) => one.name), ...zones].some((one) => one.endsWith(`.${text}`)) ||
    (zones.length + records.filter((one) => one.name.startsWith('*.')).length > 0 &&
      cuts.some((one) => one.endsWith(`.${text}`)));
  const exists = (text: string): boolean =>
    own(text) !== undefined || zones.includes(text) || (hasBelow(text) && scoped(text));
  if (own(name) !== undefined) return own(name)!.value;
  if (exists(name)) return 'empty';
  if (wildAt(name) !== undefined || cuts.includes(name)) return 'upstream';
  const nearest = aboves(name)
    .slice(1)
    .find((at) => exists(at) || wildAt(at) !== undefined || cuts.includes(at));
  if (nearest === undefined) return 'upstream';
  const wild = wildAt(nearest);
  if (wild !== undefined) return wild.value;
  return zoneOf(nearest) === null ? 'upstream' : 'missing';
}

describe('the lookup of the proxy', () => {
  const compiled = compileLocalRecords(
    { records: SCHOOL, authoritative: ['inside.example'], forward: [] },
    SEED,
  );
  const look = createLocalLookup({ records: compiled, seed: SEED, forward: ['known.test'] });

  it('finds the addresses at the end of the CNAMEs', () => {
    expect(look('web.inside.example')).toEqual({
      addresses: [
        { address: '10.0.0.5', family: 4 },
        { address: 'fd00::5', family: 6 },
      ],
      chain: [],
    });
  });

  it('asks no upstream for what is local or special and has no address', () => {
    for (const name of [
      'inside.example',
      'nothing.inside.example',
      'x.test',
      'nas.internal',
      'unknown.local',
    ])
      expect(look(name)).toEqual({ addresses: [], chain: [] });
  });

  it('leaves all other names to the upstreams', () => {
    for (const name of ['www.example', 'a.known.test', 'known.test', 'example'])
      expect(look(name)).toBeNull();
  });
});
