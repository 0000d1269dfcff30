import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { createTimetableClock, isTimeZone, WEEKDAYS } from '../../src/policy/timetable.ts';
import type { TimetableSlot, Weekday } from '../../src/policy/types.ts';

const at = (text: string): number => Date.parse(text);
const hm = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
const slot = (days: Weekday[], from: string, to: string): TimetableSlot => ({
  days,
  from: hm(from),
  to: hm(to),
});
const all = [...WEEKDAYS];

function look(
  timezone: string,
  slots: TimetableSlot[],
  when: string,
): { open: boolean; edge: string | null } {
  const clock = createTimetableClock(timezone, { it: slots });
  clock.at(at(when));
  const edge = clock.nextEdge(0);
  return {
    open: clock.isOpen(0),
    edge: edge === Infinity ? null : new Date(edge).toISOString().slice(0, 16) + 'Z',
  };
}

describe('weekly slots on the school clock', () => {
  const lunch = [slot(['mon', 'tue', 'wed', 'thu', 'fri'], '12:00', '13:00')];

  test.each([
    // London is an hour ahead of UTC in September
    ['2026-09-07T10:59:59.999Z', false, '2026-09-07T11:00Z'],
    ['2026-09-07T11:00:00Z', true, '2026-09-07T12:00Z'],
    ['2026-09-07T11:59:59.999Z', true, '2026-09-07T12:00Z'],
    ['2026-09-07T12:00:00Z', false, '2026-09-08T11:00Z'],
    ['2026-09-11T12:00:00Z', false, '2026-09-14T11:00Z'],
    ['2026-09-12T11:30:00Z', false, '2026-09-14T11:00Z'],
    // and on UTC in January
    ['2026-01-05T12:30:00Z', true, '2026-01-05T13:00Z'],
    ['2026-01-05T11:30:00Z', false, '2026-01-05T12:00Z'],
    // the edge lies beyond the change of the clock
    ['2026-03-27T13:30:00Z', false, '2026-03-30T11:00Z'],
    ['2026-10-23T12:30:00Z', false, '2026-10-26T12:00Z'],
  ])('F06 lunch at %s: %s, turns at %s', (when, open, edge) => {
    expect(look('Europe/London', lunch, when)).toEqual({ open, edge });
  });

  test.each([
    ['2026-09-11T20:30:00Z', false, '2026-09-11T21:00Z'],
    ['2026-09-11T21:00:00Z', true, '2026-09-12T01:00Z'],
    ['2026-09-12T00:59:00Z', true, '2026-09-12T01:00Z'],
    ['2026-09-12T01:00:00Z', false, '2026-09-18T21:00Z'],
  ])('F06 a slot past midnight belongs to the day it begins on: %s', (when, open, edge) => {
    expect(look('Europe/London', [slot(['fri'], '22:00', '02:00')], when)).toEqual({ open, edge });
  });

  test('F06 a slot past midnight on Sunday runs into Monday', () => {
    const slots = [slot(['sun'], '23:00', '01:00')];
    expect(look('UTC', slots, '2026-09-06T23:30:00Z')).toEqual({ open: true, edge: '2026-09-07T01:00Z' });
    expect(look('UTC', slots, '2026-09-07T00:30:00Z')).toEqual({ open: true, edge: '2026-09-07T01:00Z' });
    expect(look('UTC', slots, '2026-09-07T01:00:00Z')).toEqual({ open: false, edge: '2026-09-13T23:00Z' });
  });

  test('slots that touch or overlap are one', () => {
    const slots = [
      slot(['mon'], '09:00', '10:00'),
      slot(['mon'], '10:00', '11:00'),
      slot(['mon'], '10:30', '12:00'),
    ];
    expect(look('UTC', slots, '2026-09-07T09:30:00Z')).toEqual({ open: true, edge: '2026-09-07T12:00Z' });
  });

  test('always open and never open have no edge', () => {
    expect(look('UTC', [slot(all, '00:00', '00:00')], '2026-09-07T09:30:00Z')).toEqual({
      open: true,
      edge: null,
    });
    expect(look('UTC', [{ days: all, from: 0, to: 1440 }], '2026-09-07T00:00:00Z')).toEqual({
      open: true,
      edge: null,
    });
    expect(look('UTC', [], '2026-09-07T09:30:00Z')).toEqual({ open: false, edge: null });
  });
});

describe('clock-change days in London', () => {
  test.each([
    // 29 March 2026: 00:59 GMT is followed by 02:00 BST
    ['00:30', '01:30', '2026-03-29T00:45:00Z', true, '2026-03-29T01:00Z'],
    ['00:30', '01:30', '2026-03-29T01:00:00Z', false, '2026-03-29T23:30Z'],
    ['01:00', '01:30', '2026-03-29T00:59:00Z', false, '2026-03-30T00:00Z'], // skipped that night
    ['01:30', '03:00', '2026-03-29T00:59:00Z', false, '2026-03-29T01:00Z'], // begins where the clock lands
    ['01:30', '03:00', '2026-03-29T01:00:00Z', true, '2026-03-29T02:00Z'],
    ['12:00', '13:00', '2026-03-29T10:59:00Z', false, '2026-03-29T11:00Z'],
    ['12:00', '13:00', '2026-03-29T11:30:00Z', true, '2026-03-29T12:00Z'],
    // 25 October 2026: 01:59 BST is followed by 01:00 GMT
    ['01:00', '01:30', '2026-10-25T00:15:00Z', true, '2026-10-25T00:30Z'],
    ['01:00', '01:30', '2026-10-25T00:45:00Z', false, '2026-10-25T01:00Z'], // the hour comes twice, so does the slot
    ['01:00', '01:30', '2026-10-25T01:15:00Z', true, '2026-10-25T01:30Z'],
    ['01:30', '02:00', '2026-10-25T00:30:00Z', true, '2026-10-25T01:00Z'],
    ['00:30', '02:30', '2026-10-25T00:00:00Z', true, '2026-10-25T02:30Z'],
    ['12:00', '13:00', '2026-10-25T11:30:00Z', false, '2026-10-25T12:00Z'],
    ['12:00', '13:00', '2026-10-25T12:30:00Z', true, '2026-10-25T13:00Z'],
  ])('F06 %s to %s at %s: %s, turns at %s', (from, to, when, open, edge) => {
    expect(look('Europe/London', [slot(all, from, to)], when)).toEqual({ open, edge });
  });
});

test('the clock may go forwards and back, and equals a plain reading of the wall clock (property)', () => {
  const zones = [
    'Europe/London',
    'UTC',
    'Asia/Kathmandu',
    'Australia/Lord_Howe',
    'America/St_Johns',
    'Pacific/Auckland',
  ];
  const slots = fc.array(
    fc.record({ days: fc.subarray(all, { minLength: 1 }), from: fc.nat(1439), to: fc.nat(1440) }),
    { maxLength: 3 },
  );
  const times = fc.array(fc.integer({ min: at('2026-01-01'), max: at('2027-12-31') }), {
    minLength: 1,
    maxLength: 5,
  });
  fc.assert(
    fc.property(fc.constantFrom(...zones), slots, times, (zone, entries, instants) => {
      const clock = createTimetableClock(zone, { it: entries });
      const format = new Intl.DateTimeFormat('en-GB', {
        timeZone: zone,
        weekday: 'short',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      });
      const plain = (when: number): boolean => {
        const parts = Object.fromEntries(format.formatToParts(when).map((p) => [p.type, p.value]));
        const day = WEEKDAYS.indexOf(parts['weekday']?.toLowerCase() as Weekday);
        const minute = Number(parts['hour']) * 60 + Number(parts['minute']);
        return entries.some(({ days, from, to }) => {
          const today = days.includes(WEEKDAYS[day] as Weekday);
          const yesterday = days.includes(WEEKDAYS[(day + 6) % 7] as Weekday);
          if (to > from) return today && minute >= from && minute < to;
          return (today && minute >= from) || (yesterday && minute < to);
        });
      };
      for (const when of instants) {
        clock.at(when);
        const open = clock.isOpen(0);
        expect(open).toBe(plain(when));
        const edge = clock.nextEdge(0);
        expect(edge).toBeGreaterThan(when);
        if (edge === Infinity) continue;
        expect(plain(edge)).toBe(!open);
        expect(plain(edge - 60_000)).toBe(open);
        for (let k = 1; k < 8; k++) expect(plain(when + ((edge - 60_000 - when) * k) / 8)).toBe(open);
      }
    }),
    { numRuns: 80 },
  );
});

test('zones', () => {
  expect(isTimeZone('Europe/London')).toBe(true);
  expect(isTimeZone('Europe/Londn')).toBe(false);
  expect(() => createTimetableClock('Nowhere/Else', {})).toThrow(RangeError);
});
