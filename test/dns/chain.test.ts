import type { Answer } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { readResponse } from '../../src/dns/response.ts';
import { addressText } from '../../src/dns/rebinding.ts';
import type { Verdict } from '../../src/policy/types.ts';
import { ALLOW, BLOCK, fakeExchange, given, query, rig, wireName } from './fixture.ts';
import type { Answered } from './fixture.ts';

const chained = (to: string): ReturnType<typeof fakeExchange> =>
  fakeExchange((name) => ({
    answers: [
      { type: 'CNAME', name, ttl: 60, data: to },
      { type: 'A', name: to, ttl: 60, data: '192.0.2.1' },
    ],
  }));

describe('a name that leads to another', () => {
  const cases: [string, Verdict, Verdict, boolean][] = [
    ['an open name to an open name', ALLOW, ALLOW, true],
    ['an open name to a blocked one', ALLOW, BLOCK, false],
    [
      'an allowed name to one that no list knows',
      { ...ALLOW, reason: 'local-allow' },
      { ...BLOCK, reason: 'default-block', list: null },
      true,
    ],
    [
      'an acceptable name to one that no list knows',
      { ...ALLOW, reason: 'acceptable' },
      { ...BLOCK, reason: 'default-block', list: null },
      true,
    ],
    ['an allowed name to a blocked one', { ...ALLOW, reason: 'local-allow' }, BLOCK, true],
    ['an overridden name to a blocked one', { ...ALLOW, reason: 'override' }, BLOCK, true],
    [
      'F02: an overridden name to a sealed one',
      { ...ALLOW, reason: 'override' },
      { ...BLOCK, reason: 'illegal' },
      false,
    ],
    [
      'F02: an allowed name to a sealed one',
      { ...ALLOW, reason: 'local-allow' },
      { ...BLOCK, reason: 'illegal' },
      false,
    ],
  ];
  it.each(cases)('%s', async (_what, asked, target, passes) => {
    const it = rig({ exchange: chained('to.other'), rule: (name) => (name === 'to.other' ? target : asked) });
    for (let round = 0; round < 2; round++) {
      const answer = await it.ask(query('a.example'));
      expect(answer?.data.length).toBe(passes ? 2 : 0);
      expect(it.decisions.at(-1)?.verdict).toEqual(passes ? asked : target);
      expect(it.decisions.at(-1)?.host).toBe('a.example');
    }
    expect(it.handler.stats()['forwarded']).toBe(1);
  });

  it('is open only as long as every name of the chain', async () => {
    const it = rig({
      exchange: chained('to.other'),
      rule: (name, _client, now) => (name === 'to.other' ? { ...ALLOW, until: now + 7_900 } : ALLOW),
    });
    expect((await it.ask(query('a.example')))?.ttls).toEqual([7, 7]);
  });

  it('through the target of a service record counts as well', async () => {
    const name = wireName('bet.other');
    const data = Buffer.concat([Buffer.from([0, 0]), name]);
    const head = query('a.example', { type: 65, edns: null });
    head.set([0x81, 0x80, 0, 1, 0, 1], 2);
    const record = Buffer.from([0xc0, 12, 0, 65, 0, 1, 0, 0, 0, 60, 0, data.length]);
    const exchange = fakeExchange(() => Buffer.concat([head, record, data]));
    const it = rig({ exchange, rule: (asked) => (asked === 'bet.other' ? BLOCK : ALLOW) });
    expect(await it.ask(query('a.example', { type: 65 }))).toMatchObject({ rcodeNumber: 3 });
  });

  it('F02: a DNAME leads nowhere without the CNAME that a server makes of it', async () => {
    const to = (name: string, data: string): Answer => ({ type: 'CNAME', name, ttl: 60, data });
    const address = (name: string): Answer => ({ type: 'A', name, ttl: 60, data: '192.0.2.1' });
    const moved = { type: 'DNAME', name: 'b.net', ttl: 60, data: 'sealed.example' } as Answer;
    const rule = (name: string): Verdict =>
      name.endsWith('sealed.example') ? { ...BLOCK, reason: 'illegal' } : { ...ALLOW, reason: 'local-allow' };
    const ask = async (...answers: Answer[]) =>
      (await rig({ rule, exchange: fakeExchange(() => ({ answers })) }).ask(query('a.example')))?.rcodeNumber;
    expect(await ask(to('a.example', 'x.b.net'), moved, address('x.sealed.example'))).toBe(2);
    expect(
      await ask(
        to('a.example', 'x.b.net'),
        moved,
        to('x.b.net', 'x.sealed.example'),
        address('x.sealed.example'),
      ),
    ).toBe(3);
    expect(await ask(to('a.example', 'x.b.net'), moved, to('x.b.net', 'x.c.net'), address('x.c.net'))).toBe(
      0,
    );
  });

  it('what gives addresses among the authorities is no answer, and what is additional goes to nobody', async () => {
    const address: Answer = { type: 'A', name: 'a.example', ttl: 60, data: '10.0.0.1' };
    const soa: Answer = {
      type: 'SOA',
      name: 'example',
      ttl: 60,
      data: { mname: 'a', rname: 'b', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 },
    };
    const ask = (answer: Answered) => rig({ exchange: fakeExchange(() => answer) }).ask(query('a.example'));
    expect(await ask({ authorities: [soa, address] })).toMatchObject({ rcodeNumber: 2 });
    const cut = await ask({ authorities: [soa], additionals: [address] });
    expect(cut).toMatchObject({ rcodeNumber: 0 });
    expect(cut?.additionals?.map(({ type }) => type)).toEqual(['OPT']);
  });

  it('F12: ech is taken out whatever was asked for', async () => {
    const asked = query('a.example', { edns: null });
    const service = Buffer.from('c00c004100010000003c000b0001000005000465636831', 'hex');
    const upstream = Buffer.concat([asked, service]);
    upstream.set([0x81, 0x80, 0, 1, 0, 1], 2);
    const it = rig({ exchange: fakeExchange(() => upstream) });
    for (let round = 0; round < 2; round++) {
      const bytes = await new Promise<Uint8Array>((resolve) => {
        const now = given(it.handler, asked, '10.0.0.1', 'tcp', resolve);
        if (now !== null) resolve(now);
      });
      expect(bytes[7]).toBe(1);
      expect(Buffer.from(bytes).includes('ech1')).toBe(false);
    }
  });

  it('over too many others is no answer', async () => {
    const answers: Answer[] = Array.from({ length: 40 }, (_, i) => ({
      type: 'CNAME',
      name: i === 0 ? 'a.example' : `n${i}.example`,
      ttl: 60,
      data: `n${i + 1}.example`,
    }));
    expect(await rig({ exchange: fakeExchange(() => ({ answers })) }).ask(query('a.example'))).toMatchObject({
      rcodeNumber: 2,
    });
  });
});

describe('a name that safe search rewrites', () => {
  const SAFE: Verdict = { ...ALLOW, action: 'rewrite', reason: 'safe-search', target: 'safe.example' };
  const rule = (name: string): Verdict =>
    name === 'search.example' ? SAFE : name === 'bet.example' ? BLOCK : ALLOW;

  it('F10: covers what its safe form leads through, and nothing for other types', async () => {
    const it = rig({
      rule,
      exchange: fakeExchange((name, type) => ({
        answers: [
          { type: 'CNAME', name, ttl: 60, data: 'bet.example' },
          ...(type === 'A' ? [{ type: 'A' as const, name: 'bet.example', ttl: 60, data: '192.0.2.1' }] : []),
        ],
      })),
    });
    expect((await it.ask(query('search.example')))?.data).toEqual(['safe.example', '192.0.2.1']);
    expect(it.decisions.at(-1)?.verdict.action).toBe('rewrite');
    for (let round = 0; round < 2; round++) {
      expect(await it.ask(query('search.example', { type: 15 }))).toMatchObject({ rcodeNumber: 3, data: [] });
      expect(it.decisions.at(-1)?.verdict).toEqual(BLOCK);
    }
  });
});

describe('a public name that leads inside', () => {
  const to = (...data: string[]): ReturnType<typeof fakeExchange> =>
    fakeExchange((name) => ({
      answers: data.map((address) => ({
        type: address.includes(':') ? 'AAAA' : 'A',
        name,
        ttl: 60,
        data: address,
      })),
    }));

  it.each([
    '10.1.2.3',
    '127.0.0.1',
    '192.168.0.1',
    '169.254.1.1',
    '0.0.0.0',
    '::1',
    'fd00::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    '64:ff9b::a00:1',
  ])('is withheld: %s', async (address) => {
    const it = rig({ exchange: to('192.0.2.1', address) });
    for (let round = 0; round < 2; round++) {
      expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 3, data: [], ede: [15] });
    }
    expect(it.decisions[0]?.verdict).toMatchObject({ action: 'block', reason: 'private-address' });
    expect(it.handler.stats()['forwarded']).toBe(1);
  });

  it('passes where allow_private names it, or it has an upstream of its own', async () => {
    const settings = { allowPrivate: ['intranet.example', '*.wild.example', '10.5.0.0/16', 'fd00:5::/32'] };
    const ask = async (name: string, ...data: string[]) =>
      (await rig({ exchange: to(...data), settings }).ask(query(name)))?.data.length;
    expect(await ask('intranet.example', '10.1.1.1')).toBe(1);
    expect(await ask('a.Intranet.example', '10.1.1.1')).toBe(1);
    expect(await ask('a.wild.example', '10.1.1.1')).toBe(1);
    expect(await ask('notintranet.example', '10.1.1.1')).toBe(0);
    expect(await ask('a.example', '10.5.1.1', 'fd00:5::1')).toBe(2);
    expect(await ask('a.example', '10.5.1.1', '10.6.1.1')).toBe(0);
    const inside = rig({ settings: { forward: { 'inside.example': to('10.1.1.1') } } });
    expect((await inside.ask(query('pc.inside.example')))?.data).toEqual(['10.1.1.1']);
  });

  it('is withheld when the address is a hint of a service record', () => {
    const head = query('a.example', { type: 65, edns: null });
    head.set([0x81, 0x80, 0, 1, 0, 1], 2);
    const data = Buffer.from([
      0,
      1,
      0,
      0,
      4,
      0,
      8,
      192,
      0,
      2,
      1,
      10,
      0,
      0,
      1,
      0,
      6,
      0,
      16,
      ...Buffer.alloc(15),
      1,
    ]);
    const record = Buffer.from([0xc0, 12, 0, 65, 0, 1, 0, 0, 0, 60, 0, data.length]);
    const response = readResponse(Buffer.concat([head, record, data]));
    expect(response?.addresses.map(addressText)).toEqual(['192.0.2.1', '10.0.0.1', '0:0:0:0:0:0:0:1']);
  });
});
