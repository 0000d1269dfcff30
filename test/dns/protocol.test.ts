import { describe, expect, it } from 'vitest';
import { ALLOW, BLOCK, fakeExchange, query, read, rig } from './fixture.ts';

const addresses = (count: number) =>
  fakeExchange((name) => ({
    answers: Array.from({ length: count }, (_, i) => ({
      type: 'A' as const,
      name,
      ttl: 60,
      data: `192.0.2.${i}`,
    })),
  }));

describe('questions that are turned away', () => {
  it.each([
    ['AXFR', { type: 252 }, 5],
    ['IXFR', { type: 251 }, 5],
    ['CHAOS', { type: 16, class: 3 }, 5],
    ['OPT as a type', { type: 41 }, 4],
    ['TSIG as a type', { type: 250 }, 4],
    ['type 0', { type: 0 }, 4],
    ['an update', { flags: 0x2800 }, 4],
    ['EDNS version 3', { edns: { version: 3 } }, 0],
  ])('%s', async (_what, options, rcode) => {
    const exchange = fakeExchange(() => ({}));
    const answer = await rig({ exchange }).ask(query('a.example', options));
    expect(answer).toMatchObject({ id: 0x1234, rcodeNumber: rcode, data: [] });
    expect(exchange.asked).toEqual([]);
  });

  it('BADVERS says which version is spoken', async () => {
    const answer = await rig({}).ask(query('a.example', { edns: { version: 3 } }));
    expect(answer?.opt).toEqual({ size: 1232, extended: 1, version: 0, dnssecOk: false });
  });

  it('FORMERR bears the id and no question that could not be read', async () => {
    const answer = await rig({}).ask(query('a.example').subarray(0, 15));
    expect(answer).toMatchObject({ id: 0x1234, rcodeNumber: 1, questions: [] });
  });

  it('an answer is met with silence', async () => {
    expect(await rig({}).ask(query('a.example', { flags: 0x8100 }))).toBeNull();
    expect(await rig({}).ask(Buffer.alloc(5))).toBeNull();
  });

  it('F01: a network that is not served is refused, whatever it asks', async () => {
    const it = rig({ exchange: addresses(1) });
    expect(await it.ask(query('a.example'), { from: '192.0.2.9' })).toMatchObject({
      rcodeNumber: 5,
      ede: [],
    });
    expect(await it.ask(query('a.example'), { from: '2001:db8::9' })).toMatchObject({ rcodeNumber: 5 });
    expect(await it.ask(query('a.example'), { from: '10.9.9.9' })).toMatchObject({ rcodeNumber: 0 });
    expect(it.handler.stats()).toMatchObject({ unserved: 2 });
    expect(it.decisions.length).toBe(1);
  });

  it('settings that are no networks are named', () => {
    expect(() => rig({ settings: { serve: ['10.0.0.0/40'] } })).toThrow('10.0.0.0/40');
  });
});

describe('ANY', () => {
  it('is answered as RFC 8482 says, without asking anyone', async () => {
    const exchange = fakeExchange(() => ({}));
    const answer = await rig({ exchange }).ask(query('a.example', { type: 255 }));
    expect(answer?.answers).toEqual([
      expect.objectContaining({ type: 'HINFO', name: 'a.example', data: { cpu: 'RFC8482', os: '' } }),
    ]);
    expect(exchange.asked).toEqual([]);
  });
});

describe('names that never leave', () => {
  it.each([
    ['localhost', 1, 0, ['127.0.0.1']],
    ['a.LocalHost', 28, 0, ['::1']],
    ['localhost', 15, 0, []],
    ['printer.local', 1, 3, []],
    ['local', 1, 3, []],
    ['x.Invalid', 1, 3, []],
    ['x.test', 1, 3, []],
    ['x.onion', 28, 3, []],
    ['_dns.resolver.arpa', 64, 0, []],
    ['resolver.arpa', 1, 0, []],
  ] as const)('%s, type %i', async (name, type, rcode, data) => {
    const exchange = fakeExchange(() => ({}));
    const it = rig({ exchange, rule: () => BLOCK });
    const answer = await it.ask(query(name, { type }));
    expect(answer).toMatchObject({ rcodeNumber: rcode, data, ede: [] });
    expect(exchange.asked).toEqual([]);
    expect(it.decisions[0]?.verdict).toMatchObject({
      action: 'allow',
      rule: 'special-use names are answered here',
    });
  });

  it.each(['locals', 'mylocal', 'x.example', '8.8.8.8.in-addr.arpa', 'notresolver.arpa', '.'])(
    '%s leaves',
    async (name) => {
      const exchange = fakeExchange(() => ({}));
      await rig({ exchange }).ask(query(name));
      expect(exchange.asked.length).toBe(1);
    },
  );

  it('leave for an upstream of their own', async () => {
    const inside = addresses(1);
    const it = rig({ settings: { forward: { 'lab.test': inside } } });
    expect(await it.ask(query('pc.lab.test'))).toMatchObject({ data: ['192.0.2.0'] });
    expect(await it.ask(query('other.test'))).toMatchObject({ rcodeNumber: 3 });
    expect(inside.asked).toEqual(['pc.lab.test A']);
  });
});

describe('names with an upstream of their own', () => {
  it('are asked there, after the policy', async () => {
    const [usual, inside] = [addresses(1), addresses(2)];
    const it = rig({
      exchange: usual,
      settings: { forward: { 'inside.example': inside } },
      rule: (name) => (name.startsWith('bad') ? BLOCK : ALLOW),
    });
    expect((await it.ask(query('a.Inside.example')))?.data.length).toBe(2);
    expect((await it.ask(query('inside.example')))?.data.length).toBe(2);
    expect((await it.ask(query('outside.example')))?.data.length).toBe(1);
    expect((await it.ask(query('bad.inside.example')))?.rcodeNumber).toBe(3);
    expect(inside.asked.length).toBe(2);
  });
});

describe('EDNS', () => {
  it.each([
    // [what the asker says, transport, addresses, answer fits]
    [null, 'udp', 19, true],
    [null, 'udp', 20, false],
    [null, 'udp', 40, false],
    [512, 'udp', 40, false],
    [1232, 'udp', 40, true],
    [1232, 'udp', 47, true],
    [1232, 'udp', 48, false],
    [4096, 'udp', 100, false],
    [65535, 'udp', 100, false],
    [null, 'tcp', 1000, true],
    [512, 'tcp', 1000, true],
  ] as const)('size %s by %s, %i addresses: fits %s', async (size, transport, count, fits) => {
    const edns = size === null ? null : { size };
    const answer = await rig({ exchange: addresses(count) }).ask(query('a.example', { edns }), { transport });
    expect(answer?.truncated).toBe(!fits);
    expect(answer?.data.length).toBe(fits ? count : 0);
    expect(answer?.opt).toEqual(
      size === null ? null : { size: 1232, extended: 0, version: 0, dnssecOk: false },
    );
    expect(answer?.questions).toEqual([{ name: 'a.example', type: 'A', class: 'IN' }]);
  });

  it('asks the upstream with OPT of its own, and hands nothing on that a client put in its query', async () => {
    const seen: Uint8Array[] = [];
    const exchange = fakeExchange((_name, _type, packet) => {
      seen.push(packet);
      return {};
    });
    const options = Buffer.from([0, 8, 0, 4, 0, 1, 32, 0, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    await rig({ exchange }).ask(
      query('a.example', { flags: 0x0110, edns: { size: 4096, dnssecOk: true, options } }),
    );
    const asked = read(seen[0] as Uint8Array);
    expect(asked.opt).toEqual({ size: 1232, extended: 0, version: 0, dnssecOk: true });
    expect(asked.additionals?.[0]).toMatchObject({ options: [] });
    expect(asked).toMatchObject({ flag_rd: true, flag_cd: true, flag_ad: true });
  });

  it('gives the upstream’s extended errors on, and none of its other options', async () => {
    const opt = {
      type: 'OPT' as const,
      name: '.',
      udpPayloadSize: 4096,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [
        { code: 15, data: Buffer.from([0, 6, 98, 111, 103, 117, 115]) },
        { code: 10, data: Buffer.alloc(16) },
      ] as never[],
    };
    const exchange = fakeExchange(() => ({ rcode: 2, additionals: [opt] }));
    const answer = await rig({ exchange }).ask(query('a.example'));
    expect(answer).toMatchObject({ rcodeNumber: 2, ede: [6] });
    expect(answer?.additionals?.[0]).toMatchObject({ udpPayloadSize: 1232, options: [{ code: 15 }] });
  });

  it('asks once more without OPT when an old server does not know it', async () => {
    const exchange = fakeExchange((name, _type, packet) =>
      packet[11] === 1 ? { rcode: 1 } : { answers: [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }] },
    );
    expect(await rig({ exchange }).ask(query('a.example'))).toMatchObject({ data: ['192.0.2.1'] });
    expect(exchange.asked.length).toBe(2);
  });

  it('AD is told only to those who know what it means', async () => {
    const exchange = fakeExchange(() => {
      const bytes = Buffer.from(query('a.example', { edns: null, flags: 0x81a0 }));
      bytes.set([0, 1, 0, 0], 6);
      return Buffer.concat([bytes, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1])]);
    });
    const it = rig({ exchange });
    expect(await it.ask(query('a.example', { flags: 0x0100 }))).toMatchObject({
      flag_ad: false,
      data: ['192.0.2.1'],
    });
    expect(await it.ask(query('a.example', { flags: 0x0120 }))).toMatchObject({ flag_ad: true });
    const withDo = query('a.example', { edns: { dnssecOk: true } });
    expect(await it.ask(withDo)).toMatchObject({ flag_ad: true, opt: { dnssecOk: true } });
    expect(await it.ask(query('a.example', { flags: 0x0000 }))).toMatchObject({
      flag_rd: false,
      flag_ra: true,
    });
  });
});

describe('the rate of one client', () => {
  const packet = query('bet.example');
  it('has room for ten seconds of its queries at once; then it is sent to TCP, then nothing is said', async () => {
    const it = rig({ rule: () => BLOCK, settings: { rateLimit: { qps: 10, exempt: ['10.0.1.0/24'] } } });
    const kinds: string[] = [];
    for (let i = 0; i < 120; i++) {
      const answer = await it.ask(packet);
      kinds.push(answer === null ? 'silence' : answer.truncated ? 'cut' : 'answer');
    }
    expect(kinds).toEqual([
      ...new Array<string>(100).fill('answer'),
      ...new Array<string>(10).fill('cut'),
      ...new Array<string>(10).fill('silence'),
    ]);
    // The others are not held up by it, the exempt never, and TCP always has an answer.
    expect(await it.ask(packet, { from: '10.0.0.2' })).toMatchObject({ rcodeNumber: 3 });
    for (let i = 0; i < 160; i++) expect((await it.ask(packet, { from: '10.0.1.9' }))?.rcodeNumber).toBe(3);
    expect(await it.ask(packet, { transport: 'tcp' })).toMatchObject({ rcodeNumber: 5, truncated: false });
    it.time += 10_000;
    expect(await it.ask(packet)).toMatchObject({ rcodeNumber: 3, truncated: false });
    expect(it.handler.stats()).toMatchObject({ limited: 10, dropped: 11 });
    expect(it.decisions.length).toBe(100 + 1 + 160 + 1);
  });

  it('is visible: the clients that met it are told once, but not strangers, and of a flood only some', async () => {
    const serve = ['10.0.0.0/8'];
    const it = rig({ settings: { serve, rateLimit: { qps: 1, exempt: [] } } });
    const flood = (from: string): void => {
      for (let i = 0; i < 30; i++) it.askNow(packet, { from });
    };
    expect(it.handler.takeLimited()).toEqual([]);
    flood('10.0.0.1');
    it.askNow(packet, { from: '10.0.0.2' });
    const { limited, dropped } = it.handler.stats() as { limited: number; dropped: number };
    expect(limited + dropped).toBeGreaterThan(10);
    expect(it.handler.takeLimited()).toEqual([{ client: '10.0.0.1', queries: limited + dropped }]);
    expect(it.handler.takeLimited()).toEqual([]);
    flood('203.0.113.9');
    expect(it.handler.takeLimited()).toEqual([]);
    it.askNow(packet, { from: '10.0.0.1' });
    expect(it.handler.takeLimited()).toEqual([{ client: '10.0.0.1', queries: 1 }]);
    for (let i = 0; i < 400; i++) flood(`10.1.${i >> 8}.${i & 255}`);
    expect(it.handler.takeLimited()).toHaveLength(256);
  });

  it('fills up again at the rate, and not by a clock that is set back', async () => {
    const it = rig({ rule: () => BLOCK, settings: { rateLimit: { qps: 10, exempt: [] } } });
    for (let i = 0; i < 100; i++) await it.ask(packet);
    it.time -= 60_000;
    expect((await it.ask(packet))?.truncated).toBe(true);
    it.time += 300;
    const kinds: (boolean | undefined)[] = [];
    for (let i = 0; i < 4; i++) kinds.push((await it.ask(packet))?.truncated);
    expect(kinds).toEqual([false, false, true, true]);
  });

  it('is counted in bounded memory, and malformed packets count', async () => {
    const it = rig({ settings: { rateLimit: { qps: 10, exempt: [] } } });
    for (let i = 0; i < 40_000; i++) {
      it.askNow(query('x.local'), { from: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` });
    }
    expect(it.handler.stats()['clients']).toBeLessThanOrEqual(16_384);
    for (let i = 0; i < 125; i++) it.askNow(packet.subarray(0, 15), { from: '10.99.0.1' });
    expect(it.askNow(packet, { from: '10.99.0.1' })).toBeNull();
  });
});
