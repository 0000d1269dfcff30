import type { Answer } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import type { DnsSettings } from '../../src/dns/types.ts';
import { given, SETTINGS, ALLOW, BLOCK, fakeExchange, query, read, rig, wireName } from './fixture.ts';

const address = (name: string, ttl: number, data = '192.0.2.1'): Answer => ({ type: 'A', name, ttl, data });
const soa = (ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name: 'example',
  ttl,
  data: { mname: 'ns.example', rname: 'host.example', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});

describe('the cache of answers', () => {
  it('counts TTLs down, and asks again when they are over', async () => {
    const exchange = fakeExchange((name) => ({
      answers: [address(name, 100), address(name, 60, '192.0.2.2')],
    }));
    const it = rig({ exchange });
    expect((await it.ask(query('a.example')))?.ttls).toEqual([100, 60]);
    it.time += 45_900;
    expect((await it.ask(query('a.example')))?.ttls).toEqual([55, 15]);
    it.time += 14_099;
    expect((await it.ask(query('a.example')))?.ttls).toEqual([41, 1]);
    expect(exchange.asked.length).toBe(1);
    it.time += 1;
    expect((await it.ask(query('a.example')))?.ttls).toEqual([100, 60]);
    expect(exchange.asked.length).toBe(2);
  });

  it('answers before handle returns, with the asker’s id, spelling and flags', async () => {
    const it = rig({ exchange: fakeExchange((name) => ({ answers: [address(name, 100)] })) });
    await it.ask(query('www.Example', { id: 1 }));
    const bytes = it.askNow(query('WWW.eXample', { id: 999, flags: 0x0000, edns: null })) as Uint8Array;
    expect(read(bytes)).toMatchObject({
      id: 999,
      flag_rd: false,
      flag_ra: true,
      opt: null,
      questions: [{ name: 'WWW.eXample' }],
      data: ['192.0.2.1'],
    });
  });

  it('gives the upstream’s bytes as they came, but for id, flags, TTL and OPT', async () => {
    // Compressed owner, an unknown type with data of its own, and a record after it.
    const question = query('a.example', { edns: null });
    const records = Buffer.from(
      'c00c' +
        'ff01' +
        '0001' +
        '00000e10' +
        '0004' +
        'deadbeef' +
        'c00c' +
        '0001' +
        '0001' +
        '00000e10' +
        '0004' +
        'c0000201',
      'hex',
    );
    const upstream = Buffer.concat([question, records]);
    upstream.set([0x81, 0x80, 0, 1, 0, 2], 2);
    const it = rig({ exchange: fakeExchange(() => upstream) });
    const answer = await new Promise<Uint8Array>((resolve) => {
      given(it.handler, question, '10.0.0.1', 'udp', resolve);
    });
    expect(Buffer.from(answer).toString('hex')).toBe(upstream.toString('hex'));
    expect(Buffer.from(it.askNow(question) as Uint8Array).toString('hex')).toBe(upstream.toString('hex'));
  });

  it('owners that an upstream writes out are told in small letters, whatever letters it was asked in', async () => {
    const asked = query('WWW.eXample', { edns: null });
    const record = Buffer.from('000100010000003c0004c0000201', 'hex');
    const upstream = Buffer.concat([asked, wireName('WWW.eXample'), record, wireName('Ns.Example'), record]);
    upstream.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 1], 2);
    const it = rig({ exchange: fakeExchange(() => upstream) });
    for (let round = 0; round < 2; round++) {
      const answer = await it.ask(query('wwW.example', { edns: null }));
      expect(answer?.questions?.[0]?.name).toBe('wwW.example');
      expect(answer?.answers?.[0]?.name).toBe('www.example');
      // What is additional stays with us.
      expect(answer?.additionals).toEqual([]);
    }
  });

  it('keeps types, DO and CD apart', async () => {
    const exchange = fakeExchange((name) => ({ answers: [address(name, 100)] }));
    const it = rig({ exchange });
    const asked = [
      query('a.example'),
      query('a.example', { type: 28 }),
      query('a.example', { edns: { dnssecOk: true } }),
      query('a.example', { flags: 0x0110 }),
    ];
    for (const packet of [...asked, ...asked]) await it.ask(packet);
    expect(exchange.asked.length).toBe(4);
  });

  it.each([
    ['NXDOMAIN for the SOA’s minimum', { rcode: 3, authorities: [soa(900, 30)] }, 30],
    ['NXDOMAIN for the SOA’s TTL', { rcode: 3, authorities: [soa(20, 900)] }, 20],
    ['an empty answer for the SOA’s minimum', { authorities: [soa(900, 30)] }, 30],
    ['a denial without SOA not at all', { rcode: 3 }, 0],
    ['an empty answer without SOA not at all', {}, 0],
    ['a TTL of zero not at all', { answers: [address('a.example', 0)] }, 0],
    ['a TTL with the top bit not at all', { answers: [address('a.example', 0x80000001)] }, 0],
    ['a TTL of a year for a day', { answers: [address('a.example', 31_536_000)] }, 86_400],
  ])('keeps %s', async (_what, answer, seconds) => {
    const exchange = fakeExchange(() => answer);
    const it = rig({ exchange });
    await it.ask(query('a.example'));
    if (seconds > 0) {
      it.time += seconds * 1000 - 1;
      await it.ask(query('a.example'));
      expect(exchange.asked.length).toBe(1);
      it.time += 1;
    }
    await it.ask(query('a.example'));
    expect(exchange.asked.length).toBe(2);
  });

  it('a long TTL is told as a day', async () => {
    const it = rig({ exchange: fakeExchange((name) => ({ answers: [address(name, 31_536_000)] })) });
    expect((await it.ask(query('a.example')))?.ttls).toEqual([86_400]);
  });

  it('F01: the policy speaks before the cache: one name, two clients', async () => {
    const exchange = fakeExchange((name) => ({ answers: [address(name, 100)] }));
    const it = rig({ exchange, rule: (_name, client) => (client.group === 'group-2' ? BLOCK : ALLOW) });
    expect(await it.ask(query('a.example'), { from: '10.0.0.1' })).toMatchObject({ data: ['192.0.2.1'] });
    expect(await it.ask(query('a.example'), { from: '10.0.0.2' })).toMatchObject({
      rcodeNumber: 3,
      data: [],
    });
    expect(await it.ask(query('a.example'), { from: '10.0.0.1' })).toMatchObject({ data: ['192.0.2.1'] });
    expect(exchange.asked.length).toBe(1);
  });

  it('O01: what is open for a time is told for ten seconds at most, and not beyond the end', async () => {
    let until: number | null = null;
    const it = rig({
      exchange: fakeExchange((name) => ({ answers: [address(name, 3600)] })),
      rule: () => ({ ...ALLOW, reason: 'override', until }),
    });
    const ttl = async (): Promise<unknown> => (await it.ask(query('a.example')))?.ttls[0];
    expect(await ttl()).toBe(3600);
    until = it.time + 60_000;
    expect(await ttl()).toBe(10);
    it.time += 56_500;
    expect(await ttl()).toBe(3);
    it.time += 3_400;
    expect(await ttl()).toBe(0);
  });

  it('asks the policy again when the upstream’s answer comes', async () => {
    let open = true;
    const it = rig({
      rule: () => (open ? ALLOW : BLOCK),
      exchange: fakeExchange((name) => {
        open = false;
        return { answers: [address(name, 60)] };
      }),
    });
    expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 3, data: [], ede: [15] });
    expect(it.decisions.map((decision) => decision.verdict.action)).toEqual(['block']);
  });

  it('forgets what it is told to', async () => {
    const exchange = fakeExchange((name) => ({ answers: [address(name, 100)] }));
    const it = rig({ exchange });
    const names = ['a.example', 'www.a.example', 'ba.example'];
    for (const name of names) await it.ask(query(name));
    it.handler.purge(['a.example']);
    for (const name of names) await it.ask(query(name));
    expect(exchange.asked.length).toBe(5);
    it.handler.purge();
    expect(it.handler.stats()).toMatchObject({ cacheEntries: 0, cacheBytes: 0 });
  });
});

describe('a popular answer', () => {
  const start = (settings: Partial<DnsSettings> = {}) => {
    let serial = 0;
    const exchange = fakeExchange((name) => ({ answers: [address(name, 100, `192.0.2.${++serial}`)] }));
    return Object.assign(rig({ exchange, settings }), { exchange });
  };

  it('is renewed before its TTL is over, and nobody waits', async () => {
    const it = start();
    await it.ask(query('a.example'));
    for (let i = 0; i < 5; i++) await it.ask(query('a.example'));
    it.time += 95_000;
    expect((await it.ask(query('a.example')))?.data).toEqual(['192.0.2.1']);
    await expect.poll(() => it.handler.stats()).toMatchObject({ prefetched: 1, waiting: 0 });
    expect(it.exchange.asked.length).toBe(2);
    it.time += 6_000;
    expect(read(it.askNow(query('a.example')) as Uint8Array)).toMatchObject({
      data: ['192.0.2.2'],
      ttls: [94],
    });
  });

  it('is renewed once, not by everyone who asks', async () => {
    const it = start();
    for (let i = 0; i < 5; i++) await it.ask(query('a.example'));
    it.time += 95_000;
    for (let i = 0; i < 5; i++) it.askNow(query('a.example'));
    expect(it.handler.stats()).toMatchObject({ prefetched: 1 });
  });

  it('one asked for seldom is not, nor any with prefetch off', async () => {
    const seldom = start();
    await seldom.ask(query('a.example'));
    const off = start({ cache: { ...SETTINGS.cache, prefetch: false } });
    for (let i = 0; i < 9; i++) await off.ask(query('a.example'));
    for (const it of [seldom, off]) {
      it.time += 95_000;
      it.askNow(query('a.example'));
      expect(it.handler.stats()).toMatchObject({ prefetched: 0 });
    }
  });
});

describe('bounds of TTLs', () => {
  it.each([
    [5, 30],
    [60, 60],
    [900, 600],
    [0, 0],
  ])('%i seconds are told as %i', async (given, told) => {
    const it = rig({
      exchange: fakeExchange((name) => ({ answers: [address(name, given)] })),
      settings: { cache: { ...SETTINGS.cache, leastTtl: 30, mostTtl: 600 } },
    });
    expect((await it.ask(query('a.example')))?.ttls).toEqual([told]);
    it.time += Math.max(0, told * 1000 - 1);
    expect(it.askNow(query('a.example')) === null).toBe(told === 0);
    it.time += 1;
    expect(it.askNow(query('a.example'))).toBeNull();
  });
});

describe('when the upstreams fail', () => {
  const failing = { now: false, how: 'silent' as 'silent' | 'servfail' };
  const start = () => {
    failing.now = false;
    const exchange = fakeExchange((name) => {
      if (failing.now && failing.how === 'silent') throw new Error('no answer');
      if (failing.now) return { rcode: 2 };
      return { answers: [address(name, 60)] };
    });
    return Object.assign(rig({ exchange }), { exchange });
  };

  it.each(['silent', 'servfail'] as const)('an old answer is given, marked as stale: %s', async (how) => {
    const it = start();
    await it.ask(query('a.example'));
    it.time += 61_000;
    Object.assign(failing, { now: true, how });
    const stale = await it.ask(query('a.example'));
    expect(stale).toMatchObject({ rcodeNumber: 0, data: ['192.0.2.1'], ttls: [10], ede: [3] });
    // For a while nobody waits: the stale answer comes at once, and one query in a while asks again behind it.
    const asked = it.exchange.asked.length;
    expect(it.askNow(query('a.example'))).not.toBeNull();
    expect(it.exchange.asked.length).toBe(asked);
    it.time += 5_000;
    expect(it.askNow(query('a.example'))).not.toBeNull();
    expect(it.exchange.asked.length).toBe(asked + 1);
    failing.now = false;
    it.time += 6_000;
    await it.ask(query('a.example'));
    await expect.poll(async () => (await it.ask(query('a.example')))?.ede).toEqual([]);
    expect((await it.ask(query('a.example')))?.ttls).toEqual([60]);
  });

  it('an answer of yesterday is too old', async () => {
    const it = start();
    await it.ask(query('a.example'));
    it.time += 2 * 86_400_000;
    failing.now = true;
    expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 2, data: [] });
  });

  it('SERVFAIL says why, and is remembered for a moment only', async () => {
    const it = start();
    Object.assign(failing, { now: true, how: 'silent' });
    expect(await it.ask(query('a.example', { id: 5 }))).toMatchObject({ id: 5, rcodeNumber: 2, ede: [23] });
    expect(await it.ask(query('A.example', { id: 6 }))).toMatchObject({
      id: 6,
      rcodeNumber: 2,
      questions: [{ name: 'A.example' }],
    });
    expect(it.exchange.asked.length).toBe(1);
    it.time += 2_000;
    failing.now = false;
    expect(await it.ask(query('a.example'))).toMatchObject({ data: ['192.0.2.1'] });
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['a header', Buffer.from('123481800001000100000000', 'hex')],
    [
      'half a record',
      Buffer.concat([query('a.example', { edns: null }).fill(1, 7, 8), Buffer.from('c00c0001', 'hex')]),
    ],
    ['noise', Buffer.alloc(300, 0xc0)],
  ])('an upstream that sends %s gets nobody but SERVFAIL', async (_what, bytes) => {
    const it = rig({ exchange: fakeExchange(() => bytes) });
    expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 2, data: [] });
    expect(it.handler.stats()).toMatchObject({ errors: 0, failed: 1 });
  });

  it('an upstream’s SERVFAIL without a reason is told as such', async () => {
    const it = rig({ exchange: fakeExchange(() => ({ rcode: 2 })) });
    expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 2, ede: [0] });
  });

  it('an extended RCODE of the upstream is not the client’s business', async () => {
    const bytes = Buffer.concat([
      query('a.example', { edns: null }),
      Buffer.from('00002904d0010000000000', 'hex'),
    ]);
    bytes.set([0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 1], 2);
    const it = rig({ exchange: fakeExchange(() => bytes) });
    expect(await it.ask(query('a.example'))).toMatchObject({
      rcodeNumber: 2,
      opt: { extended: 0 },
      ede: [23],
    });
  });

  it('a cut answer is handed on cut, and not kept', async () => {
    const exchange = fakeExchange(() => {
      const bytes = query('a.example', { edns: null, flags: 0x8380 });
      return bytes;
    });
    const it = rig({ exchange });
    expect((await it.ask(query('a.example')))?.truncated).toBe(true);
    await it.ask(query('a.example'));
    expect(exchange.asked.length).toBe(2);
  });
});
