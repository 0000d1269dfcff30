// Ids that sort by time, are unique across the sites of a trust, and cannot be guessed from one another.

import { randomBytes } from 'node:crypto';

/** Crockford's base 32, lower case: no i, l, o, u to misread. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Returns a maker of ids like `01k9x2m3ef-7g5kq8w2h4-main`: ms since 1970 in base 32, 50 random bits, the site.
 * Ids grow strictly, even within a millisecond or when the clock is set back; `after`, the greatest id already kept, makes
 * that hold over a restart (a small machine without a clock battery starts in the past).
 */
export const createIds = (deps: {
  site: string;
  now: () => number;
  after: string | null;
}): (() => string) => {
  const { site, now } = deps;
  if (!/^[a-z0-9][a-z0-9-]{0,31}$/.test(site)) {
    throw new Error(`site "${site}": use 1 to 32 small letters, digits and hyphens`);
  }
  let last = deps.after === null ? 0 : timeOf(deps.after);
  return () => {
    last = Math.max(now(), last + 1);
    let time = '';
    for (let rest = last, place = 0; place < 10; place += 1, rest = Math.floor(rest / 32)) {
      time = DIGITS.charAt(rest % 32) + time;
    }
    const random = [...randomBytes(10)].map((byte) => DIGITS.charAt(byte & 31)).join('');
    return `${time}-${random}-${site}`;
  };
};

/** The time part of an id; 0 for anything else. */
const timeOf = (id: string): number => {
  let time = 0;
  for (const digit of id.slice(0, 10)) {
    const value = DIGITS.indexOf(digit);
    if (value < 0) return 0;
    time = time * 32 + value;
  }
  return time;
};
