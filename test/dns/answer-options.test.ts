import fc from 'fast-check';
import { decode, encode } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { addKeepAlive, freshness, padAnswer, wantsKeepAlive } from '../../src/dns/answer-options.ts';
import { clientIdOfServerName, readClientId } from '../../src/dns/client-id.ts';
import { asksForDiscovery, createDiscovery, discoveryReply } from '../../src/dns/discovery.ts';
import { readDohRequest } from '../../src/dns/doh-request.ts';
import { createQuery, parseQuery } from '../../src/dns/wire.ts';
import { query, read } from './fixture.ts';

function answer(options: {
  edns?: boolean;
  ttls?: number[];
  soa?: [number, number];
  rcode?: number;
}): Uint8Array {
  const { edns = true, ttls = [60], soa, rcode = 0 } = options;
  const bytes = encode({
    type: 'response',
    id: 7,
    flags: 0x0180 | rcode,
    questions: [{ type: 'A', name: 'a.example' }],
    answers: ttls.map((ttl) => ({ type: 'A', name: 'a.example', ttl, data: '192.0.2.1' })),
    authorities:
      soa === undefined
        ? []
        : [
            {
              type: 'SOA',
              name: 'example',
              ttl: soa[0],
              data: {
                mname: 'a.example',
                rname: 'b.example',
                serial: 1,
                refresh: 2,
                retry: 3,
                expire: 4,
                minimum: soa[1],
              },
            },
          ],
    additionals: edns
      ? [
          {
            type: 'OPT',
            name: '.',
            udpPayloadSize: 1232,
            flags: 0,
            options: [],
            extendedRcode: 0,
            ednsVersion: 0,
            flag_do: false,
          } as never,
        ]
      : [],
  });
  const room = new Uint8Array(66_000);
  room.set(bytes);
  return Object.assign(room, { size: bytes.length });
}
const sizeOf = (bytes: Uint8Array): number => (bytes as Uint8Array & { size: number }).size;

describe('padding', () => {
  it.each([1, 5, 20, 25, 26, 27, 28, 29, 60, 200, 1000, 2000])('an answer of %i records', (count) => {
    const bytes = answer({ ttls: new Array<number>(count).fill(60) });
    const size = padAnswer(bytes, sizeOf(bytes));
    expect([size % 468, size >= sizeOf(bytes) + 4]).toEqual([0, true]);
    expect(read(bytes.subarray(0, size)).data.length).toBe(count);
  });

  it('leaves what has no OPT, and what is as long as can be', () => {
    const plain = answer({ edns: false });
    expect(padAnswer(plain, sizeOf(plain))).toBe(sizeOf(plain));
    const long = answer({ ttls: new Array<number>(2619).fill(60) });
    const size = padAnswer(long, sizeOf(long));
    expect(size).toBeLessThanOrEqual(65_535);
    expect(read(long.subarray(0, size)).data.length).toBe(2619);
  });
});

describe('keeping alive', () => {
  it('is asked for and answered', () => {
    const asks = query('a.example', { edns: { options: Buffer.from([0, 10, 0, 2, 1, 2, 0, 11, 0, 0]) } });
    expect(wantsKeepAlive(asks, asks.length)).toBe(true);
    for (const other of [query('a.example'), query('a.example', { edns: null })])
      expect(wantsKeepAlive(other, other.length)).toBe(false);
    const bytes = answer({});
    const size = addKeepAlive(bytes, sizeOf(bytes), 10_000);
    const opt = decode(Buffer.from(bytes.subarray(0, size))).additionals?.[0] as unknown as {
      options: { code: number; timeout: number }[];
    };
    expect(opt.options).toMatchObject([{ code: 11, timeout: 100 }]);
  });
});

describe('freshness', () => {
  it.each([
    ['the lowest TTL', { ttls: [300, 20, 60] }, 20],
    ['no such name, the SOA', { ttls: [], soa: [900, 30] as [number, number], rcode: 3 }, 30],
    ['no such record, the SOA’s TTL', { ttls: [], soa: [15, 30] as [number, number] }, 15],
    ['nothing at all', { ttls: [] }, 0],
    ['SERVFAIL', { ttls: [60], rcode: 2 }, 0],
    ['REFUSED', { ttls: [60], rcode: 5 }, 0],
  ])('%s', (_what, options, seconds) => {
    const bytes = answer(options);
    expect(freshness(bytes, sizeOf(bytes))).toBe(seconds);
  });
});

it('any bytes: nothing throws, lengths stay within bounds', () => {
  const whole = answer({ ttls: [1, 2], soa: [5, 6] });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(140), fc.nat(255)), { maxLength: 4 }),
      fc.integer({ min: 0, max: 160 }),
      (changes, length) => {
        const bytes = Uint8Array.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        expect(freshness(bytes, length)).toBeGreaterThanOrEqual(0);
        wantsKeepAlive(bytes, length);
        const kept = addKeepAlive(bytes, length, 1000);
        const padded = padAnswer(bytes, kept);
        expect(kept === length || kept === length + 6).toBe(true);
        expect(padded === kept || padded % 468 === 0).toBe(true);
      },
    ),
    { numRuns: 4000 },
  );
});

describe('client ids', () => {
  it.each([
    ['tablet-7', 'tablet-7'],
    ['A', 'a'],
    ['x'.repeat(63), 'x'.repeat(63)],
    ['x'.repeat(64), null],
    ['', null],
    ['-a', null],
    ['a-', null],
    ['a.b', null],
    ['%41', null],
  ])('%s', (text, id) => {
    expect(readClientId(text)).toBe(id);
    expect(clientIdOfServerName(`${text}.gate.example`, 'gate.example')).toBe(id);
  });

  it('no host, no id', () => {
    expect(clientIdOfServerName('a.gate.example', null)).toBeNull();
    expect(clientIdOfServerName(null, 'gate.example')).toBeNull();
    expect(clientIdOfServerName('gate.example', 'gate.example')).toBeNull();
  });
});

it('base64url in a request is read as Node reads it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 12, maxLength: 300 }), (bytes) => {
      bytes[2] = (bytes[2] as number) & 0x7f;
      const path = `/dns-query?dns=${Buffer.from(bytes).toString('base64url')}`;
      const request = readDohRequest('GET', path, undefined, undefined);
      expect(request).toEqual({ kind: 'query', clientId: null, packet: bytes });
    }),
  );
});

describe('discovery', () => {
  const designated = {
    host: 'gate.example',
    dot: 853,
    doh: 8443,
    v4: [Uint8Array.of(10, 0, 0, 1)],
    v6: [Uint8Array.from({ length: 16 }, (_, i) => i)],
  };
  const given = (one: Parameters<typeof createDiscovery>[0]) => {
    const discovery = createDiscovery(one);
    if (discovery === null) throw new Error('nothing to announce');
    const asked = query('_DNS.resolver.arpa', { type: 64, edns: null });
    const parsed = createQuery();
    expect(parseQuery(asked, asked.length, parsed)).toBe(0);
    expect(asksForDiscovery(asked, parsed)).toBe(true);
    const out = new Uint8Array(1000);
    const end = discoveryReply(out, 0, asked, parsed, discovery);
    return Buffer.from(out.subarray(0, end));
  };

  it('announces DoT and DoH with port, path and addresses', () => {
    const bytes = given(designated);
    expect(bytes.readUInt16BE(6)).toBe(2);
    const answers = decode(bytes).answers as unknown as { type: string; ttl: number; data: Buffer }[];
    expect(answers.map(({ ttl }) => ttl)).toEqual([300, 300]);
    const name = '0467617465076578616d706c6500';
    const hints = '000400040a0000010006001000' + '0102030405060708090a0b0c0d0e0f';
    expect(bytes.toString('hex')).toContain(`0001${name}0001000403646f7400030002${'0355'}${hints}`);
    const path = Buffer.from('/dns-query{?dns}').toString('hex');
    expect(bytes.toString('hex')).toContain(
      `0002${name}00010003026832000300022${'0fb'}${hints}00070010${path}`,
    );
  });

  it.each([
    ['_dns.resolver.arpa', 1],
    ['dns.resolver.arpa', 64],
    ['x._dns.resolver.arpa', 64],
  ])('%s of type %i is another question', (name, type) => {
    const asked = query(name, { type });
    const parsed = createQuery();
    parseQuery(asked, asked.length, parsed);
    expect(asksForDiscovery(asked, parsed)).toBe(false);
  });

  it('only what is offered', () => {
    expect(given({ ...designated, dot: null, v6: [] }).readUInt16BE(6)).toBe(1);
    expect(createDiscovery({ ...designated, dot: null, doh: null })).toBeNull();
  });
});
