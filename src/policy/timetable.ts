// Weekly timetables on the school's own clock: which are open now, and when each turns next. The zone's rules come from
// Intl and are asked once for days at a time; the open set is worked out once a minute. Time is always given in.

import type { TimetableSlot, Weekday } from './types.ts';

/** What a set of timetables says at one minute; `isOpen` and `nextEdge` go by the place in `names`. */
export type TimetableClock = {
  readonly names: readonly string[];
  /** moves the clock to `now` (UTC ms); cheap unless the minute has changed */
  at(now: number): void;
  isOpen(timetable: number): boolean;
  /** UTC ms after the clock's time at which this timetable opens or closes next; Infinity if it never does */
  nextEdge(timetable: number): number;
};

/** The days in the order the week runs here. */
export const WEEKDAYS: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

const MINUTE = 60_000;
const DAY = 1440;
const WEEK = 7 * DAY;
const STEP = 12 * 60 * MINUTE;
const HORIZON = 8 * 24 * 60 * MINUTE;

/** A stretch of time, both ends UTC ms, in which the zone's clock is a fixed distance from UTC. */
type Stretch = { from: number; to: number; offset: number };

/** Throws RangeError when the zone is not one that this computer knows. */
export function createTimetableClock(
  timezone: string,
  timetables: Readonly<Record<string, readonly TimetableSlot[]>>,
): TimetableClock {
  const offsets = createOffsets(timezone);
  const names = Object.keys(timetables);
  const weeks = Object.values(timetables).map(turningPoints);
  const open = new Uint8Array(names.length);
  const edges = new Float64Array(names.length).fill(Infinity);
  let minute = NaN;
  return {
    names,
    at(now) {
      const current = Math.floor(now / MINUTE);
      if (current === minute) return;
      minute = current;
      for (let t = 0; t < weeks.length; t++) {
        const week = weeks[t] ?? [];
        const local = minuteOfWeek(current * MINUTE + offsets.stretch(current * MINUTE).offset);
        open[t] = isOpenAt(week, local) ? 1 : 0;
        edges[t] = findEdge(week, current * MINUTE, offsets.stretch);
      }
    },
    isOpen: (timetable) => open[timetable] === 1,
    nextEdge: (timetable) => edges[timetable] ?? Infinity,
  };
}

/** Whether Intl knows this IANA zone. */
export function isTimeZone(timezone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: timezone });
    return true;
  } catch {
    return false;
  }
}

/** Minutes of the week at which the timetable turns, sorted, beginning with an opening; `[0]` alone is always open, `[]` never. */
function turningPoints(slots: readonly TimetableSlot[]): readonly number[] {
  const open = new Uint8Array(WEEK);
  for (const slot of slots) {
    const length = slot.to > slot.from ? slot.to - slot.from : slot.to + DAY - slot.from;
    for (const day of slot.days) {
      const start = WEEKDAYS.indexOf(day) * DAY + slot.from;
      for (let m = 0; m < length; m++) open[(start + m) % WEEK] = 1;
    }
  }
  const points: number[] = [];
  for (let m = 0; m < WEEK; m++) if (open[m] !== open[(m + WEEK - 1) % WEEK]) points.push(m);
  if (points.length === 0) return open[0] === 1 ? [0] : [];
  // an odd place in the list is then always a closing
  return open[points[0] ?? 0] === 1 ? points : [...points.slice(1), (points[0] ?? 0) + WEEK];
}

function isOpenAt(week: readonly number[], minute: number): boolean {
  if (week.length < 2) return week.length === 1;
  for (let i = 0; i < week.length; i += 2) {
    const from = week[i] ?? 0;
    const to = week[i + 1] ?? 0;
    if ((minute >= from && minute < to) || minute + WEEK < to) return true;
  }
  return false;
}

/** The next instant the state differs from now, across changes of the clock; a clock change can itself be the edge. */
function findEdge(week: readonly number[], now: number, stretch: (at: number) => Stretch): number {
  if (week.length < 2) return Infinity;
  const before = isOpenAt(week, minuteOfWeek(now + stretch(now).offset));
  let at = now;
  while (at - now <= HORIZON) {
    const { offset, to } = stretch(at);
    const local = minuteOfWeek(at + offset);
    if (isOpenAt(week, local) !== before) return at;
    let wait = WEEK;
    for (const point of week) {
      const ahead = (point - local + WEEK) % WEEK;
      if (ahead > 0 && ahead < wait) wait = ahead;
    }
    const edge = at + wait * MINUTE;
    if (edge < to) return edge;
    at = to;
  }
  return at;
}

function minuteOfWeek(local: number): number {
  // day 0 of the epoch was a Thursday
  return (Math.floor(local / MINUTE) + 3 * DAY) % WEEK;
}

/** The zone's distance from UTC with the stretch over which it holds; a few stretches are remembered. */
function createOffsets(timezone: string): { stretch: (at: number) => Stretch } {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  const offsetAt = (at: number): number => {
    const part = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
    for (const { type, value } of format.formatToParts(at))
      if (type in part) part[type as keyof typeof part] = Number(value);
    const { year, month, day, hour, minute, second } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
  };
  const known: Stretch[] = [];
  return {
    stretch(at) {
      for (const s of known) if (at >= s.from && at < s.to) return s;
      const offset = offsetAt(at);
      let to = at;
      while (to - at < HORIZON && offsetAt(to + STEP) === offset) to += STEP;
      if (to - at < HORIZON) {
        // the change lies within the next step: halve until it is known to the minute
        let low = Math.floor(to / MINUTE);
        let high = low + STEP / MINUTE + 1;
        while (high - low > 1) {
          const middle = Math.floor((low + high) / 2);
          if (offsetAt(middle * MINUTE) === offset) low = middle;
          else high = middle;
        }
        to = high * MINUTE;
      }
      if (known.length >= 4) known.shift();
      const found = { from: at, to, offset };
      known.push(found);
      return found;
    },
  };
}
