import { encode, type Answer } from 'dns-packet';
import { describe, expect, it } from 'vitest';
import { readResponse } from '../../src/dns/response.ts';
import { composeRewrite, rewriteKind } from '../../src/dns/rewrite-answer.ts';
import { query, read, wireName } from './fixture.ts';
import { mutated, numbers } from './mutate.ts';

const TARGET = 'forcesafesearch.google.com';
const TYPES = { A: 1, AAAA: 28, HTTPS: 65 } as const;

function asked(type: keyof typeof TYPES, name = 'www.google.com'): { bytes: Uint8Array; end: number } {
  const bytes = query(name, { type: TYPES[type], edns: null, id: 0x4242 });
  return { bytes, end: bytes.length };
}

function upstream(
  type: keyof typeof TYPES,
  answers: Answer[],
  more: { name?: string; authorities?: Answer[]; additionals?: Answer[]; flags?: number } = {},
): Uint8Array {
  return encode({
    type: 'response',
    id: 7,
    flags: more.flags ?? 0x01a0, // RD, RA, AD
    questions: [{ name: more.name ?? TARGET, type: type as 'A', class: 'IN' }],
    answers,
    authorities: more.authorities ?? [],
    additionals: more.additionals ?? [],
  });
}

const a = (data: string, name = TARGET, ttl = 120): Answer => ({ type: 'A', name, ttl, data });
const alias = (name: string, data: string, ttl = 200): Answer => ({ type: 'CNAME', name, ttl, data });
const soa = (minimum: number, ttl = 500): Answer => ({
  type: 'SOA',
  name: 'google.com',
  ttl,
  data: {
    mname: 'ns1.google.com',
    rname: 'dns-admin.google.com',
    serial: 1,
    refresh: 9,
    retry: 9,
    expire: 9,
    minimum,
  },
});

function compose(
  type: keyof typeof TYPES,
  answer: Uint8Array,
  name?: string,
  target = TARGET,
): Uint8Array | null {
  const { bytes, end } = asked(type, name);
  return composeRewrite(bytes, end, wireName(target), answer);
}

describe('the answer for a name that is answered as another', () => {
  it('has the question as it was asked, the alias, and the target’s addresses under the target', () => {
    const made = compose('A', upstream('A', [a('216.239.38.120'), a('216.239.38.119')]), 'WWW.gOOgle.com');
    const answer = read(made!);
    expect(answer.id).toBe(0x4242);
    expect(answer.questions).toEqual([{ name: 'WWW.gOOgle.com', type: 'A', class: 'IN' }]);
    expect(answer.answers).toMatchObject([
      { type: 'CNAME', name: 'WWW.gOOgle.com', data: TARGET, ttl: 120 },
      { type: 'A', name: TARGET, data: '216.239.38.120', ttl: 120 },
      { type: 'A', name: TARGET, data: '216.239.38.119', ttl: 120 },
    ]);
    expect(answer).toMatchObject({ authorities: [], additionals: [], rcodeNumber: 0, truncated: false });
    // QR, RD, RA; AD of the upstream is gone
    expect([made![2], made![3]]).toEqual([0x81, 0x80]);
  });

  it('keeps RD and CD of the question and sets nothing else', () => {
    const { bytes, end } = asked('A');
    bytes[2] = 0;
    bytes[3] = 0x10;
    const made = composeRewrite(bytes, end, wireName(TARGET), upstream('A', [a('192.0.2.1')]))!;
    expect([made[2], made[3]]).toEqual([0x80, 0x90]);
  });

  it('follows the target’s own aliases, in any order and case, and takes the lowest TTL on the way, 300 at most', () => {
    const answers = [
      a('192.0.2.1', 'E.CDN.test', 900),
      a('192.0.2.9', 'elsewhere.test', 1),
      alias('w.cdn.test', 'e.cdn.test', 700),
      alias('strict.bing.com', 'W.cdn.test', 40),
    ];
    const answer = read(
      compose('A', upstream('A', answers, { name: 'strict.bing.com' }), 'www.bing.com', 'strict.bing.com')!,
    );
    expect(answer.answers).toMatchObject([
      { type: 'CNAME', name: 'www.bing.com', data: 'strict.bing.com', ttl: 40 },
      { type: 'A', name: 'strict.bing.com', data: '192.0.2.1', ttl: 40 },
    ]);
    expect(read(compose('A', upstream('A', [a('192.0.2.1', TARGET, 86_400)]))!).ttls).toEqual([300, 300]);
  });

  it('AAAA: the target’s own, or NODATA with a SOA and never the name’s own', () => {
    const six = upstream('AAAA', [{ type: 'AAAA', name: TARGET, ttl: 60, data: '2001:4860:4802:32::78' }]);
    expect(read(compose('AAAA', six)!).data).toEqual([TARGET, '2001:4860:4802:32::78']);
    const none = read(compose('AAAA', upstream('AAAA', [], { authorities: [soa(55)] }))!);
    expect(none).toMatchObject({ data: [TARGET], ttls: [55], rcodeNumber: 0 });
    expect(none.authorities).toMatchObject([{ type: 'SOA', name: TARGET, ttl: 55, data: { minimum: 55 } }]);
    expect(read(compose('AAAA', upstream('AAAA', []))!).ttls).toEqual([60]);
  });

  it('HTTPS: the alias and NODATA, whatever the upstream said, or with nothing from it', () => {
    for (const answer of [new Uint8Array(0), upstream('A', [a('192.0.2.1')])]) {
      const made = read(compose('HTTPS', answer)!);
      expect(made.data).toEqual([TARGET]);
      expect(made.authorities).toMatchObject([{ type: 'SOA' }]);
    }
  });

  it('can be read and kept as every answer', () => {
    const response = readResponse(compose('A', upstream('A', [a('192.0.2.1')]))!);
    expect(response).toMatchObject({ rcode: 0, lifetime: 120, truncated: false });
    expect(response?.addresses).toEqual([Uint8Array.of(192, 0, 2, 1)]);
    expect(response?.chain.map((name) => Buffer.from(name))).toEqual([wireName(TARGET)]);
    expect(readResponse(compose('HTTPS', new Uint8Array(0))!)?.lifetime).toBe(300);
  });

  it('gives null for failures and for what is no answer to that question', () => {
    const good = upstream('A', [a('192.0.2.1')]);
    expect(compose('A', good)).not.toBeNull();
    expect(compose('A', new Uint8Array(0))).toBeNull();
    expect(compose('A', upstream('A', [], { flags: 0x0183 }))).toBeNull(); // NXDOMAIN
    expect(compose('A', upstream('A', [], { flags: 0x0182 }))).toBeNull(); // SERVFAIL
    expect(compose('A', upstream('A', [a('192.0.2.1')], { flags: 0x0380 }))).toBeNull(); // truncated
    expect(compose('A', upstream('A', [a('192.0.2.1')], { name: 'www.google.com' }))).toBeNull();
    expect(compose('AAAA', good)).toBeNull(); // another type
    const asQuery = Uint8Array.from(good);
    asQuery[2] = 1;
    expect(compose('A', asQuery)).toBeNull();
    const loop = [alias(TARGET, 'b.test'), alias('b.test', TARGET)];
    expect(compose('A', upstream('A', loop))).toBeNull();
    for (let cut = 1; cut < good.length; cut++) expect(compose('A', good.subarray(0, cut))).toBeNull();
  });

  it('takes no address that is not the target’s', () => {
    const answer = compose('A', upstream('A', [a('192.0.2.66', 'www.google.com'), alias('x.test', TARGET)]));
    expect(read(answer!).data).toEqual([TARGET]);
  });

  it('which types are rewritten', () => {
    expect([1, 28, 65].map(rewriteKind)).toEqual(['compose', 'compose', 'compose']);
    expect([5, 64, 38, 39, 99, 33, 35, 65_280].map(rewriteKind)).toEqual(new Array(8).fill('nodata'));
    expect([15, 16, 2, 6, 43, 257].map(rewriteKind)).toEqual(new Array(6).fill('pass'));
    expect(rewriteKind(255)).toBe('any');
  });

  it('F12 no broken answer throws or gives a message that cannot be read (100,000 of them)', () => {
    const good = [
      upstream('A', [alias(TARGET, 'a.test'), alias('a.test', 'b.test'), a('192.0.2.1', 'b.test')]),
      upstream('A', [a('192.0.2.1'), a('192.0.2.2')], { additionals: [a('192.0.2.3', 'x.test')] }),
      upstream('A', [], { authorities: [soa(30)] }),
    ];
    const next = numbers(0x5eed);
    const { bytes, end } = asked('A');
    const target = wireName(TARGET);
    const outcomes = { made: 0, refused: 0 };
    for (let i = 0; i < 100_000; i++) {
      const made = composeRewrite(bytes, end, target, mutated(good, next));
      if (made === null) {
        outcomes.refused++;
        continue;
      }
      outcomes.made++;
      const response = readResponse(made);
      if (response === null || response.rcode !== 0 || response.chain.length !== 1)
        expect.fail(`message ${i}`);
      if (response.lifetime > 300) expect.fail(`message ${i} is kept too long`);
    }
    expect(outcomes.made).toBeGreaterThan(1000);
    expect(outcomes.refused).toBeGreaterThan(1000);
  }, 60_000);
});
