// A hundred thousand random and mutated packets through the handler, from clients and from an upstream. Seeded: a failure
// comes again.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { readResponse } from '../../src/dns/response.ts';
import { given, ALLOW, BLOCK, fakeExchange, query, read, rig } from '../dns/fixture.ts';
import type { Exchange } from '../../src/resolver/types.ts';

const PACKETS = 100_000;

/** Small, fast and the same on every machine (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

type Random = ReturnType<typeof createRandom>;

/** Bytes set, cut off, put in and doubled, most often where lengths and pointers are. */
function mutate(packet: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(packet);
  for (let change = random(4); change >= 0; change--) {
    const at = random(bytes.length + 1);
    switch (random(6)) {
      case 0:
        if (at < bytes.length) bytes[at] = random(256);
        break;
      case 1:
        if (at < bytes.length) bytes[at] = [0, 0xc0, 0xff, 0x3f, 0x40, 12][random(6)] as number;
        break;
      case 2:
        bytes = bytes.subarray(0, at);
        break;
      case 3:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.alloc(random(40), random(256)),
          bytes.subarray(at),
        ]);
        break;
      case 4:
        bytes = Buffer.concat([bytes, bytes.subarray(at)]);
        break;
      default:
        if (bytes.length >= 12) bytes[2 + random(10)] = random(256);
    }
  }
  return bytes.subarray(0, 5000);
}

function randomBytes(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random(120) }, () => random(256)));
}

const seeds = (random: Random): Buffer =>
  query(
    ['a.example', 'bet.example', 'x.local', '_dns.resolver.arpa', '.', 'a'.repeat(63)][random(6)] as string,
    {
      id: random(65536),
      type: [1, 28, 65, 255, 252, 41][random(6)] as number,
      edns: random(3) === 0 ? null : { size: random(65536), dnssecOk: random(2) === 0 },
    },
  );

/** An upstream in memory that echoes the question byte by byte, as a library would not, and answers it. */
const echoExchange: Exchange = {
  async query(packet) {
    const question = Buffer.from(packet.subarray(0, packet.length - 11));
    question.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
    return Buffer.concat([question, Buffer.from('c00c0001000100000e100004c0000201', 'hex')]);
  },
  ask(packet, done) {
    this.query(packet).then(done, () => done(null));
  },
  upstreams: () => [],
  stats: () => ({}),
  close() {},
};

// The collector is asked for here, so that the run needs no flag.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const megabytes = (): number => {
  collect();
  return process.memoryUsage().heapUsed / (1 << 20) + process.memoryUsage().arrayBuffers / (1 << 20);
};

describe('hostile packets', () => {
  it('from clients: an answer that can be read, or silence; never a throw', async () => {
    const random = createRandom(20_260_922);
    const it = rig({
      rule: (name) => (name.includes('bet') ? BLOCK : ALLOW),
      exchange: echoExchange,
      note: () => {},
    });
    let answered = 0;
    let answers: { bytes: Uint8Array; packet: Buffer }[] = [];
    const check = (): void => {
      for (const { bytes, packet } of answers) {
        const answer = read(bytes);
        expect(answer.type).toBe('response');
        expect(answer.id).toBe(packet.readUInt16BE(0));
        expect(bytes.length).toBeLessThanOrEqual(1232);
      }
      answers = [];
    };
    let before = 0;
    for (let i = 0; i < PACKETS; i++) {
      const packet = random(5) === 0 ? randomBytes(random) : mutate(seeds(random), random);
      const copy = Buffer.from(packet);
      let replies = 0;
      const take = (bytes: Uint8Array): void => {
        replies++;
        answered++;
        expect(replies).toBe(1);
        answers.push({ bytes, packet: copy });
      };
      const now = given(it.handler, packet, `10.0.${random(4)}.${random(250)}`, 'udp', take);
      if (now !== null) take(now);
      if (i % 1000 === 999) {
        await new Promise((resolve) => setImmediate(resolve));
        check();
      }
      if (i === PACKETS / 2) before = megabytes();
    }
    check();
    expect(megabytes() - before).toBeLessThan(30);
    expect(answered).toBeGreaterThan(PACKETS / 4);
    expect(it.handler.stats()).toMatchObject({ queries: PACKETS, errors: 0, unrecorded: 0 });
    expect(await it.ask(query('bet.example'))).toMatchObject({ rcodeNumber: 3 });
  });

  it('from an upstream: a readable answer comes out, or SERVFAIL', async () => {
    const random = createRandom(42);
    const soa = Buffer.from(
      'c00c0006000100000e100016' + '0000' + '00000001' + '00000002' + '00000003' + '00000004' + '00000005',
      'hex',
    );
    const records = [
      Buffer.from('c00c0001000100000e100004c0000201', 'hex'),
      Buffer.from('c00c0005000100000e10000603777777c00c', 'hex'),
      Buffer.from('c00c001c000100000e10001020010db8000000000000000000000001', 'hex'),
      Buffer.from('c00c0041000100000e1000160001000001000302683200040008c0000201c0000202', 'hex'),
    ];
    const question = query('a.example', { edns: null });
    const good = Buffer.concat([
      question,
      ...records,
      soa,
      Buffer.from('0000290500000000000006000f00020006', 'hex'),
    ]);
    good.set([0x81, 0x80, 0, 1, 0, 4, 0, 1, 0, 1], 2);
    expect(readResponse(good)).toMatchObject({ lifetime: 5, additional: 0 });
    let bytes: Buffer = good;
    const it = rig({
      exchange: fakeExchange(() => bytes),
      note: () => {},
    });
    let servfail = 0;
    let whole = 0;
    for (let i = 0; i < 30_000; i++) {
      bytes = random(10) === 0 ? randomBytes(random) : mutate(good, random);
      // The exchange lets through only what echoes the question: so does this.
      if (bytes.length >= question.length) question.copy(bytes, 12, 12);
      it.time += 3_600_000 * 48;
      const raw = await new Promise<Uint8Array>((resolve) => {
        const now = given(it.handler, question, '10.0.0.1', 'tcp', resolve);
        if (now !== null) resolve(now);
      });
      const rcode = (raw[3] as number) & 15;
      if (rcode === 2) servfail++;
      else whole++;
      expect(raw.subarray(0, 2)).toEqual(new Uint8Array(question.subarray(0, 2)));
      expect(readResponse(raw)).not.toBeNull();
    }
    expect(servfail).toBeGreaterThan(1000);
    expect(whole).toBeGreaterThan(1000);
    expect(it.handler.stats()['errors']).toBe(0);
  });

  it('a response of nothing but pointers is read in no time', () => {
    const head = query('a.example', { edns: null });
    head.set([0x81, 0x80, 0, 1, 0x17, 0x40], 2);
    // As many records as fit, each a CNAME to the data of the one before it.
    const parts: Buffer[] = [head];
    let last = 12;
    let at = head.length;
    for (let i = 0; i < 0x1740 && at < 65_000; i++) {
      const record = Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0 | (last >> 8), last & 255]);
      parts.push(record);
      if (at + 12 < 0x3fff) last = at + 12;
      at += record.length;
    }
    const start = performance.now();
    expect(readResponse(Buffer.concat(parts))).toBeNull();
    expect(performance.now() - start).toBeLessThan(100);
  });
});
