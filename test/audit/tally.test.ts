// Counting before telling, against a plain sum: whatever is noted, in any order of time, with any room in the ring, is told
// or said to be dropped, and what may not be dropped is not.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeDecision,
  encodeDecision,
  MAX_EVENT_BYTES,
  type DecodedDecision,
} from '../../src/audit/event.ts';
import { createTally, type TallyLimits } from '../../src/audit/tally.ts';
import type { Client, Verdict } from '../../src/policy/types.ts';
import { block, byOverride, decisionOf, T0, visit } from './fixture.ts';

const CLIENTS: readonly Client[] = ['10.2.0.7', '10.2.0.8', '2001:db8::7'].map(
  (address) => decisionOf(block({ client: address })).client,
);
const VERDICTS: readonly Verdict[] = [
  visit(),
  visit({ rule: 'unknown names are allowed' }),
  block(),
  block({ list: 'other', rule: 'other' }),
  byOverride(),
  block({ action: 'portal', reason: 'identity-required' }),
].map((event) => decisionOf(event).verdict);

const hashOf = (name: number): [number, number] => [Math.imul(name + 1, 0x9e3779b1), ~name];
const hostOf = (name: number): string => `n${name}.example`;

type Note = { client: number; verdict: number; name: number; at: number; bytes: number };

/** A tally whose events wait in a list of at most `room`, as in a ring; `read` takes them away. */
function bench(limits: Partial<TallyLimits> = {}) {
  const told: DecodedDecision[] = [];
  let waiting: { event: DecodedDecision; open: boolean; place: number }[] = [];
  const state = { room: Infinity, dropped: 0, spilled: 0, asked: 0, place: 0 };
  const bytes = new Uint8Array(MAX_EVENT_BYTES);
  type Given = Parameters<typeof encodeDecision>[0];
  const put = (decision: Given, open: boolean): number => {
    if (waiting.length >= state.room) return -1;
    const event = decodeDecision(bytes, 0, encodeDecision(decision, bytes, 0))!;
    waiting.push({ event, open, place: state.place });
    return state.place++;
  };
  const tally = createTally({
    typeName: (type) => `TYPE${type}`,
    generations: { policy: 3, index: 7 },
    write: (decision) => put(decision, false) >= 0,
    writeOpen: (decision) => put(decision, true),
    add(place, bytesIn, bytesOut, micros) {
      const found = waiting.find((one) => one.open && one.place === place);
      if (found === undefined) return false;
      const { event } = found;
      found.event = {
        ...event,
        count: event.count + 1,
        bytesIn: event.bytesIn + bytesIn,
        bytesOut: event.bytesOut + bytesOut,
        durationMs: Math.max(event.durationMs, micros / 1000),
      };
      return true;
    },
    spill(decision) {
      state.spilled++;
      told.push(decodeDecision(bytes, 0, encodeDecision(decision, bytes, 0))!);
    },
    drop: (count) => (state.dropped += count),
    limits,
  });
  return {
    state,
    told,
    tally,
    read(most = Infinity) {
      told.push(...waiting.slice(0, most).map(({ event }) => event));
      waiting = waiting.slice(most);
    },
    note({ client, verdict, name, at, bytes: size }: Note, fresh = false) {
      const given = fresh ? { ...VERDICTS[verdict]! } : VERDICTS[verdict]!;
      tally.note(...hashOf(name), CLIENTS[client]!, given, 1, at, size, 2 * size, size / 4, () => {
        state.asked++;
        return hostOf(name);
      });
    },
  };
}

const MINUTE = 60_000;
const minuteOf = (at: number): number => Math.floor(at / MINUTE);
const keyOf = (client: string, rule: string, at: number): string => `${client}|${rule}|${minuteOf(at)}`;

function sums(entries: readonly { key: string; count: number; bytes: number }[]): [string, number, number][] {
  const found = new Map<string, [string, number, number]>();
  for (const { key, count, bytes } of entries) {
    const sum = found.get(key) ?? [key, 0, 0];
    found.set(key, [key, sum[1] + count, sum[2] + bytes]);
  }
  return [...found.values()].sort(([a], [b]) => (a < b ? -1 : 1));
}
const toldSums = (told: readonly DecodedDecision[], named: boolean) =>
  sums(
    told.map((e) => ({
      key: `${keyOf(e.client, e.rule, e.at)}${named ? `|${e.host}` : ''}`,
      count: e.count,
      bytes: e.bytesIn,
    })),
  );
const notedSums = (notes: readonly Note[], named: boolean) =>
  sums(
    notes.map((n) => ({
      key: `${keyOf(CLIENTS[n.client]!.address, VERDICTS[n.verdict]!.rule, n.at)}${named ? `|${hostOf(n.name)}` : ''}`,
      count: 1,
      bytes: n.bytes,
    })),
  );

const anyNote = fc.record({
  client: fc.nat({ max: CLIENTS.length - 1 }),
  verdict: fc.nat({ max: VERDICTS.length - 1 }),
  name: fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 2000 })),
  // Forwards, backwards, within a second and over minutes.
  at: fc.oneof(fc.nat({ max: 900 }), fc.nat({ max: 400_000 })).map((more) => T0 + more),
  bytes: fc.nat({ max: 500 }),
});
const anyStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ note: anyNote, times: fc.integer({ min: 1, max: 60 }), fresh: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ read: fc.nat({ max: 50 }) }) },
  { weight: 1, arbitrary: fc.record({ flush: fc.constantFrom(0.25, 1) }) },
);

describe('counting before telling', () => {
  it('M01: sums per client, verdict, name and minute are exact, under any jumps of time, evictions, reads and flushes', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 60 }), (steps) => {
        const b = bench({ slots: 16, names: 1e9, flood: 1e9, known: 4 });
        const noted: Note[] = [];
        for (const step of steps) {
          if ('read' in step) b.read(step.read);
          else if ('flush' in step) b.tally.flush(step.flush);
          else {
            for (let n = 0; n < step.times; n++) {
              b.note(step.note, step.fresh);
              noted.push(step.note);
            }
          }
        }
        expect(b.tally.flush(1)).toBe(true);
        expect(b.tally.waiting()).toBe(0);
        b.read();
        expect(toldSums(b.told, true)).toEqual(notedSums(noted, true));
        expect(b.state).toMatchObject({ dropped: 0, spilled: 0 });
      }),
      { numRuns: 150 },
    );
  });

  it('M01: with little room and few names told apart nothing is lost but visits, and those are counted', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 60 }), fc.integer({ min: 0, max: 6 }), (steps, room) => {
        const b = bench({ slots: 16, names: 3, burst: 2, flood: 6, known: 4 });
        b.state.room = room;
        const noted: Note[] = [];
        for (const step of steps) {
          if ('read' in step) b.read(step.read);
          else if ('flush' in step) b.tally.flush(step.flush);
          else {
            for (let n = 0; n < step.times; n++) {
              b.note(step.note, step.fresh);
              noted.push(step.note);
            }
          }
        }
        b.read();
        b.state.room = Infinity;
        expect(b.tally.flush(1)).toBe(true);
        b.read();
        // A block with nowhere to go may be counted in an event of the same client and cause of an earlier minute.
        const whole = (list: readonly { client: string; rule: string; count: number }[], kept: boolean) =>
          sums(
            list
              .filter(({ rule }) => VERDICTS.findIndex((v) => v.rule === rule) >= 2 === kept)
              .map(({ client, rule, count }) => ({ key: `${client}|${rule}`, count, bytes: 0 })),
          );
        const plain = noted.map((n) => ({
          client: CLIENTS[n.client]!.address,
          rule: VERDICTS[n.verdict]!.rule,
          count: 1,
        }));
        expect(whole(b.told, true)).toEqual(whole(plain, true));
        const total = (list: readonly { count: number }[]) => list.reduce((sum, one) => sum + one.count, 0);
        expect(total(b.told) + b.state.dropped).toBe(noted.length);
      }),
      { numRuns: 150 },
    );
  });

  it('M01: a visit is told at once when it is first seen in its minute, and counted up after that', () => {
    const b = bench();
    const one = { client: 0, verdict: 0, name: 1, at: T0, bytes: 10 };
    for (let n = 0; n < 1000; n++) b.note({ ...one, at: T0 + n });
    b.read();
    expect(b.told.map((e) => [e.host, e.count, e.method])).toEqual([['n1.example', 1, 'TYPE1']]);
    expect(b.state.asked).toBe(1);
    for (let turn = 0; turn < 4; turn++) b.tally.flush(1 / 4);
    b.read();
    expect(b.told[1]).toMatchObject({ at: T0, count: 999, bytesIn: 9990, bytesOut: 19980, durationMs: 2.5 });
    // The next minute is a row of its own, and a clock that goes back finds the row of the one before.
    b.note({ ...one, at: T0 + MINUTE });
    b.note({ ...one, at: T0 + 5 });
    b.tally.flush(1);
    b.read();
    expect(b.told.slice(2).map((e) => [e.at - T0, e.count])).toEqual([
      [MINUTE, 1],
      [0, 1],
    ]);
  });

  it('M01: blocks are events of their own up to 20 a second, then share one per name, and per cause above 200', () => {
    const b = bench();
    for (let n = 0; n < 10_000; n++) b.note({ client: 0, verdict: 2, name: n % 3, at: T0, bytes: 1 });
    b.note({ client: 1, verdict: 2, name: 0, at: T0, bytes: 1 });
    b.read();
    expect(b.told.length).toBe(20 + 3 + 1 + 1);
    expect(b.told.slice(0, 20).every((e) => e.count === 1 && e.host !== '*')).toBe(true);
    expect(b.told.filter((e) => e.host === '*').map((e) => e.count)).toEqual([9800]);
    // The next second of the same flood gets no second helping of names; a second of peace and it does.
    const after = b.told.length;
    for (let n = 0; n < 10_000; n++) b.note({ client: 0, verdict: 2, name: n, at: T0 + 1000, bytes: 1 });
    b.read();
    expect(b.told.slice(after).map((e) => [e.host === '*', e.count])).toEqual([
      ...Array.from({ length: 20 }, () => [false, 1]),
      [true, 9980],
    ]);
    const later = b.told.length;
    for (let n = 0; n < 10_000; n++) b.note({ client: 0, verdict: 2, name: n, at: T0 + 9000, bytes: 1 });
    b.read();
    expect(b.told.length - later).toBe(201);
  });

  it('M01: a client with more than 10,000 allowed names in a minute has the rest counted in one row', () => {
    const b = bench({ rush: 1e9 });
    for (let n = 0; n < 50_000; n++) b.note({ client: 0, verdict: 0, name: n, at: T0, bytes: 1 });
    b.note({ client: 1, verdict: 0, name: 60_000, at: T0, bytes: 1 });
    b.tally.flush(1);
    b.read();
    expect(b.told.filter((e) => e.host !== '*').length).toBe(10_001);
    expect(b.told.reduce((sum, e) => sum + e.count, 0)).toBe(50_001);
    expect(b.state.asked).toBe(10_001);
  });

  it('M01: a client with more than 1,000 new allowed names in a second has the rest of that second in one row', () => {
    const b = bench();
    for (let n = 0; n < 4000; n++)
      b.note({ client: 0, verdict: 0, name: n, at: T0 + (n < 3000 ? 0 : 1000), bytes: 1 });
    b.tally.flush(1);
    b.read();
    expect(b.told.filter((e) => e.host !== '*').length).toBe(2000);
    expect(b.told.reduce((sum, e) => sum + e.count, 0)).toBe(4000);
  });

  it('with the writer stuck, a flood of blocks is counted in what waits instead of being spilled one by one', () => {
    const b = bench();
    for (let n = 0; n < 500; n++) b.note({ client: 0, verdict: 2, name: n, at: T0, bytes: 1 });
    b.state.room = 0;
    for (let n = 0; n < 5000; n++) b.note({ client: 0, verdict: 2, name: n, at: T0 + n * 10, bytes: 1 });
    b.read();
    expect(b.state.spilled).toBe(0);
    expect(b.told.reduce((sum, e) => sum + e.count, 0)).toBe(5500);
  });

  it('what the text of a name throws reaches the caller and leaves nothing half counted', () => {
    const b = bench();
    for (const verdict of [VERDICTS[0]!, VERDICTS[2]!]) {
      expect(() =>
        b.tally.note(1, 2, CLIENTS[0]!, verdict, 1, T0, 1, 1, 1, () => {
          throw new Error('no text');
        }),
      ).toThrow('no text');
    }
    b.note({ client: 0, verdict: 0, name: 1, at: T0, bytes: 1 });
    b.tally.flush(1);
    b.read();
    expect(b.told.map((e) => [e.host, e.count])).toEqual([['n1.example', 1]]);
  });
});
