// The event codec: every decision comes back as it went in, and no bytes upset the decoder.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeDecision, encodeDecision, MAX_EVENT_BYTES, mustKeep } from '../../src/audit/event.ts';
import { createTextReader, readUtf8 } from '../../src/audit/utf8.ts';
import type { Action, Channel, RatingKind, Reason } from '../../src/policy/types.ts';
import { block, byOverride, decisionOf, visit } from './fixture.ts';

const text = (max: number) => fc.string({ unit: 'binary', maxLength: Math.floor(max / 2) });
const maybe = (max: number) => fc.option(text(max), { nil: null });
const size = fc.maxSafeNat();

const anyEvent = fc
  .record({
    at: fc.nat({ max: 281_474_976_710_655 }),
    channel: fc.constantFrom<Channel>('dns', 'http', 'connect', 'tls', 'web'),
    client: text(128),
    device: maybe(128),
    user: maybe(128),
    group: text(128),
    class: maybe(128),
    inCharge: maybe(128),
    host: text(255),
    path: maybe(1024),
    method: text(32),
    category: maybe(128),
    list: maybe(128),
    rating: fc.option(
      fc.constantFrom<RatingKind>(
        'acceptable',
        'timed',
        'nominated',
        'permission',
        'unacceptable',
        'illegal',
      ),
      {
        nil: null,
      },
    ),
    action: fc.constantFrom<Action>('block', 'allow', 'rewrite', 'portal', 'error'),
    reason: fc.constantFrom<Reason>(
      'illegal',
      'bypass',
      'override',
      'unrated',
      'no-index',
      'malformed',
      'default-block',
    ),
    rule: text(512),
    overrideId: maybe(128),
    policyGeneration: size,
    indexGeneration: size,
    bytesIn: size,
    bytesOut: size,
    durationMs: fc.nat({ max: 86_400_000_000 }).map((micros) => micros / 1000),
    count: size,
    more: fc.boolean(),
  })
  .map((event) => (event.more ? { ...event, count: 0 } : event));

// A table of four, so that texts keep pushing each other out.
const readText = createTextReader(4);

describe('event codec', () => {
  it('gives back every decision, at any offset', () => {
    fc.assert(
      fc.property(anyEvent, fc.nat({ max: 50 }), (event, offset) => {
        const bytes = new Uint8Array(offset + MAX_EVENT_BYTES);
        const length = encodeDecision(decisionOf(event), bytes, offset);
        expect(length).toBeGreaterThan(0);
        expect(decodeDecision(bytes, offset, length)).toEqual(event);
        expect(decodeDecision(bytes, offset, length, readText)).toEqual(event);
      }),
      { numRuns: 500 },
    );
  });

  it('says -1 exactly when an event does not fit', () => {
    const decision = decisionOf(block({ host: 'naïve.example', path: '/x' }));
    const length = encodeDecision(decision, new Uint8Array(MAX_EVENT_BYTES), 0);
    expect(encodeDecision(decision, new Uint8Array(length), 0)).toBe(length);
    for (let short = 0; short < length; short++) {
      expect(encodeDecision(decision, new Uint8Array(short), 0)).toBe(-1);
    }
  });

  it('reads what an older gateway spilled, which had no count', () => {
    const bytes = new Uint8Array(MAX_EVENT_BYTES);
    for (const event of [block(), visit({ more: true, count: 0 })]) {
      const length = encodeDecision(decisionOf(event), bytes, 0);
      // Two generations, two sizes and a duration of two bytes each at most; then the count, in one byte here.
      let at = 10;
      for (let n = 0; n < 5; n++) while (bytes[at++]! >= 0x80);
      expect(bytes[at]).toBe(event.count);
      const old = Uint8Array.from([1, ...bytes.subarray(1, at), ...bytes.subarray(at + 1, length)]);
      expect(decodeDecision(old, 0, old.length)).toEqual(event);
    }
  });

  it('a reader that remembers texts reads any bytes as one that does not', () => {
    const remembering = createTextReader(2);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 40 }), (list) => {
        for (const bytes of list)
          expect(remembering(bytes, 0, bytes.length)).toBe(readUtf8(bytes, 0, bytes.length));
      }),
    );
  });

  it('cuts off what is too long and keeps the rest', () => {
    const long = 'é'.repeat(5000);
    const bytes = new Uint8Array(MAX_EVENT_BYTES);
    const event = block({ host: long, path: long, rule: long, user: long, client: long, method: long });
    const length = encodeDecision(decisionOf(event), bytes, 0);
    const back = decodeDecision(bytes, 0, length)!;
    expect([back.host, back.path, back.rule, back.user, back.method].map((s) => s?.length)).toEqual([
      255, 1024, 512, 128, 32,
    ]);
    expect(back.list).toBe('starter-gambling');
  });

  it('takes what is not a number, and half a surrogate pair, without complaint', () => {
    const bytes = new Uint8Array(MAX_EVENT_BYTES);
    const event = block({ at: NaN, bytesIn: -5, bytesOut: Infinity, durationMs: NaN, host: 'a\ud800b' });
    const back = decodeDecision(bytes, 0, encodeDecision(decisionOf(event), bytes, 0))!;
    expect(back).toMatchObject({
      at: 0,
      bytesIn: 0,
      bytesOut: Number.MAX_SAFE_INTEGER,
      durationMs: 0,
      host: 'a\ufffdb',
    });
  });

  it('meets 100,000 random and mutated buffers with null or an event, never a throw', () => {
    const good = new Uint8Array(MAX_EVENT_BYTES);
    const length = encodeDecision(decisionOf(block({ path: '/ünïcode/😀' })), good, 0);
    let seed = 42;
    const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32;
    let refused = 0;
    for (let i = 0; i < 100_000; i++) {
      const bytes = i % 2 === 0 ? good.slice(0, length) : new Uint8Array(Math.floor(random() * 300));
      const changes = i % 2 === 0 ? 1 + Math.floor(random() * 4) : bytes.length;
      for (let n = 0; n < changes; n++)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      if (i % 4 === 1 && bytes.length > 4) bytes.set([1 + ((i % 8) >> 2), 0x10, 3, 2]);
      const offset = Math.floor(random() * 3);
      const event = decodeDecision(bytes, offset, Math.floor(random() * (bytes.length + 3)));
      const whole = decodeDecision(bytes, 0, bytes.length);
      if (event === null) refused++;
      if (whole !== null) expect(whole.host.length).toBeLessThanOrEqual(255 * 3);
    }
    expect(refused).toBeGreaterThan(50_000);
    for (const [offset, size] of [
      [-1, 10],
      [0, -1],
      [NaN, 10],
      [0, NaN],
      [0, 1e9],
      [1e9, 10],
    ] as const) {
      expect(decodeDecision(good, offset, size)).toBeNull();
    }
  });

  it.each([
    ['a block', block(), true],
    ['being held at the portal', block({ action: 'portal', reason: 'identity-required' }), true],
    ['an allow by override', byOverride(), true],
    ['an allowed visit', visit(), false],
    ['a rewritten search', visit({ action: 'rewrite' }), false],
    ['an upstream failure', visit({ action: 'error', reason: 'upstream' }), false],
  ])('must keep %s: %#', (_name, event, kept) => {
    expect(mustKeep(decisionOf(event))).toBe(kept);
  });
});
