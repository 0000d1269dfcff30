import { decode, encode } from 'dns-packet';
import type { Answer } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { createLookup } from '../../src/resolver/lookup.ts';
import { createRoutes } from '../../src/resolver/routing.ts';
import type { Exchange, Lookup } from '../../src/resolver/types.ts';
import { addressRecord } from './scripted-upstream.ts';

type Script = (name: string, type: string) => { answers?: Answer[]; rcode?: number } | Buffer | Error;

function scripted(script: Script): Exchange & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async query(packet) {
      const question = decode(Buffer.from(packet)).questions?.[0];
      const name = question?.name ?? '';
      const type = question?.type ?? '';
      asked.push(`${name} ${type}`);
      const answer = script(name, type);
      if (answer instanceof Error) throw answer;
      if (Buffer.isBuffer(answer)) return answer;
      return encode({
        type: 'response',
        flags: answer.rcode ?? 0,
        questions: question === undefined ? [] : [question],
        answers: answer.answers ?? [],
      });
    },
    ask(packet, done) {
      this.query(packet).then(done, () => done(null));
    },
    stats: () => ({}),
    upstreams: () => [],
    close() {},
  };
}

const both: Script = (name, type) => ({
  answers: [type === 'A' ? addressRecord(name, '192.0.2.1', 60) : addressRecord(name, '2001:db8::1', 30)],
});

const addresses = async (lookup: Lookup, name: string) => (await lookup.resolve(name)).addresses;

describe('lookup', () => {
  it('asks for A and AAAA and gives both', async () => {
    const exchange = scripted(both);
    const lookup = createLookup({ exchange, now: () => 0 });
    expect(await addresses(lookup, 'www.example')).toEqual([
      { address: '192.0.2.1', family: 4 },
      { address: '2001:db8::1', family: 6 },
    ]);
    expect(exchange.asked).toEqual(['www.example A', 'www.example AAAA']);
  });

  it.each([
    ['192.0.2.7', 4],
    ['2001:db8::7', 6],
  ] as const)('passes an address through: %s', async (address, family) => {
    const exchange = scripted(both);
    expect(await addresses(createLookup({ exchange, now: () => 0 }), address)).toEqual([{ address, family }]);
    expect(exchange.asked).toEqual([]);
  });

  it('keeps the answer for the shorter TTL, and no longer', async () => {
    let now = 0;
    const exchange = scripted(both);
    const lookup = createLookup({ exchange, now: () => now });
    await addresses(lookup, 'www.example');
    now = 29_999;
    await addresses(lookup, 'www.example');
    expect(exchange.asked.length).toBe(2);
    now = 30_000;
    await addresses(lookup, 'www.example');
    expect(exchange.asked.length).toBe(4);
    lookup.clear();
    await addresses(lookup, 'www.example');
    expect(exchange.asked.length).toBe(6);
  });

  it('asks once for many who ask at the same time', async () => {
    const exchange = scripted(both);
    const lookup = createLookup({ exchange, now: () => 0 });
    await Promise.all(Array.from({ length: 20 }, () => addresses(lookup, 'www.example')));
    expect(exchange.asked.length).toBe(2);
  });

  it('follows the chain of the answer and takes no address from beside it', async () => {
    const lookup = createLookup({
      exchange: scripted((_name, type) =>
        type === 'AAAA'
          ? {}
          : {
              answers: [
                { type: 'CNAME', name: 'WWW.example', ttl: 60, data: 'Edge.example' },
                { type: 'CNAME', name: 'edge.example', ttl: 60, data: 'end.example' },
                addressRecord('other.example', '198.51.100.66'),
                addressRecord('end.example', '192.0.2.3'),
              ],
            },
      ),
      now: () => 0,
    });
    expect(await lookup.resolve('www.example')).toEqual({
      addresses: [{ address: '192.0.2.3', family: 4 }],
      chain: ['edge.example', 'end.example'],
    });
  });

  it('gives the names that either answer led through, with addresses or without', async () => {
    const cname = (from: string, data: string): Answer => ({ type: 'CNAME', name: from, ttl: 60, data });
    const of = (a: Answer[], aaaa: Answer[], rcode = 0) =>
      createLookup({
        exchange: scripted((_name, type) => ({ answers: type === 'A' ? a : aaaa, rcode })),
        now: () => 0,
      }).resolve('www.example');
    const [one, two] = [cname('www.example', 'one.example'), cname('www.example', 'two.example')];
    expect(await of([one, addressRecord('one.example', '192.0.2.1')], [two])).toEqual({
      addresses: [{ address: '192.0.2.1', family: 4 }],
      chain: ['one.example', 'two.example'],
    });
    expect(await of([one], [one], 3)).toEqual({ addresses: [], chain: ['one.example'] });
    expect((await of([cname('other.example', 'beside.example')], [])).chain).toEqual([]);
    const long = Array.from({ length: 40 }, (_, i) =>
      cname(i === 0 ? 'www.example' : `${i}.example`, `${i + 1}.example`),
    );
    expect((await of(long, long)).chain).toHaveLength(16);
  });

  it('gives no address for a chain in a ring, a missing name or an empty answer', async () => {
    const ring: Answer[] = [
      { type: 'CNAME', name: 'a.example', ttl: 60, data: 'b.example' },
      { type: 'CNAME', name: 'b.example', ttl: 60, data: 'a.example' },
    ];
    const of = (answer: { answers?: Answer[]; rcode?: number }) =>
      addresses(createLookup({ exchange: scripted(() => answer), now: () => 0 }), 'a.example');
    expect(await of({ answers: ring })).toEqual([]);
    expect(await of({ rcode: 3 })).toEqual([]);
    expect(await of({})).toEqual([]);
  });

  it('remembers a missing name only for a moment', async () => {
    let now = 0;
    const exchange = scripted(() => ({ rcode: 3 }));
    const lookup = createLookup({ exchange, now: () => now });
    await addresses(lookup, 'none.example');
    now = 9_000;
    await addresses(lookup, 'none.example');
    expect(exchange.asked.length).toBe(2);
    now = 10_000;
    await addresses(lookup, 'none.example');
    expect(exchange.asked.length).toBe(4);
  });

  it('makes do with one half, for a moment', async () => {
    let now = 0;
    const exchange = scripted((name, type) => (type === 'A' ? both(name, type) : new Error('silent')));
    const lookup = createLookup({ exchange, now: () => now });
    expect(await addresses(lookup, 'www.example')).toEqual([{ address: '192.0.2.1', family: 4 }]);
    now = 5_000;
    await addresses(lookup, 'www.example');
    expect(exchange.asked.length).toBe(4);
  });

  it.each([
    ['the upstreams are silent', () => new Error('no answer from 192.0.2.53:53')],
    ['the upstream fails', () => ({ rcode: 2 })],
    ['the answer is garbage', () => Buffer.from('0000818000010001000000000377', 'hex')],
    ['the answer points at itself', () => Buffer.from('000081800001000000000000c00c00010001', 'hex')],
    ['the answer is empty', () => Buffer.alloc(0)],
  ] satisfies [string, Script][])('rejects when %s, and keeps nothing', async (_what, script) => {
    const exchange = scripted(script);
    const lookup = createLookup({ exchange, now: () => 0 });
    await expect(addresses(lookup, 'www.example')).rejects.toThrow(/www\.example could not be looked up/);
    await expect(addresses(lookup, 'www.example')).rejects.toThrow();
    expect(exchange.asked.length).toBe(4);
  });

  it.each([
    '',
    'a..b',
    '.',
    'a b.example',
    'é.example',
    `${'a'.repeat(64)}.example`,
    'a.'.repeat(127) + 'aa',
  ])('asks nobody about %j', async (name) => {
    const exchange = scripted(both);
    await expect(addresses(createLookup({ exchange, now: () => 0 }), name)).rejects.toThrow(/not a name/);
    expect(exchange.asked).toEqual([]);
  });

  it('asks the upstream of the longest suffix', async () => {
    const [usual, inside, deeper] = [scripted(both), scripted(both), scripted(both)];
    const routes = createRoutes({ 'inside.example': inside, 'lab.inside.example': deeper });
    const lookup = createLookup({ exchange: usual, routes, now: () => 0 });
    for (const name of ['notinside.example', 'inside.example', 'a.inside.example', 'x.lab.inside.example']) {
      await addresses(lookup, name);
    }
    expect(usual.asked.length).toBe(2);
    expect(inside.asked.length).toBe(4);
    expect(deeper.asked.length).toBe(2);
  });
});
