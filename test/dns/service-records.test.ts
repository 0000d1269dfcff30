import { describe, expect, it } from 'vitest';
import { withoutEch } from '../../src/dns/service-records.ts';
import { expandName, skipName, uint16 } from '../../src/dns/wire.ts';
import { wireName } from './fixture.ts';
import { mutated, numbers } from './mutate.ts';

type Rec = { owner: Buffer; type: number; data: Buffer; class?: number; ttl?: number };

const u16 = (...values: number[]): Buffer => Buffer.from(values.flatMap((v) => [v >> 8, v & 0xff]));
const param = (key: number, value: Buffer): Buffer => Buffer.concat([u16(key, value.length), value]);
const ALPN = param(1, Buffer.from([2, 0x68, 0x32]));
const V4 = param(4, Buffer.from([192, 0, 2, 1]));
const ECH = param(5, Buffer.from('an encrypted hello configuration'));
const V6 = param(6, Buffer.alloc(16, 9));
const service = (params: Buffer[], target = wireName('.'), priority = 1): Buffer =>
  Buffer.concat([u16(priority), target, ...params]);
const POINTER = Buffer.from([0xc0, 12]);

function message(
  name: string,
  type: number,
  answers: Rec[],
  authority: Rec[] = [],
  additional: Rec[] = [],
): Buffer {
  const records = [...answers, ...authority, ...additional].map((r) =>
    Buffer.concat([r.owner, u16(r.type, r.class ?? 1, 0, r.ttl ?? 300, r.data.length), r.data]),
  );
  return Buffer.concat([
    u16(0x1234, 0x81a0, 1, answers.length, authority.length, additional.length),
    wireName(name),
    u16(type, 1),
    ...records,
  ]);
}

type Told = { section: number; owner: string; type: number; ttl: number; data: string };

/** Every record with its names expanded, read by other code than that which wrote it. */
function tell(bytes: Uint8Array): Told[] {
  const scratch = new Uint8Array(255);
  const nameAt = (at: number): string => {
    const size = expandName(bytes, at, bytes.length, scratch);
    expect(size).toBeGreaterThan(0);
    return Buffer.from(scratch.subarray(0, size)).toString('latin1');
  };
  const told: Told[] = [];
  let at = skipName(bytes, 12, bytes.length) + 4;
  for (const section of [0, 1, 2])
    for (let i = 0; i < uint16(bytes, 6 + section * 2); i++) {
      const owner = nameAt(at);
      const fields = skipName(bytes, at, bytes.length);
      const type = uint16(bytes, fields);
      const end = fields + 10 + uint16(bytes, fields + 8);
      const data =
        type === 5 || type === 2
          ? nameAt(fields + 10)
          : type === 64 || type === 65
            ? `${uint16(bytes, fields + 10)} ${nameAt(fields + 12)} ${Buffer.from(bytes.subarray(skipName(bytes, fields + 12, end), end)).toString('hex')}`
            : Buffer.from(bytes.subarray(fields + 10, end)).toString('hex');
      told.push({ section, owner, type, ttl: uint16(bytes, fields + 6), data });
      at = end;
    }
  expect(at).toBe(bytes.length);
  return told;
}

const without = (bytes: Uint8Array): Uint8Array => {
  const changed = withoutEch(bytes);
  if (changed === null) throw new Error('taken for malformed');
  return changed;
};

describe('service records without ech', () => {
  it('a message without ech comes back as it is, the same object, signatures and AD included', () => {
    const rrsig = Buffer.concat([u16(65), Buffer.alloc(30)]);
    const bytes = message('a.test', 65, [
      { owner: POINTER, type: 65, data: service([ALPN, V4]) },
      { owner: POINTER, type: 46, data: rrsig },
    ]);
    expect(withoutEch(bytes)).toBe(bytes);
    expect(withoutEch(message('a.test', 1, []))).not.toBeNull();
  });

  it.each([
    [65, 'HTTPS'],
    [64, 'SVCB'],
  ])('takes ech out of type %i in every section, keeps the rest, clears AD', (type) => {
    const record = (params: Buffer[]): Rec => ({ owner: POINTER, type, data: service(params) });
    const bytes = message(
      'a.test',
      type,
      [record([ALPN, V4, ECH, V6])],
      [record([ECH])],
      [record([ECH, V6]), { owner: Buffer.from([0]), type: 41, class: 1232, data: Buffer.alloc(0) }],
    );
    const changed = without(bytes);
    expect(tell(changed).map(({ data }) => data)).toEqual([
      `1 \0 ${Buffer.concat([ALPN, V4, V6]).toString('hex')}`,
      '1 \0 ',
      `1 \0 ${V6.toString('hex')}`,
      '',
    ]);
    expect(Buffer.from(changed).includes('encrypted hello')).toBe(false);
    expect((changed[3] as number) & 0x20).toBe(0);
    expect((bytes[3] as number) & 0x20).toBe(0x20);
  });

  it('a list of mandatory keys loses ech, and goes when nothing is left in it', () => {
    const both = param(0, u16(1, 5));
    const changed = without(
      message('a.test', 65, [
        { owner: POINTER, type: 65, data: service([both, ALPN, ECH]) },
        { owner: POINTER, type: 65, data: service([param(0, u16(5)), ALPN, ECH]) },
        { owner: POINTER, type: 65, data: service([param(0, u16(5)), ALPN]) },
      ]),
    );
    expect(tell(changed).map(({ data }) => data)).toEqual([
      `1 \0 ${Buffer.concat([param(0, u16(1)), ALPN]).toString('hex')}`,
      `1 \0 ${ALPN.toString('hex')}`,
      `1 \0 ${ALPN.toString('hex')}`,
    ]);
  });

  it('pointers that lead behind the place that changed, and into what is left out, stay right', () => {
    const first = { owner: POINTER, type: 65, data: service([ECH]) };
    const head = message('a.test', 65, [first]);
    // a signature over it, whose signer's name a later record points into
    const signer = wireName('zone.a.test');
    const rrsig = Buffer.concat([u16(65), Buffer.alloc(16), signer, Buffer.alloc(8)]);
    const signerAt = head.length + 2 + 10 + 18;
    const cnameAt = head.length + 2 + 10 + rrsig.length + 2 + 10;
    const bytes = message('a.test', 65, [
      first,
      { owner: POINTER, type: 46, data: rrsig },
      { owner: POINTER, type: 5, data: wireName('deep.other.test') },
      { owner: u16(0xc000 | signerAt), type: 1, data: Buffer.from([1, 2, 3, 4]) },
      { owner: u16(0xc000 | (cnameAt + 5)), type: 2, data: u16(0xc000 | cnameAt) },
      { owner: POINTER, type: 65, data: service([ALPN, ECH], u16(0xc000 | cnameAt)) },
      { owner: POINTER, type: 46, data: Buffer.concat([u16(1), Buffer.alloc(30)]) },
    ]);
    const before = tell(bytes);
    const after = tell(without(bytes));
    expect(after.map(({ owner, type }) => [owner, type])).toEqual(
      before.filter((_, at) => at !== 1).map(({ owner, type }) => [owner, type]),
    );
    expect(after[2]).toMatchObject({ owner: '\x04zone\x01a\x04test\0' });
    expect(after[3]).toEqual(before[4]);
    expect(after[4]!.data).toBe(`1 \x04deep\x05other\x04test\0 ${ALPN.toString('hex')}`);
    expect(after[5]).toEqual(before[6]); // a signature over another type
  });

  it('gives null for what is malformed', () => {
    const good = message('a.test', 65, [{ owner: POINTER, type: 65, data: service([ALPN, ECH]) }]);
    for (let cut = 0; cut < good.length; cut++) expect(withoutEch(good.subarray(0, cut))).toBeNull();
    const bad = (data: Buffer): Uint8Array | null =>
      withoutEch(message('a.test', 65, [{ owner: POINTER, type: 65, data }]));
    expect(bad(Buffer.from([0, 1]))).toBeNull();
    expect(bad(Buffer.concat([service([ECH]), Buffer.from([0, 6, 0])]))).toBeNull();
    expect(bad(Buffer.concat([service([ECH]), u16(6, 16), Buffer.alloc(3)]))).toBeNull();
    expect(bad(service([ECH], Buffer.from([0xc0, 0xff])))).toBeNull();
  });

  it('a message that would grow beyond what a message may be is refused', () => {
    // each record has the longest name there is, behind a pointer
    const long = Array.from({ length: 4 }, () => 'x'.repeat(61)).join('.');
    const records = Array.from({ length: 2000 }, () => ({ owner: POINTER, type: 5, data: POINTER }));
    const bytes = message(long, 65, [{ owner: POINTER, type: 65, data: service([ECH]) }, ...records]);
    expect(bytes.length).toBeLessThan(65_535);
    expect(withoutEch(bytes)).toBeNull();
  });

  it('F12 no broken message throws, keeps an ech or comes out unreadable (100,000 of them)', () => {
    const good = [
      message('a.test', 65, [
        { owner: POINTER, type: 5, data: wireName('b.test') },
        { owner: u16(0xc000 | 30), type: 65, data: service([param(0, u16(1, 5)), ALPN, V4, ECH, V6]) },
        { owner: POINTER, type: 46, data: Buffer.concat([u16(65), Buffer.alloc(30)]) },
      ]),
      message(
        'svc.test',
        64,
        [{ owner: POINTER, type: 64, data: service([ECH], wireName('c.svc.test')) }],
        [{ owner: POINTER, type: 2, data: POINTER }],
        [{ owner: Buffer.from([0]), type: 41, class: 1232, data: Buffer.alloc(0) }],
      ),
    ];
    const next = numbers(0xec4);
    const outcomes = { same: 0, changed: 0, refused: 0 };
    for (let i = 0; i < 100_000; i++) {
      const bytes = mutated(good, next);
      const changed = withoutEch(bytes);
      if (changed === null) outcomes.refused++;
      else if (changed === bytes) outcomes.same++;
      else {
        outcomes.changed++;
        if (withoutEch(changed) !== changed) expect.fail(`message ${i} still has ech`);
        if (changed.length > 65_535) expect.fail(`message ${i} is too long`);
      }
    }
    for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(1000);
  }, 60_000);
});
