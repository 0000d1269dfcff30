// Floods at the handler, counted and not timed: made-up names by the hundred thousand, a name that everyone asks for at once, a class
// behind one address, and made-up senders. What is popular stays cached, tables stay bounded, others are still answered.

import { describe, expect, it } from 'vitest';
import { createExchange } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import { GATEWAY_DEFAULTS } from '../../src/config/schema/defaults.ts';
import { ANSWER_ROOM } from '../../src/dns/types.ts';
import type { DnsHandler } from '../../src/dns/types.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { given, query, read } from '../dns/fixture.ts';
import { addressRecord, answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { hostileHandler, readQuestion, trueAnswer } from '../support/hostile-gateway.ts';
import { createMemoryWatch } from '../support/hostile-runs.ts';

const NOW = 1_700_000_000_000;
const OFF = { action: 'off', exempt: [] } as const;
const room = new Uint8Array(ANSWER_ROOM);

type Held = Exchange & {
  asked: number;
  held: { packet: Uint8Array; done: (answer: Uint8Array | null) => void }[];
};

/** An upstream that answers at once, and says "no such name" to what the flood asks; or one that keeps everything waiting. */
function upstream(way: 'answers' | 'holds'): Held {
  const it: Held = {
    asked: 0,
    held: [],
    ask(packet, done) {
      it.asked++;
      const copy = Uint8Array.from(packet);
      if (way === 'holds') it.held.push({ packet: copy, done });
      else queueMicrotask(() => done(answerFor(copy)));
    },
    query: () => Promise.reject(new Error('nobody asks so')),
    upstreams: () => [],
    stats: () => ({}),
    close() {},
  };
  return it;
}

function answerFor(packet: Uint8Array): Uint8Array {
  const { end } = readQuestion(packet, packet.length);
  const answer = trueAnswer(packet, end);
  if (!Buffer.from(packet).includes('victim')) return answer;
  const soa = Buffer.from('c00c0006000100000e10001600000000000100000002000000030000000400000e10', 'hex');
  const none = Buffer.concat([packet.subarray(0, end), soa]);
  none.set([0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0], 2);
  return none;
}

/** A query, answered at once or never: 0 when no answer is there now. */
const hit = (handler: DnsHandler, packet: Buffer, from: number): number =>
  handler.handle(packet, packet.length, handler.asker4(from), 'udp', room, () => () => {});
const address = (client: number): number => (10 << 24) | (1 << 16) | client;

describe('a flood of made-up names', () => {
  it.each([
    ['three hundred thousand from one client, which is limited', 300_000, 1, undefined],
    ['a hundred thousand from a thousand clients, none of them limited', 100_000, 1000, OFF],
  ])(
    '%s: popular names stay cached, nothing grows',
    async (_what, amount, clients, tunnel) => {
      const exchange = upstream('answers');
      let now = NOW;
      const handler = hostileHandler(exchange, () => now, tunnel === undefined ? {} : { tunnel });
      const popular = Array.from({ length: 500 }, (_, i) => query(`p${i}.popular.example`));
      const memory = createMemoryWatch(amount);
      let asked = 0;
      let hits = 0;
      for (let i = 0; i < amount; i++) {
        // Long enough to look like data carried in names, as those of such floods do.
        hit(
          handler,
          query(`${(i * 7919).toString(36).padStart(14, 'q7z1x')}.victim.example`),
          address(i % clients),
        );
        if (i % 4 === 0) {
          const size = hit(handler, popular[(i / 4) % popular.length]!, address(2000 + (i % 30)));
          if (i > amount / 10) {
            asked++;
            if (size > 0) hits++;
          }
        }
        if (i % 50 === 0) await Promise.resolve();
        if (i % 5000 > 0) continue;
        await new Promise((go) => setImmediate(go));
        now += 200;
        memory.at(i);
      }
      await new Promise((go) => setImmediate(go));
      expect(hits / asked).toBeGreaterThan(0.95);
      const { errors, waiting, cacheBytes, tunnel_limited: limited } = handler.stats();
      expect([errors, waiting]).toEqual([0, 0]);
      expect(cacheBytes).toBeLessThanOrEqual(4 << 20);
      if (clients === 1) expect([limited! > 250_000, exchange.asked < 10_000]).toEqual([true, true]);
      expect(memory.growth().heapMb).toBeLessThan(20);
    },
    120_000,
  );

  it('while no upstream answers: what waits is bounded, others and blocked names are answered, and all is let go after', async () => {
    const exchange = upstream('holds');
    let now = NOW;
    const handler = hostileHandler(exchange, () => now, { tunnel: OFF });
    const cached = query('www.kept.example');
    hit(handler, cached, address(3000));
    for (const { packet, done } of exchange.held.splice(0)) done(answerFor(packet));
    let most = 0;
    for (let i = 0; i < 50_000; i++) {
      hit(handler, query(`n${i}.victim.example`), address(i % 3));
      if (i % 1000 === 0) most = Math.max(most, handler.stats()['waiting']!);
    }
    expect(most).toBeLessThanOrEqual(4096);
    expect(exchange.held.length).toBeLessThanOrEqual(4096);
    expect(hit(handler, cached, address(3001))).toBeGreaterThan(0);
    expect(hit(handler, query('www.bet.example'), address(3001))).toBeGreaterThan(0);
    // The flood is told to come again; a client that waits for little is not.
    const fresh = query('www.new.example');
    expect(hit(handler, fresh, address(3002))).toBe(0);
    expect(exchange.held.length).toBeLessThanOrEqual(4097);
    let late = null as Uint8Array | null;
    expect(
      given(handler, query('www.newer.example'), '10.1.11.187', 'udp', (bytes) => void (late = bytes)),
    ).toBeNull();
    for (const { packet, done } of exchange.held.splice(0)) done(answerFor(packet));
    expect(read(late!)).toMatchObject({ rcodeNumber: 0, data: ['192.0.2.1'] });
    expect(handler.stats()).toMatchObject({ waiting: 0, errors: 0 });
    now += 3000;
    expect(hit(handler, fresh, address(3003))).toBeGreaterThan(0);
  });
});

it('a thousand clients at the same cold name: the upstream is asked once, all are answered', async () => {
  const server = await startScriptedUpstream();
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  server.script = async (asked) => {
    await held;
    return [answerTo(asked, [addressRecord(asked.name, '192.0.2.1')])];
  };
  const exchange = createExchange({
    upstreams: [server],
    now: Date.now,
    randomId: createRandomIds(),
    retryMs: 60_000,
    timeoutMs: 60_000,
  });
  const handler = hostileHandler(exchange, Date.now);
  const answers = Array.from({ length: 1000 }, (_, i) => {
    return new Promise<Uint8Array>((resolve) => {
      const from = `10.2.${i >> 8}.${i & 255}`;
      expect(given(handler, query('www.cold.example', { id: i }), from, 'udp', resolve)).toBeNull();
    });
  });
  release();
  const got = (await Promise.all(answers)).map((answer) => read(answer));
  expect(got.filter(({ rcodeNumber }) => rcodeNumber !== 0)).toEqual([]);
  expect(got.map(({ id }) => id)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(server.asked.length).toBe(1);
  exchange.close();
  await server.close();
});

describe('the rate of one client', () => {
  const limited = { rateLimit: { qps: GATEWAY_DEFAULTS.qps, exempt: [] } };

  it('a class of 30 behind one address at the start of a lesson is not limited by default', async () => {
    let now = NOW;
    const handler = hostileHandler(upstream('answers'), () => now, { ...limited, tunnel: OFF });
    // 60 names each, for A, AAAA and HTTPS, within two seconds.
    const total = 30 * 60 * 3;
    for (let i = 0; i < total; i++) {
      now = NOW + Math.floor((i * 2000) / total);
      hit(handler, query(`s${Math.floor(i / 90)}.site.example`, { type: [1, 28, 65][i % 3]! }), address(1));
      if (i % 50 === 0) await new Promise((go) => setImmediate(go));
    }
    expect(handler.stats()).toMatchObject({ limited: 0, dropped: 0 });
  });

  it('who floods is limited: told to come by TCP first, then dropped, while others are answered', () => {
    let now = NOW;
    const handler = hostileHandler(upstream('answers'), () => now, limited);
    const packet = query('www.bet.example');
    for (let i = 0; i < 100_000; i++) {
      now = NOW + Math.floor(i / 100);
      hit(handler, packet, address(1));
    }
    const { limited: over, dropped, blocked } = handler.stats();
    expect(over).toBeGreaterThan(0);
    expect(dropped).toBeGreaterThan(80_000);
    expect(blocked).toBeLessThan(10_000);
    expect(hit(handler, packet, address(2))).toBeGreaterThan(0);
  });
});

describe('no amplification', () => {
  const big = (type: number): Uint8Array => {
    const question = query('big.example', { type, edns: null });
    const record = Buffer.concat([
      Buffer.from([0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 14, 16, 0, 250, 249]),
      Buffer.alloc(249, 97),
    ]);
    const answer = Buffer.concat([question, ...Array.from({ length: 200 }, () => record)]);
    answer.set([0x81, 0x80, 0, 1, 0, 200, 0, 0, 0, 0], 2);
    return answer;
  };

  it.each([
    ['ANY', 255],
    ['TXT', 16],
    ['DNSKEY', 48],
    ['RRSIG', 46],
  ])('%s: what does not fit is cut to the question, whatever size the asker names', async (_what, type) => {
    const exchange: Exchange = {
      ...upstream('answers'),
      ask: (_packet, done) => queueMicrotask(() => done(big(type))),
    };
    const handler = hostileHandler(exchange, () => NOW);
    for (const size of [0, 512, 1232, 4096, 65535]) {
      const packet = query('big.example', { type, edns: { size, dnssecOk: true } });
      let late = null as Uint8Array | null;
      const now = given(handler, packet, '10.0.0.1', 'udp', (bytes) => void (late = bytes));
      await new Promise((go) => setImmediate(go));
      const answer = (now ?? late)!;
      expect(answer.length).toBeLessThanOrEqual(packet.length + 30);
    }
  });

  it.each([
    ['a network not served', '203.0.113.9', {}],
    ['a client over its rate', '10.0.0.1', { rateLimit: { qps: 1, exempt: [] } }],
  ])('%s gets no more bytes than it sent', (_what, from, settings) => {
    const handler = hostileHandler(upstream('answers'), () => NOW, settings);
    const seen = new Set<number>();
    for (let i = 0; i < 20; i++) {
      for (const edns of [null, {}, { version: 1 }]) {
        const packet = query('www.bet.example', { edns });
        const answer = given(handler, packet, from, 'udp', () => {});
        if (answer === null) continue;
        seen.add(read(answer).rcodeNumber);
        if (from !== '10.0.0.1' || read(answer).truncated)
          expect(answer.length).toBeLessThanOrEqual(packet.length);
      }
    }
    expect(seen.size).toBeGreaterThan(0);
  });

  it('the ratio of any answer over UDP has a bound', async () => {
    // The longest answer to the shortest question that may have it: 1,232 bytes for 28.
    const handler = hostileHandler(
      { ...upstream('answers'), ask: (packet, done) => queueMicrotask(() => done(fill(packet))) },
      () => NOW,
    );
    const packet = query('.', { edns: { size: 65535 } });
    let late = null as Uint8Array | null;
    given(handler, packet, '10.0.0.1', 'udp', (bytes) => void (late = bytes));
    await new Promise((go) => setImmediate(go));
    expect(late!.length).toBeLessThanOrEqual(1232);
    expect(late!.length / packet.length).toBeLessThan(44.1);
  });

  const fill = (packet: Uint8Array): Uint8Array => {
    const { end } = readQuestion(packet, packet.length);
    const one = Buffer.concat([Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1])]);
    const count = Math.floor((1232 - end - 11) / one.length);
    const answer = Buffer.concat([packet.subarray(0, end), ...Array.from({ length: count }, () => one)]);
    answer.set([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], 2);
    return answer;
  };
});
