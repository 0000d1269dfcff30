import { describe, expect, it } from 'vitest';
import type { Reason, Verdict } from '../../src/policy/types.ts';
import { ALLOW, BLOCK, fakeExchange, query, read, rig } from './fixture.ts';

const PAGE = { v4: '10.0.0.1', v6: 'fd00::1' };
const [A, AAAA, MX, HTTPS, ANY] = [1, 28, 15, 65, 255];

describe('a blocked name', () => {
  const cases = [
    ['nxdomain', A, 3, []],
    ['nxdomain', ANY, 3, []],
    ['null', A, 0, ['0.0.0.0']],
    ['null', AAAA, 0, ['::']],
    ['null', MX, 0, []],
    ['null', HTTPS, 0, []],
    ['null', ANY, 0, []],
    ['page', A, 0, ['10.0.0.1']],
    ['page', AAAA, 0, ['fd00::1']],
    ['page', HTTPS, 0, []],
  ] as const;
  it.each(cases)('is answered as dns.block says: %s, type %i', (block, type, rcode, data) => {
    const { askNow } = rig({ rule: () => BLOCK, settings: { block, page: PAGE } });
    const answer = read(askNow(query('Bet.example', { type })) as Uint8Array);
    expect(answer).toMatchObject({ id: 0x1234, rcodeNumber: rcode, ede: [15] });
    expect(answer.data).toEqual(data);
    expect(answer.questions?.[0]?.name).toBe('Bet.example');
    const ttls =
      data.length > 0
        ? answer.ttls
        : answer.authorities?.map((record) => ('ttl' in record ? record.ttl : -1));
    expect(ttls).toEqual([10]);
  });

  it('is no address where the gateway’s page has none of that family', () => {
    const { askNow } = rig({
      rule: () => BLOCK,
      settings: { block: 'page', page: { v4: '10.0.0.1', v6: null } },
    });
    expect(read(askNow(query('bet.example', { type: AAAA })) as Uint8Array)).toMatchObject({
      rcodeNumber: 0,
      data: [],
    });
  });

  it('can be denied for as long as its SOA says, and no longer', () => {
    const { askNow } = rig({ rule: () => BLOCK });
    const soa = read(askNow(query('bet.example')) as Uint8Array).authorities?.[0];
    expect(soa).toMatchObject({ type: 'SOA', name: 'bet.example', ttl: 10, data: { minimum: 10 } });
  });

  it.each([
    [60_000, 10],
    [4_500, 4],
    [300, 0],
    [-50, 0],
  ])('that will open in %i ms is forgotten in %i s', (left, ttl) => {
    const it = rig({ rule: (_name, _client, now) => ({ ...BLOCK, reason: 'timed', until: now + left }) });
    expect(read(it.askNow(query('bet.example')) as Uint8Array).authorities?.[0]).toMatchObject({ ttl });
  });

  it.each([
    ['illegal', 15],
    ['unacceptable', 15],
    ['local-deny', 15],
    ['bypass', 15],
    ['default-block', 17],
    ['timed', 17],
    ['permission', 17],
    ['nominated', 17],
    ['unrated', 17],
    ['suspended', 17],
    ['no-index', 14],
    ['no-policy', 14],
    ['internal-error', 14],
  ] satisfies [Reason, number][])('%s is told by extended error %i', (reason, code) => {
    const { askNow } = rig({ rule: () => ({ ...BLOCK, reason, list: null }) });
    expect(read(askNow(query('bet.example')) as Uint8Array).ede).toEqual([code]);
  });

  it('says nothing of extended errors to one who does not speak EDNS', () => {
    const { askNow } = rig({ rule: () => BLOCK });
    expect(read(askNow(query('bet.example', { edns: null })) as Uint8Array)).toMatchObject({
      opt: null,
      rcodeNumber: 3,
    });
  });

  it('F12: a name that gets round the filter does not exist, whatever dns.block says', () => {
    for (const block of ['null', 'page'] as const) {
      const { askNow } = rig({
        rule: () => ({ ...BLOCK, reason: 'bypass' }),
        settings: { block, page: PAGE },
      });
      expect(read(askNow(query('use-application-dns.net')) as Uint8Array)).toMatchObject({
        rcodeNumber: 3,
        data: [],
      });
    }
  });

  it('leads to the portal’s page when only the portal is open', () => {
    const portal: Verdict = { ...BLOCK, action: 'portal', reason: 'identity-required' };
    const shown = rig({ rule: () => portal, settings: { page: PAGE } });
    expect(read(shown.askNow(query('a.example')) as Uint8Array)).toMatchObject({
      data: ['10.0.0.1'],
      ede: [17],
    });
    const hidden = rig({ rule: () => portal });
    expect(read(hidden.askNow(query('a.example')) as Uint8Array)).toMatchObject({ rcodeNumber: 3 });
  });

  it.each(['rewrite', 'error'] as const)('an action that is not allow never asks upstream: %s', (action) => {
    const exchange = fakeExchange(() => ({}));
    const { askNow } = rig({ rule: () => ({ ...BLOCK, action }), exchange });
    expect(read(askNow(query('a.example')) as Uint8Array).data).toEqual([]);
    expect(exchange.asked).toEqual([]);
  });

  it('is blocked with every upstream dead, before handle returns', () => {
    const exchange = fakeExchange(() => {
      throw new Error('dead');
    });
    expect(rig({ rule: () => BLOCK, exchange }).askNow(query('bet.example'))).not.toBeNull();
  });

  it('refuses a page address of the wrong family', () => {
    expect(() => rig({ settings: { page: { v4: 'fd00::1', v6: null } } })).toThrow(/page\.v4: fd00::1/);
  });
});

describe('the record of a query', () => {
  it('says who asked what, and what came of it', () => {
    const it = rig({ rule: () => BLOCK });
    const packet = query('WWW.Bet.example', { type: 65 });
    const answer = it.askNow(packet, { from: '10.0.0.7' }) as Uint8Array;
    expect(it.decisions).toEqual([
      {
        at: it.time,
        channel: 'dns',
        client: expect.objectContaining({ address: '10.0.0.7' }),
        host: 'www.bet.example',
        path: null,
        method: 'HTTPS',
        verdict: BLOCK,
        policyGeneration: 3,
        indexGeneration: 5,
        bytesIn: packet.length,
        bytesOut: answer.length,
        durationMs: 0,
      },
    ]);
  });

  it('is made once for each query that was decided: blocked, asked, cached, local, failed', async () => {
    const it = rig({
      rule: (name) => (name.startsWith('bet') ? BLOCK : ALLOW),
      exchange: fakeExchange((name) => {
        if (name.startsWith('dead')) throw new Error('dead');
        return { answers: [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }] };
      }),
    });
    for (const name of ['bet.example', 'a.example', 'a.example', 'printer.local', 'dead.example']) {
      await it.ask(query(name));
    }
    await it.ask(query('x.example').subarray(0, 20));
    await it.ask(query('x.example', { type: 252 }));
    expect(it.decisions.map(({ host, verdict }) => `${host} ${verdict.action} ${verdict.reason}`)).toEqual([
      'bet.example block unacceptable',
      'a.example allow default-allow',
      'a.example allow default-allow',
      'printer.local allow default-allow',
      'dead.example error upstream',
    ]);
  });

  it('that cannot be kept stops no answer', () => {
    const { askNow, handler } = rig({
      rule: () => BLOCK,
      note: () => {
        throw new Error('full');
      },
    });
    expect(askNow(query('bet.example'))).not.toBeNull();
    expect(handler.stats()).toMatchObject({ unrecorded: 1, errors: 0 });
  });

  it('an engine that throws is answered with SERVFAIL, once, and nothing goes upstream', async () => {
    const exchange = fakeExchange(() => ({}));
    const it = rig({
      rule: () => {
        throw new Error('broken');
      },
      exchange,
    });
    expect(await it.ask(query('a.example'))).toMatchObject({ rcodeNumber: 2, data: [], ede: [14] });
    expect(exchange.asked).toEqual([]);
    expect(it.handler.stats()['errors']).toBe(1);
  });
});

describe('names that look like data', () => {
  const ask = async (reason: Verdict['reason']): Promise<number> => {
    const it = rig({
      rule: () => ({ ...ALLOW, reason }),
      settings: { tunnel: { action: 'limit', exempt: [] } },
    });
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      const label = Buffer.from(`${i * 7919}-data-that-is-carried-out-of-here`)
        .toString('hex')
        .slice(0, 60);
      if ((await it.ask(query(`${label}.tun.example`, { type: 16 })))?.rcodeNumber === 3) refused++;
    }
    return refused;
  };

  it('are limited', async () => {
    expect(await ask('default-allow')).toBeGreaterThan(100);
  });

  it('O01: are not where somebody opened the name', async () => {
    expect(await ask('override')).toBe(0);
    expect(await ask('local-allow')).toBe(0);
  });
});
